"""Time: when to try again, which frames to take, and when a frame really was."""

from __future__ import annotations

import random
from collections import deque


class Backoff:
    """Waits that double from ``first_s`` to ``max_s``, each with jitter, so that many streams of
    one dead server do not come back in one moment."""

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
    """Chooses frames so that at most ``max_fps`` a second are taken, evenly spread."""

    TOLERANCE = 0.25  # of an interval: jitter must not cost a frame
    GAP = 4.0  # intervals after which the schedule starts anew

    def __init__(self, max_fps: float) -> None:
        self._interval = 1 / max_fps
        self._due: float | None = None

    def take(self, time_s: float) -> bool:
        """Whether the frame of this media time belongs to the output."""
        if self._due is None or not -self.GAP < (time_s - self._due) / self._interval < self.GAP:
            self._due = time_s
        if time_s < self._due - self.TOLERANCE * self._interval:
            return False
        self._due += self._interval
        return True


class MediaClock:
    """Turns jittery arrival times into capture times, with the sender's own spacing.

    The packet that came fastest tells how the two clocks are related; slower ones were held up
    by the network. The relation may drift slowly, and starts anew when the sender's clock jumps.
    """

    DRIFT = 0.001  # seconds a second
    JUMP_S = 1.0

    def __init__(self) -> None:
        self._offset: float | None = None
        self._last_arrival = 0.0

    def captured_at(self, media_s: float | None, arrived_at: float) -> float:
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
    """When each picture of a recording is to be shown, from the moment of the first one on.

    A reader that fell behind, or times that jump, start the schedule anew: nothing is hurried.
    """

    JUMP_S = 10.0
    LATE_S = 1.0

    def __init__(self) -> None:
        self._offset: float | None = None

    def wait_s(self, media_s: float | None, now: float) -> float:
        """How long to wait before the picture of this media time; 0 or less shows it now."""
        if media_s is None:
            return 0.0
        wait = 0.0 if self._offset is None else media_s + self._offset - now
        if self._offset is None or not -self.LATE_S < wait < self.JUMP_S:
            self._offset, wait = now - media_s, 0.0
        return wait


class StallLimit:
    """How long a line may be silent before it counts as lost, from the frames that it brought.

    A camera that sends a frame every ten seconds is well after nine of them. Until two frames
    have shown how slow a camera is, it gets six times the usual time.

    Args:
        usual_s: for a camera that is not slow.
        own_s: set for this camera by its user; it then holds as it is.

    Attributes:
        seconds: the limit now.
    """

    INTERVALS = 3.0
    UNKNOWN = 6.0  # times the usual limit
    LONGEST_S = 60.0

    def __init__(self, usual_s: float, own_s: float | None = None) -> None:
        self._usual_s, self._own_s = usual_s, own_s
        self._intervals: deque[float] = deque(maxlen=8)
        self._last: tuple[float, float | None] | None = None
        self.seconds = float(usual_s * self.UNKNOWN if own_s is None else own_s)

    def __float__(self) -> float:
        return self.seconds

    def begin(self) -> None:
        """Forget when the last frame came, but not how fast they come: the line is a new one."""
        self._last = None

    def seen(self, arrived_at: float, media_s: float | None = None) -> None:
        """Note a frame. Its time on the sender's clock shows the pace also where frames that
        waited for the connection come all at once."""
        last, self._last = self._last, (arrived_at, media_s)
        if last is None or self._own_s is not None:
            return
        interval = arrived_at - last[0]
        if media_s is not None and last[1] is not None:
            interval = max(interval, min(media_s - last[1], self.LONGEST_S / self.INTERVALS))
        self._intervals.append(interval)
        slowest_s = max(self._intervals) * self.INTERVALS
        longest_s = max(self._usual_s, self.LONGEST_S)
        self.seconds = float(min(max(self._usual_s, slowest_s), longest_s))
