"""A source as callers write it, translated into the URL that a stream reads."""

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
    """The URL for the index of a webcam, the path of a file, or an RTSP or HTTP URL.

    Args:
        folders: folders with files that may be opened; None for any. Symbolic links count as their
            targets. A relative path is looked up in each folder, then in the working directory.

    Raises:
        InvalidRequest: the source cannot be opened.
        AddressNotAllowed: streams may not use the URL's address.
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
        raise InvalidRequest(
            field="source", reason=f"the index of a webcam must be 0 to {MAX_INDEX}"
        )
    return f"webcam:{index}"


def _file(path: str, folders: Iterable[Path] | None) -> str:
    """The URL of a file. Errors do not reveal whether a file outside the folders exists."""
    if not path or len(path) > MAX_PATH or "\0" in path:
        raise InvalidRequest(field="source", reason="it is not the path of a file")
    try:
        roots = None if folders is None else [folder.resolve() for folder in folders]
        candidates = (root / path for root in roots or ())
        real = next(filter(_is_file, candidates), Path(path)).resolve()
    except (OSError, RuntimeError):  # such as a cycle of links
        raise InvalidRequest(field="source", reason="it is not the path of a file") from None
    shown = urls.masked_path(path)  # a mistyped URL may contain a password
    if roots is not None and not any(real.is_relative_to(root) for root in roots):
        if not Path(path).is_absolute() and ".." not in Path(path).parts:
            # Also if it exists in the working directory: a name reveals nothing about that.
            raise InvalidRequest(
                field="source",
                reason=f"the file does not exist: {shown} (relative paths are looked up in "
                "the allowed folders, --media-dir)",
            )
        raise InvalidRequest(
            field="source",
            reason="the file is not in one of the allowed folders (--media-dir)",
        )
    if not _is_file(real):
        raise InvalidRequest(field="source", reason=f"the file does not exist: {shown}")
    return f"file:{real}"


def _is_file(path: Path) -> bool:
    """Whether a file exists; False also for impossible names and unreadable folders."""
    try:
        return path.is_file()
    except OSError:
        return False
