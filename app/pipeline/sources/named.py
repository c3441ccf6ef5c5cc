"""What people call a source, to the URL that a stream reads."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from app import urls
from app.errors import InvalidRequest, InvalidUrl

MAX_INDEX = 63
MAX_PATH = 4096
_VIDEO_DEVICE = re.compile(r"/dev/video([0-9]{1,2})")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://.*", re.DOTALL)


def source_url(source: str | int, folders: Iterable[Path] | None = None) -> str:
    """The URL of a webcam's index, of a file's path, or of a camera's RTSP or HTTP URL.

    Args:
        folders: where files may be; None for anywhere. A link counts as what it leads to. A
            path that is not absolute is looked for in each of them, then in the working folder.

    Raises:
        InvalidRequest: nothing can be read there; AddressNotAllowed.
    """
    if isinstance(source, int) or source.strip().isdecimal():
        return _webcam(int(source))
    if device := _VIDEO_DEVICE.fullmatch(source):
        return _webcam(int(device[1]))
    if source.startswith("file:"):
        return _file(
            source.removeprefix("file://" if source.startswith("file://") else "file:"), folders
        )
    if _SCHEME.fullmatch(source):
        try:
            return urls.check(source)
        except InvalidUrl as error:
            raise InvalidRequest(field="source", reason=str(error.details["reason"])) from None
    return _file(source, folders)


def _webcam(index: int) -> str:
    if not 0 <= index <= MAX_INDEX:
        raise InvalidRequest(field="source", reason=f"a webcam's index is 0 to {MAX_INDEX}")
    return f"webcam:{index}"


def _file(path: str, folders: Iterable[Path] | None) -> str:
    """Nothing is said about files outside the folders, not even whether they are there."""
    if not path or len(path) > MAX_PATH or "\0" in path:
        raise InvalidRequest(field="source", reason="it names no file")
    try:
        roots = None if folders is None else [folder.resolve() for folder in folders]
        places = (root / path for root in roots or ())
        real = next(filter(_is_file, places), Path(path)).resolve()
    except (OSError, RuntimeError):  # such as links in a circle
        raise InvalidRequest(field="source", reason="it names no file") from None
    if roots is not None and not any(real.is_relative_to(root) for root in roots):
        if not Path(path).is_absolute() and ".." not in Path(path).parts:
            # Also where the working folder has it: a name says nothing about other folders.
            raise InvalidRequest(
                field="source",
                reason=f"there is no such file: {_shown(path)} (names are looked up in the folders "
                "that the server was started with, --media-dir)",
            )
        raise InvalidRequest(
            field="source",
            reason="files may only be read below the folders that the server was started with "
            "(--media-dir)",
        )
    if not _is_file(real):
        raise InvalidRequest(field="source", reason=f"there is no such file: {_shown(path)}")
    return f"file:{real}"


def _shown(path: str) -> str:
    """The path as its caller wrote it; a camera's URL that lost a slash may hold a password."""
    before, at, rest = path.rpartition("@")
    return urls.scrub(f"***{at}{rest}" if before else path)


def _is_file(path: Path) -> bool:
    """False also for a name that no file can have, and where nobody may look."""
    try:
        return path.is_file()
    except OSError:
        return False
