"""The interface of sinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.types import ProcessedFrame

Delivered = Callable[[float, float], None]
"""Called for each frame that the far end accepted, with captured_at and delivered_at."""


class Sink(Protocol):
    """One place where processed frames go, used by one thread.

    It connects by itself at the first frame. It accepts a ``ProcessedFrame`` and nothing else: see
    ``app.types.BlurredFrame``.
    """

    def write(self, result: ProcessedFrame) -> None:
        """Deliver. Raises SinkError when the far end refuses, is gone or takes too long, and
        when the frame size changed; the next ``write`` then connects again."""
        ...

    def idle(self, seconds: float) -> None:
        """Nothing was delivered for this long. Raises SinkError when the far end went away."""
        ...

    def close(self) -> None:
        """Free everything. Safe to call twice; after it, ``write`` connects again."""
        ...
