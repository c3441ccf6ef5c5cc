"""Timing: pauses between attempts, frame rates, and capture times."""

from __future__ import annotations

import random
import time
from collections import deque


def unix_time(at: float) -> float:
    """The Unix time of a ``time.monotonic()`` time."""
    return time.time() - (time.monotonic() - at)


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

    def change(self, max_fps: float) -> None:
        """Select at most this many from here on."""
        self._interval = 1 / max_fps

    def take(self, time_s: float) -> bool:
        """Whether the frame with this media time is selected."""
        if self._due is None or not -self.GAP < (time_s - self._due) / self._interval < self.GAP:
            self._due = time_s
        if time_s < self._due - self.TOLERANCE * self._interval:
            return False
        self._due += self._interval
        return True

    def refuses(self, time_s: float) -> bool:
        """Whether a frame with this media time will not be selected, whatever comes before it."""
        if self._due is None:
            return False
        return -self.GAP < (time_s - self._due) / self._interval < -self.TOLERANCE


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


class ContinuousClock:
    """Puts the timestamps of a source on a clock that starts at 0 and only goes forward.

    A timestamp that goes back is a jump of the source's clock. So is one that goes forward by far
    more than the usual step or, for a live source, by more than the time that has really passed.
    A jump is removed: the next frame follows one usual step later or, for a live source, after the
    time that has really passed.

    Args:
        step_s: the usual time between two frames, if it is known.

    Attributes:
        at_s: the latest time on this clock.
        offset_s: is added to a timestamp of the source.
        jump_s: how far the source's clock jumped at the latest timestamp; 0 for no jump.
        step_s: the latest time between two frames that was not a jump.
    """

    JUMP_S = 3.0
    STEPS = 5.0
    AHEAD_S = 1.0
    DEFAULT_STEP_S = 0.04
    TICK_S = 0.001

    def __init__(self, step_s: float | None = None) -> None:
        self.at_s = 0.0
        self.offset_s = 0.0
        self.jump_s = 0.0
        self.step_s = step_s or self.DEFAULT_STEP_S
        self._last_s: float | None = None
        self._first_arrival: float | None = None
        self._last_arrival = 0.0
        self._lead_s = 0.0

    def resume(self, media_s: float, at_s: float) -> None:
        """Continue from ``at_s``, which is the time of this timestamp of the source."""
        self._last_s, self.at_s, self.offset_s = media_s, at_s, at_s - media_s

    def place(self, media_s: float | None, arrived_at: float | None = None) -> float:
        """The time of a frame on this clock.

        Args:
            media_s: its decode or presentation timestamp, but always the same of the two; None for
                a frame without one, which follows one step later.
            arrived_at: when it arrived from a live source, monotonic seconds; None for a file.
        """
        self.jump_s, passed_s = 0.0, self._passed(arrived_at)
        if self._last_s is None:
            self._last_s = 0.0 if media_s is None else media_s
            self.offset_s = self.at_s - self._last_s
            return self.at_s
        if media_s is None:
            media_s = self._last_s + max(self.step_s, self.TICK_S)
        change_s = media_s - self._last_s
        self._last_s = media_s
        if change_s < 0 or self._is_ahead(change_s, arrived_at):
            closed_s = max(self.step_s, self.TICK_S, passed_s)
            self.jump_s = change_s - closed_s
            self.at_s += closed_s
            self.offset_s = self.at_s - media_s
            return self.at_s
        if change_s > 0:
            self.step_s = change_s
        self.at_s = media_s + self.offset_s
        if arrived_at is not None and self._first_arrival is not None:
            self._lead_s = max(self._lead_s, self.at_s - (arrived_at - self._first_arrival))
        return self.at_s

    def _passed(self, arrived_at: float | None) -> float:
        """Seconds since the previous frame arrived."""
        if arrived_at is None:
            return 0.0
        if self._first_arrival is None:
            self._first_arrival = self._last_arrival = arrived_at
        passed_s, self._last_arrival = arrived_at - self._last_arrival, arrived_at
        return passed_s

    def _is_ahead(self, change_s: float, arrived_at: float | None) -> bool:
        """Whether a step forward is a jump of the clock rather than a pause of the source."""
        if arrived_at is None or self._first_arrival is None:
            return change_s > max(self.JUMP_S, self.STEPS * self.step_s)
        early_s = self.at_s + change_s - (arrived_at - self._first_arrival) - self._lead_s
        return change_s > self.AHEAD_S and early_s > self.AHEAD_S


class StallLimit:
    """How long a source may send nothing before it counts as lost, from the pace of its frames.

    A camera with one frame every ten seconds is not lost after nine. Until two frames have shown
    how slow a camera is, the limit is six times the usual one.

    Args:
        usual_s: limit of a camera that is not slow.
        own_s: limit that a user has set for this camera; it is then fixed.

    Attributes:
        seconds: the current limit.
    """

    INTERVALS = 3.0
    UNKNOWN = 6.0  # times the usual limit, before the pace is known
    LONGEST_S = 60.0

    def __init__(self, usual_s: float, own_s: float | None = None) -> None:
        self._usual_s, self._own_s = usual_s, own_s
        self._intervals: deque[float] = deque(maxlen=8)
        self._last: tuple[float, float | None] | None = None
        self.seconds = float(usual_s * self.UNKNOWN if own_s is None else own_s)

    def __float__(self) -> float:
        return self.seconds

    def begin(self) -> None:
        """Forget the last frame but not the pace: the connection is a new one."""
        self._last = None

    def seen(self, arrived_at: float, media_s: float | None = None) -> None:
        """Note a frame.

        Its time on the sender's clock shows the pace even if frames that waited for the connection
        arrive all at once.
        """
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
