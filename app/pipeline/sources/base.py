"""The interface of sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from app.types import Frame


class Source(Protocol):
    """One input, used by one thread; after ``close`` it may be opened again.

    Attributes:
        live: frames arrive at their own pace, so some may have to be dropped; a file waits.
        codec: name of the input's codec once it is open, to display.
        dropped: frames that the source itself dropped for newer ones.
    """

    live: bool
    codec: str
    dropped: int

    def open(self) -> None:
        """Connect. Raises SourceError; takes at most ``StreamSettings.open_timeout_s``."""
        ...

    def frames(self) -> Iterator[Frame | None]:
        """Yield decoded frames. Ends where a file ends; raises SourceError when the input fails.

        It blocks for at most ``StreamSettings.stall_timeout_s``. Where a silent input is not an
        error it yields None now and then, so that its reader can stop.
        """
        ...

    def close(self) -> None:
        """Free everything. Safe to call twice and before ``open``."""
        ...
