"""What this machine gives up when it cannot do everything, and when it takes it back.

All live streams of a process share one ``Budget``. While frames have to be skipped, it goes down
``LEVELS`` step by step: objects are detected less often, then people are no longer examined
enlarged, then faces are predicted for a moment before they are detected again. All that is left
then is to skip frames, which each stream does by itself. While none are skipped the budget goes
back up, one step at a time, and waits longer before it repeats a step that has failed.

Files wait instead, so they have no share in it; meanwhile they ask for one frame's faces at a time.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakSet


@dataclass(frozen=True, slots=True)
class Level:
    """What a stream may do.

    Attributes:
        object_fps: frames a second on which objects are detected.
        crops: whether people are examined enlarged.
        face_gap_s: for how long faces may be predicted before they are detected again.
    """

    object_fps: float = math.inf
    crops: bool = True
    face_gap_s: float = 0.0


SELDOM_FPS = 1.25
"""Often enough for at least one detection each second, although frames come when they come."""

LEVELS = (
    Level(),
    Level(object_fps=3),
    Level(object_fps=2),
    Level(object_fps=SELDOM_FPS),
    Level(object_fps=SELDOM_FPS, crops=False),
    Level(object_fps=SELDOM_FPS, crops=False, face_gap_s=0.1),
    Level(object_fps=SELDOM_FPS, crops=False, face_gap_s=0.2),
)
ONLY_FACES = 5
"""The first level that restricts a stream without analytics."""


@dataclass(frozen=True, slots=True)
class BudgetTuning:
    """When the budget takes a step.

    Attributes:
        window_s: how long frames are counted before a step down.
        skipped_share: share of a stream's frames in that time above which a step is taken.
        calm_s: how long no stream skips as much before a step up.
        failed_s: a step up that is taken back within this time has failed.
        max_calm_s: the longest wait before a step up; each that fails doubles the wait.
    """

    window_s: float = 2.0
    skipped_share: float = 0.15
    calm_s: float = 4.0
    failed_s: float = 30.0
    max_calm_s: float = 120.0


class StreamBudget:
    """The share of one live stream in the budget of its process. Safe to use from any thread.

    Args:
        analyzes: whether objects are detected in the stream.
    """

    def __init__(self, budget: Budget, *, analyzes: bool) -> None:
        self._budget = budget
        self.analyzes = analyzes
        self.frames = self.skipped = 0

    @property
    def level(self) -> Level:
        """What the stream may do now; its own settings may be lower."""
        return self._budget.level

    def count(self, *, skipped: bool) -> None:
        """Count a frame that was processed, or one that was skipped to process a newer one."""
        self._budget.count(self, skipped=skipped)

    def close(self) -> None:
        """Leave the budget: the stream has ended."""
        self._budget.leave(self)


class Budget:
    """Decides what the live streams of a process may do. Safe to use from any thread.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(
        self, tuning: BudgetTuning | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tuning = tuning or BudgetTuning()
        self._clock = clock
        self._lock = threading.Lock()
        self._streams: WeakSet[StreamBudget] = WeakSet()  # a start may fail
        self._reset()

    def _reset(self) -> None:
        self._step = 0
        self._calm_s = self._tuning.calm_s
        self._window_from = self._calm_from = self._clock()
        self._raised_at = -math.inf

    @property
    def level(self) -> Level:
        """What streams may do now."""
        return LEVELS[self._step]

    @property
    def is_reduced(self) -> bool:
        """Whether streams go without something now."""
        return self._step > 0

    def stream(self, *, analyzes: bool) -> StreamBudget:
        """The share of a stream that begins; to be closed when it ends."""
        share = StreamBudget(self, analyzes=analyzes)
        with self._lock:
            self._streams.add(share)
        return share

    def leave(self, share: StreamBudget) -> None:
        """Take a stream out. After the last one, everything is as configured again."""
        with self._lock:
            self._streams.discard(share)
            if not self._streams:
                self._reset()

    def count(self, share: StreamBudget, *, skipped: bool) -> None:
        """Count a frame of a stream, and take a step if a window is over."""
        with self._lock:
            share.frames += 1
            share.skipped += skipped
            now = self._clock()
            if now - self._window_from >= self._tuning.window_s:
                self._window_from = now
                self._take_step(now, self._worst_share())

    def _worst_share(self) -> float:
        """The largest share of skipped frames of a stream in the window, which ends with it."""
        worst = max((s.skipped / s.frames for s in self._streams if s.frames), default=0.0)
        for stream in self._streams:
            stream.frames = stream.skipped = 0
        return worst

    def _take_step(self, now: float, skipped_share: float) -> None:
        tuning = self._tuning
        raised_lately = now - self._raised_at < tuning.failed_s
        if skipped_share > tuning.skipped_share:
            if raised_lately:
                self._calm_s = min(2 * self._calm_s, tuning.max_calm_s)
                self._raised_at = -math.inf
            self._calm_from, self._step = now, self._below()
            return
        if not raised_lately and self._raised_at > -math.inf:  # the last step up has lasted
            self._calm_s, self._raised_at = tuning.calm_s, -math.inf
        if self._step and now - self._calm_from >= self._calm_s:
            self._calm_from = self._raised_at = now
            self._step = self._above()

    def _below(self) -> int:
        if self._step < ONLY_FACES and not self._analyzes:
            return ONLY_FACES
        return min(self._step + 1, len(LEVELS) - 1)

    def _above(self) -> int:
        if self._step <= ONLY_FACES and not self._analyzes:
            return 0
        return self._step - 1

    @property
    def _analyzes(self) -> bool:
        return any(stream.analyzes for stream in self._streams)
