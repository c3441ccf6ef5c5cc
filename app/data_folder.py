"""The data folder: its lock, the folders in it, and the API's token."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.config import Settings
from app.db.vault import read_or_make_secret
from app.errors import DataFolderLocked, SetupError

LOCK_FILE = "watchpost.lock"
TOKEN_FILE = "token"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the data folder, so that no second server publishes the same streams.

    The system releases the lock when the process ends, however that happens.

    Raises:
        DataFolderLocked: another process holds it.
        SetupError: the folder cannot be written.
    """
    with _folder_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise DataFolderLocked(folder=str(folder), pid=file.read() or "unknown") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a data folder; nothing is created or changed."""
    try:
        file = (folder / LOCK_FILE).open("rb")
    except OSError:  # it was never used, or belongs to somebody else
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def api_token(settings: Settings) -> str:
    """The configured token, or that in the data folder, which is printed when it is generated.

    Raises:
        SetupError: the folder cannot be written.
    """
    if settings.auth.token is not None:
        return settings.auth.token.get_secret_value()
    make_folder(settings.data_dir)
    with _folder_errors(settings.data_dir):
        token, created = read_or_make_secret(settings.data_dir / TOKEN_FILE)
    if created:
        print(f"Token for calls from other machines (stored in {TOKEN_FILE}): {token}", flush=True)
    return token


def make_folder(folder: Path) -> None:
    """Create a folder inside the data folder, if it is missing. Raises SetupError."""
    with _folder_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SetupError(reason=f"Data folder {folder}: {error.strerror}") from None
