"""Runs a stream's analytics beside its video, so that neither slowness nor failures cost a frame.

Detecting objects takes longer than a frame. A live stream goes on meanwhile: its frames show the
tracks where they are expected, and the result counts when it is there. A file waits for it.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.analytics.analyzer import StreamAnalyzer
from app.analytics.rules import FramePixels
from app.analytics.scene_memory import PendingObjects
from app.errors import DetectorError
from app.events import RuleEvent
from app.pipeline.scale import part_to_rgb, to_rgb
from app.pipeline.stream_metrics import RateCounter
from app.pipeline.supervisor import ANALYSIS, Supervisor
from app.places import PlaceCounts
from app.types import BlurredFrame, Rate, StreamSpec, Track
from app.urls import scheme_of

if TYPE_CHECKING:
    from av import VideoFrame

CHECK_S = 0.01
PATIENCE = 0.5  # intervals between frames for which one waits for the objects in it
LATE = 1.5  # intervals between inferences
RECENT_S = 5.0
ENOUGH = 0.9  # of the configured rate
WARM_UP_S = 10.0
"""After its first inference: compiling networks says nothing about the machine's speed."""
MAX_HELD = 8  # frames for later events; about 25 MB at 1080p

Report = Callable[[RuleEvent, float, BlurredFrame | None], None]


