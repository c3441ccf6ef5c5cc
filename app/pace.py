"""Timing: pauses between attempts, frame rates, and capture times."""

from __future__ import annotations

import random


class Backoff:
    """Pauses that double from ``first_s`` to ``max_s``, with jitter.

    The jitter keeps the streams of a server that was away from reconnecting all at once.
    """

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s, self._max_s = first_s, max_s
        self._next_s = first_s

    def next(self) -> float:
        wait = self._next_s * random.uniform(0.75, 1.0)
        self._next_s = min(self._max_s, self._next_s * 2)
        return wait

    def reset(self) -> None:
        self._next_s = self._first_s


class RateLimit:
    """Selects at most ``max_fps`` frames per second, evenly spread."""

    TOLERANCE = 0.25  # of an interval, so that jitter costs no frame
    GAP = 4.0  # intervals after which the schedule starts again

    def __init__(self, max_fps: float) -> None:
        self._interval = 1 / max_fps
        self._due: float | None = None

    def take(self, time_s: float) -> bool:
        """Whether the frame with this media time is selected."""
        if self._due is None or not -self.GAP < (time_s - self._due) / self._interval < self.GAP:
            self._due = time_s
        if time_s < self._due - self.TOLERANCE * self._interval:
            return False
        self._due += self._interval
        return True


class MediaClock:
    """Estimates capture times from media times, free of the network's jitter.

    The packet with the shortest delay gives the offset between the two clocks; others were delayed
    by the network. The offset may drift slowly, and starts again when the sender's clock jumps.
    """

    DRIFT = 0.001  # seconds per second
    JUMP_S = 1.0

    def __init__(self) -> None:
        self._offset: float | None = None
        self._last_arrival = 0.0

    def captured_at(self, media_s: float | None, arrived_at: float) -> float:
        """When the frame was captured (monotonic); its arrival if it has no media time."""
        if media_s is None:
            return arrived_at
        offset = arrived_at - media_s
        if self._offset is None or abs(offset - self._offset) > self.JUMP_S:
            self._offset = offset
        else:
            leak = self.DRIFT * (arrived_at - self._last_arrival)
            self._offset = min(offset, self._offset + leak)
        self._last_arrival = arrived_at
        return media_s + self._offset


class PlayClock:
    """Plays a recording at its own speed.

    The schedule starts again if the reader falls behind or the times jump; frames are never shown
    faster to catch up.
    """

    JUMP_S = 10.0
    LATE_S = 1.0

    def __init__(self) -> None:
        self._offset: float | None = None

    def wait_s(self, media_s: float | None, now: float) -> float:
        """Seconds to wait before the frame with this media time; 0 or less shows it now."""
        if media_s is None:
            return 0.0
        wait = 0.0 if self._offset is None else media_s + self._offset - now
        if self._offset is None or not -self.LATE_S < wait < self.JUMP_S:
            self._offset, wait = now - media_s, 0.0
        return wait