class ObjectAnalysis:
    """Calls a stream's analyzer for each frame, and goes on without it when it is slow or fails.

    One thread calls ``submit``, another the rest.

    Args:
        analyzer: None for a stream without analytics.
        live: frames do not wait for the analyzer.
        hurried: whether another frame waits already.
        report: takes the events of the rules, each with its frame's time and the blurred frame.
    """

    def __init__(
        self,
        analyzer: StreamAnalyzer | None,
        spec: StreamSpec,
        supervisor: Supervisor,
        *,
        live: bool,
        hurried: Callable[[], bool],
        report: Report,
    ) -> None:
        self._analyzer = analyzer
        self._supervisor = supervisor
        self._live = live
        self._hurried = hurried
        self._report = report
        # Who pushes a frame wants to know what is in it, and decides how long to wait.
        pushed = scheme_of(spec.source) == "push"
        self._patience_s = math.inf if pushed else PATIENCE / spec.max_fps
        self._name = f"{spec.stream_id}-analyze"
        self._executor: ThreadPoolExecutor | None = None
        self._pending: PendingObjects | None = None
        self._running: Future[tuple[Track, ...]] | None = None
        self._submitted_at = self._late_at = -math.inf
        self._first_at = math.inf
        self._rate = RateCounter()
        self._held: dict[float, BlurredFrame] = {}
        self._holding = threading.Lock()

    @property
    def active(self) -> bool:
        """Whether the stream has analytics."""
        return self._analyzer is not None

    @property
    def counts(self) -> Mapping[str, int]:
        """How many objects of each kind are followed now."""
        return self._analyzer.counts if self._analyzer is not None else {}

    @property
    def place_counts(self) -> PlaceCounts | None:
        """The counts of zones and lines; None if no rule counts them."""
        return None if self._analyzer is None else self._analyzer.place_counts

    def submit(self, image: VideoFrame, captured_at: float) -> PendingObjects | None:
        """Start inference on a frame if it is time for one, and the one before is done."""
        if self._analyzer is None:
            return None
        if self._live and self._is_busy:
            if captured_at - self._submitted_at > LATE / self._analyzer.max_fps:
                self._late_at = time.monotonic()
            return None
        with self._best_effort():
            self._pending = self._analyzer.submit(captured_at, functools.partial(to_rgb, image))
            if self._pending is not None:
                self._submitted_at = captured_at
                self._first_at = min(self._first_at, now := time.monotonic())
                self._rate.add(now)
            return self._pending
        return None

    @property
    def slower(self) -> Rate | None:
        """How many frames a second are analyzed, if the machine cannot do as many as configured."""
        if self._analyzer is None:
            return None
        now, wanted = time.monotonic(), self._analyzer.configured_fps
        if now - self._first_at < WARM_UP_S:
            return None
        rate = min(self._rate.per_second(now), self._analyzer.max_fps)
        limited = self._analyzer.max_fps < wanted or now - self._late_at < RECENT_S
        return Rate(rate, wanted) if limited and rate < ENOUGH * wanted else None

    @property
    def lacks_crops(self) -> bool:
        """Whether people are not examined enlarged, although a rule needs that."""
        return self._analyzer is not None and self._analyzer.lacks_crops

    @property
    def _is_busy(self) -> bool:
        pending, running = self._pending, self._running
        return (pending is not None and not pending.is_answered(0)) or (
            running is not None and not running.done()
        )

    def process(
        self,
        pending: PendingObjects | None,
        faces: tuple[Track, ...] | None,
        image: VideoFrame,
        captured_at: float,
        blurred: BlurredFrame,
        restarts: int = 0,
    ) -> tuple[Track, ...]:
        """The tracks in a frame, in pixels of the blurred one. The events of rules are reported.

        Args:
            faces: those that are blurred; None in a stream without blur.
            image: the raw frame, which must not change any more.
            restarts: how often a file that loops had begun again before this frame.
        """
        analyzer = self._analyzer
        if analyzer is None:
            return ()
        pixels = FramePixels(
            (image.width, image.height),
            functools.partial(part_to_rgb, image),
            functools.partial(to_rgb, image),
            captured_at,
            restarts,
        )
        analyze = functools.partial(self._analyze, analyzer, pending, faces, pixels, blurred)
        if pending is None or not self._live:
            return analyze()
        if self._running is not None and self._running.done():
            self._running.result()  # raises if it crashed after a frame had gone on without it
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        self._running = running = self._executor.submit(analyze)
        self._wait(running)
        if running.done():
            return running.result()
        return self._analyze(analyzer, None, faces, pixels, blurred)

    def _wait(self, running: Future[tuple[Track, ...]]) -> None:
        """Wait for the objects in a frame while no other frame waits, but not for long."""
        deadline = time.monotonic() + self._patience_s
        while not running.done() and time.monotonic() < deadline and not self._hurried():
            wait([running], CHECK_S)

    def _analyze(
        self,
        analyzer: StreamAnalyzer,
        pending: PendingObjects | None,
        faces: tuple[Track, ...] | None,
        pixels: FramePixels,
        blurred: BlurredFrame,
    ) -> tuple[Track, ...]:
        with self._best_effort():
            tracks, rule_events = analyzer.process(pending, faces, pixels, blurred.size)
            snapshot = None if faces is None else blurred  # none of faces that are not covered
            for rule_event in rule_events:
                self._report_with(rule_event, pixels.captured_at, snapshot)
            self._hold(analyzer.held_frames, pixels.captured_at, snapshot)
            return tracks
        return ()

    def _report_with(
        self, rule_event: RuleEvent, captured_at: float, snapshot: BlurredFrame | None
    ) -> None:
        """Report an event with the frame that shows its tracks, else with this one."""
        if rule_event.frame_at is not None:
            snapshot = self._held.get(rule_event.frame_at, snapshot)
        self._report(rule_event, captured_at, snapshot)

    def _hold(self, wanted: set[float], captured_at: float, frame: BlurredFrame | None) -> None:
        """Keep the frames that rules need for later events, the newest of them."""
        with self._holding:
            held = {at: kept for at, kept in self._held.items() if at in wanted}
            if frame is not None and captured_at in wanted:
                held[captured_at] = frame
            self._held = dict(sorted(held.items())[-MAX_HELD:])

    def end(self) -> None:
        """Finish what was begun, and report the last events, when the stream ends."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()
        if self._analyzer is not None:
            for rule_event in self._analyzer.end():
                self._report_with(rule_event, time.monotonic(), None)
            self._held = {}

    @contextmanager
    def _best_effort(self) -> Iterator[None]:
        try:
            yield
            self._supervisor.mark_recovered(ANALYSIS)
        except DetectorError as error:
            self._supervisor.mark_lost(ANALYSIS, error)
