"""★ What happens to one frame, and how one stream lives and dies.

    read ──Frame──▶ look ──Frame, Looks──▶ cover ──Result──▶ deliver ──▶ RTSP server (far end)
         newest          in order              newest   └──▶ deliver ──▶ preview ──▶ viewers

Four kinds of threads: ``read`` decodes, ``look`` resizes and asks the shared networks for faces
and, for streams with analytics, for other things; ``cover`` takes the answers, blurs, and tells
what happened; ``deliver`` encodes and sends.

A raw ``Frame`` exists between ``read`` and ``cover`` and nowhere else. What leaves is a
``ProcessedFrame``, whose picture is blurred when the stream asks for blur; where the face detector
fails or is late, nothing leaves: the frame is withheld and counted.

Each arrow is a bounded ``Channel``: live sources drop the oldest frame, files wait. Each thread
runs under ``_supervise``, the only place that catches broadly: it tries again after a growing
pause, for ever once the stream has run. Before that, a definite refusal ends the stream, so
that whoever waits for ``started`` learns why at once.

Nothing tells the state to change: ``state`` reads it off the age of the last delivered frame
and off which ends are known to be lost.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from app.analytics.analyzer import StreamAnalyzer
from app.analytics.face_scanner import FaceScanner, PendingFaces
from app.analytics.face_tracker import FaceTracker
from app.analytics.rules import FramePixels
from app.config import FaceSettings, StreamSettings
from app.errors import (
    BadFrame,
    DetectorError,
    FarEndError,
    NotPushable,
    SourceError,
    StartCancelled,
    WatchpostError,
)
from app.failure_reason import FailureReason
from app.metric_types import HistogramSnapshot
from app.models.detections import PendingDetections
from app.models.faces import FaceDetector
from app.pace import Backoff, RateLimit
from app.pipeline.blur import conceal
from app.pipeline.channel import Broadcast, Channel, Closed
from app.pipeline.hub import EventStream, LatestValue
from app.pipeline.scale import part_to_rgb, to_output, to_rgb
from app.pipeline.sinks import Output, Preview, Sink, make_output
from app.pipeline.sources import make_source
from app.pipeline.sources.played import PlayedFile
from app.pipeline.sources.push import Pushed, PushSource
from app.pipeline.stream_metrics import StreamMetrics
from app.types import (
    BlurredFrame,
    Frame,
    FrameMetadata,
    JpegFrame,
    ProcessedFrame,
    RuleEvent,
    StreamHealth,
    StreamSpec,
    StreamState,
    StreamStatus,
    Track,
    WithheldFrame,
)
from app.urls import scrub, without_credentials

logger = logging.getLogger(__name__)

FILE_QUEUE = 4
OUTPUT, PREVIEW, ANALYSIS = "output", "preview", "analysis"
IDLE_CHECK_S = 0.5
FIRST_PICTURE_S = 1.0
SLOW_STREAM_INTERVALS = 3
Fed = Channel[Any] | LatestValue[Any] | EventStream[Any] | Broadcast[Any]
PATIENT_REASONS = (FailureReason.TIMEOUT, FailureReason.STALLED)
Tell = Callable[[RuleEvent, float, BlurredFrame | None], None]


class Inference(NamedTuple):
    """What the networks were asked about one frame; None where nothing was asked."""

    faces: PendingFaces | None
    objects: PendingDetections | None


class StreamGauges(NamedTuple):
    """What only the operator of a server wants to know about a run.

    Attributes:
        latency: seconds from the camera to the far end.
        waiting: frames and results between its threads, by queue.
    """

    latency: HistogramSnapshot
    waiting: dict[str, int]


class Subscribers(NamedTuple):
    """Who follows a stream; all are closed at its end.

    Attributes:
        pictures: the newest result with its JPEG, while somebody listens.
        results: what became of every frame, in order.
        tell: takes what the rules find, the Unix time and the picture it happened in.
        taps: every result with its picture, to other threads: recordings.
    """

    pictures: LatestValue[JpegFrame]
    results: EventStream[FrameMetadata | WithheldFrame]
    tell: Tell
    processed: Broadcast[ProcessedFrame]

    @classmethod
    def on(cls, loop: asyncio.AbstractEventLoop, tell: Tell | None = None) -> Subscribers:
        """Nobody yet; events go to ``tell``."""
        return cls(LatestValue(loop), EventStream(loop), tell or (lambda *_: None), Broadcast())


class Stream:
    """One run of one stream; it starts once and stops once.

    Args:
        faces: detector on the network that all streams share.
        analysis: what the stream's analytics need, None when it asks for none.
        keeps_trying: the stream has run before, so no refusal at the start ends it.
        make_sink: makes the output; a recording is one that no caller can name by URL.
    """

    def __init__(
        self,
        spec: StreamSpec,
        settings: StreamSettings,
        face_settings: FaceSettings,
        faces: FaceDetector,
        subscribers: Subscribers,
        *,
        analyzer: StreamAnalyzer | None = None,
        keeps_trying: bool = False,
        make_sink: Output = make_output,
    ) -> None:
        self.spec = spec
        self.started: Future[None] = Future()
        self.subscribers = subscribers
        self._analyzer = analyzer
        self._settings = settings
        self._face_settings = face_settings
        self._face_scanner = FaceScanner(faces, face_settings)
        self._face_tracker = FaceTracker(
            start_confidence=face_settings.min_confidence,
            hold_s=face_settings.hold_s,
            numbers=analyzer.numbers if analyzer else None,
        )
        self._metrics = StreamMetrics()
        self.source = make_source(spec, settings)
        live = self.source.live
        self._frames: Channel[Frame] = Channel(1 if live else FILE_QUEUE, live=live)
        self._inferences: Channel[tuple[Frame, Inference]] = Channel(1, live=False)
        output = make_sink(spec, settings, functools.partial(self._on_delivered, OUTPUT))
        self.preview = Preview(subscribers.pictures, functools.partial(self._on_delivered, PREVIEW))
        self._far_end = OUTPUT if output else PREVIEW
        self._sinks: list[tuple[Sink, Channel[ProcessedFrame]]] = [
            (self.preview, Channel(1, live=True))
        ]
        if output is not None:
            self._sinks.append((output, Channel(2 if live else FILE_QUEUE, live=live)))
        self._ran = keeps_trying
        self._lost: set[str] = set()
        self._failure: WatchpostError | None = None
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    # ── one frame ────────────────────────────────────────────────────────────────────────

    def _submit_faces(self, frame: Frame) -> PendingFaces | None:
        """Ask the network for the faces of a frame that is to be blurred."""
        if self.spec.blur == "off":
            return None
        small = to_rgb(frame.image, self._face_settings.width)
        return self._face_scanner.submit(small, frame.captured_at)

    def _submit_objects(self, frame: Frame) -> PendingDetections | None:
        """Ask the network for everything else when it is time for that."""
        if self._analyzer is not None:
            with self._best_effort(ANALYSIS):
                return self._analyzer.submit(
                    frame.captured_at, functools.partial(to_rgb, frame.image)
                )
        return None

    def _blur(self, frame: Frame, looks: Inference) -> ProcessedFrame:
        """From a raw frame and what is known about it to what may leave."""
        image = to_output(frame.image, self.spec.downscale)
        size = (image.width, image.height)
        faces = self._faces_in(looks, size, frame.captured_at)
        boxes = [track.box for track in faces]
        objects, rule_events = self._objects_in(frame, looks, faces, size)
        picture = conceal(image, boxes, self.spec.blur, self.spec.blur_margin)
        for rule_event in rule_events:
            self._tell(rule_event, frame.captured_at, picture)
        return ProcessedFrame(
            picture,
            (*faces, *objects),
            frame.captured_at,
            frame.number,
            frame.taken_at,
            time.monotonic(),
            self._metrics.output_fps,
        )

    def _faces_in(self, looks: Inference, size: tuple[int, int], now: float) -> tuple[Track, ...]:
        """The faces to cover. Raises DetectorError when they are not known."""
        if looks.faces is None:
            return ()
        detections = looks.faces.detections(self._face_settings.timeout_s, size)
        return self._face_tracker.update(detections, now)

    def _objects_in(
        self, frame: Frame, looks: Inference, faces: tuple[Track, ...], size: tuple[int, int]
    ) -> tuple[tuple[Track, ...], list[RuleEvent]]:
        """What the analytics follow and find; nothing when the network fails: video goes on."""
        if self._analyzer is not None:
            covered = None if looks.faces is None else faces
            seen = FramePixels(
                (frame.image.width, frame.image.height),
                functools.partial(part_to_rgb, frame.image),
                functools.partial(to_rgb, frame.image),
                frame.captured_at,
            )
            with self._best_effort(ANALYSIS):
                return self._analyzer.process(looks.objects, covered, seen, size)
        return (), []

    # ── four kinds of threads ────────────────────────────────────────────────────────────

    def _read(self) -> None:
        """Source to frames, no more than ``max_fps``, until the input ends or the line breaks.

        A file waits until a picture is out at the far end: its networks may have to be compiled
        first, and nothing of it shall be lost meanwhile.
        """
        limit = RateLimit(self.spec.max_fps)
        source = self.source
        try:
            source.open()
            hold_until = time.monotonic() + self._settings.start_timeout_s
            for frame in source.frames():
                if self._stop.is_set():
                    return
                if frame is None:
                    continue
                self._metrics.frame_in()
                self._mark_recovered("input")
                if limit.take(frame.captured_at) and (oldest := self._frames.put(frame)):
                    self.subscribers.results.publish(WithheldFrame(oldest.number))
                if isinstance(source, PlayedFile) and time.monotonic() < hold_until:
                    wait([self.started], FIRST_PICTURE_S)
        finally:
            source.close()

    def _look(self) -> None:
        """Frames to looks; the network works on one frame while the one before is covered."""
        for frame, objects in self._frames_with_objects():
            with self._fail_closed("look", frame):
                self._inferences.put((frame, Inference(self._submit_faces(frame), objects)))

    def _frames_with_objects(self) -> Iterator[tuple[Frame, PendingDetections | None]]:
        """Frames, with the look at each that looks for things.

        Of a file that look is asked for some frames early, as it takes longer than a frame.
        """
        ahead = 0 if self.source.live else FILE_QUEUE
        waiting: deque[tuple[Frame, PendingDetections | None]] = deque()
        try:
            while (frame := self._frames.get()) is not None:
                with self._fail_closed("look", frame):
                    waiting.append((frame, self._submit_objects(frame)))
                if len(waiting) > ahead:
                    yield waiting.popleft()
        except Closed:
            yield from waiting
            raise

    def _blur_all(self) -> None:
        """Looks to results, to every outlet; what is still going on at the end ends with it."""
        try:
            self._blur_each()
        finally:
            if self._analyzer is not None:
                for rule_event in self._analyzer.end():
                    self._tell(rule_event, time.monotonic(), None)

    def _blur_each(self) -> None:
        while (looked := self._inferences.get()) is not None:
            with self._fail_closed("cover", looked[0]):
                result = self._blur(*looked)
                faces = sum(track.label == "face" for track in result.tracks)
                self._metrics.seen(faces, result.picture.size)
                self.subscribers.results.publish(result.report())
                self.subscribers.processed.publish(result)
                for _, channel in self._sinks:
                    channel.put(result)

    @contextmanager
    def _fail_closed(self, end: str, frame: Frame) -> Iterator[None]:
        """A frame whose faces are not known goes nowhere, and the next one has its chance.

        Whatever happens to it, who waits for its outcome is told.
        """
        try:
            yield
            self._mark_recovered(end)
        except DetectorError as error:
            self._metrics.withheld()
            self.subscribers.results.publish(WithheldFrame(frame.number, error))
            self._mark_lost(end, error)
        except Closed:
            raise
        except Exception:
            self.subscribers.results.publish(WithheldFrame(frame.number, WatchpostError()))
            raise

    @contextmanager
    def _best_effort(self, end: str) -> Iterator[None]:
        """What is not needed to keep faces private may fail without costing a frame."""
        try:
            yield
            self._mark_recovered(end)
        except DetectorError as error:
            self._mark_lost(end, error)

    def _deliver(self, sink: Sink, channel: Channel[ProcessedFrame]) -> None:
        """Results to one sink."""
        last_at = time.monotonic()
        try:
            while True:
                result = channel.get(timeout=IDLE_CHECK_S)
                if result is None:
                    sink.idle(time.monotonic() - last_at)
                else:
                    sink.write(result)
                    last_at = time.monotonic()
        finally:
            sink.close()

    # ── life ─────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin. The outcome of the start is in ``started``."""
        channels = [channel for _, channel in self._sinks]
        self._spawn("input", self._read, [self._frames])
        self._spawn("look", self._look, [self._inferences])
        self._spawn(
            "cover",
            self._blur_all,
            [*channels, self.subscribers.results, self.subscribers.processed],
        )
        for sink, channel in self._sinks:
            end, fed = (
                (PREVIEW, [self.subscribers.pictures]) if sink is self.preview else (OUTPUT, [])
            )
            self._spawn(end, functools.partial(self._deliver, sink, channel), fed)

    def stop(self, timeout_s: float) -> bool:
        """End all threads; blocks. False when one still hangs in the network after that time.

        Such a thread ends by itself when its own time limit passes; nothing it has reaches
        anybody any more.
        """
        deadline = time.monotonic() + timeout_s
        self._shut()
        self.begin_shutdown(StartCancelled(stream_id=self.spec.stream_id))
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def begin_shutdown(self, why: WatchpostError) -> None:
        """Answer who waits for the start, and end what viewers watch."""
        _settle(self.started, why)
        self.subscribers.pictures.close()
        self.subscribers.results.close()
        self.subscribers.processed.close()

    def _shut(self) -> None:
        self._stop.set()
        self._frames.close(discard=True)
        self._inferences.close(discard=True)
        for _, channel in self._sinks:
            channel.close(discard=True)

    def _spawn(self, end: str, work: Callable[[], None], feeds: Sequence[Fed]) -> None:
        """Run ``work`` supervised in a thread; what it feeds is closed when it is over."""

        def run() -> None:
            self._supervise(end, work)
            for fed in feeds:
                fed.close()
            if end == self._far_end:  # a file without frames: who waits must hear of it
                url = without_credentials(self.spec.source)
                _settle(self.started, SourceError(end="input", reason=FailureReason.ENDED, url=url))

        thread = threading.Thread(target=run, name=f"{self.spec.stream_id}-{end}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _supervise(self, end: str, work: Callable[[], None]) -> None:
        """Run ``work`` again and again until it is done, the stream stops, or must not go on."""
        backoff = Backoff(self._settings.backoff_first_s, self._settings.backoff_max_s)
        while not self._stop.is_set():
            try:
                work()
                return
            except Closed:
                return
            except WatchpostError as error:
                failure = error
            except Exception as error:
                logger.exception("stream %s: %s crashed", self.spec.stream_id, end)
                failure = WatchpostError(end=end, reason=type(error).__name__)
            if self._stop.is_set():
                return
            if end not in self._lost:  # it worked in between
                backoff.reset()
            self._mark_lost(end, failure)
            if not self._ran and self._is_vital(end) and _is_definite(failure):
                self._failure = failure
                self._shut()
                _settle(self.started, failure)
                return
            self._stop.wait(backoff.next())

    def _tell(
        self, rule_event: RuleEvent, captured_at: float, picture: BlurredFrame | None
    ) -> None:
        happened_at = captured_at if rule_event.at is None else rule_event.at
        ts = time.time() - (time.monotonic() - happened_at)
        self.subscribers.tell(rule_event, ts, picture)

    def _mark_lost(self, end: str, error: WatchpostError) -> None:
        """One line in the log for each time something is lost, not for each attempt."""
        text = scrub(str(error))
        if end not in self._lost:
            logger.warning("stream %s: %s", self.spec.stream_id, text)
            if self._ran and self._is_vital(end):
                self._metrics.reconnect()
        self._lost.add(end)
        self._metrics.error(text)

    def _mark_recovered(self, end: str) -> None:
        if end in self._lost:
            self._lost.discard(end)
            logger.info("stream %s: %s is back", self.spec.stream_id, end)

    def _is_vital(self, end: str) -> bool:
        """A preview beside an output, or analytics, may fail: no stream is lost by that."""
        return end != ANALYSIS and (end != PREVIEW or self._far_end == PREVIEW)

    def _on_delivered(self, end: str, captured_at: float, delivered_at: float) -> None:
        self._mark_recovered(end)
        if end != self._far_end:
            return
        self._metrics.delivered(captured_at, delivered_at)
        self._ran = True
        _settle(self.started, None)

    # ── what others see ──────────────────────────────────────────────────────────────────

    @property
    def state(self) -> StreamState:
        if self._failure is not None:
            return StreamState.FAILED
        if self._stop.is_set() or not any(thread.is_alive() for thread in self._threads):
            return StreamState.STOPPED
        lost = any(self._is_vital(end) for end in tuple(self._lost))
        last = self._metrics.last_delivered_at
        if last is None:
            return StreamState.RECONNECTING if self._ran and lost else StreamState.STARTING
        patience = max(self._settings.stall_timeout_s, SLOW_STREAM_INTERVALS / self.spec.max_fps)
        if lost or time.monotonic() - last > patience:
            return StreamState.RECONNECTING
        return StreamState.RUNNING

    @property
    def pulse(self) -> StreamHealth:
        lost = any(self._is_vital(end) for end in tuple(self._lost))
        failed = self._failure is not None
        return StreamHealth(self.state, self._metrics.last_error if lost or failed else None)

    def push(self, data: bytes, number: int) -> None:
        """Hand in an encoded picture. Raises NotPushable when the source is another."""
        if not isinstance(self.source, PushSource):
            raise NotPushable(stream_id=self.spec.stream_id)

        def lost(error: BadFrame | None) -> None:
            self.subscribers.results.publish(WithheldFrame(number, error))

        self.source.push(Pushed(data, number, time.monotonic(), lost))

    def status(self) -> StreamStatus:
        dropped = self.source.dropped + self._frames.dropped + self._sinks[-1][1].dropped
        stats = self._metrics.stats(dropped=dropped, codec=self.source.codec or None)
        if self._analyzer is not None:
            stats = replace(stats, followed=self._analyzer.counts)
        return StreamStatus(self.spec, self.state, stats)

    def measures(self) -> StreamGauges:
        names = (PREVIEW, OUTPUT)
        outlets = {
            name: len(channel) for name, (_, channel) in zip(names, self._sinks, strict=False)
        }
        waiting = {"frames": len(self._frames), "looks": len(self._inferences), **outlets}
        return StreamGauges(self._metrics.latency.read(), waiting)


def _is_definite(failure: WatchpostError) -> bool:
    """Whether trying again within the next seconds is pointless."""
    return not (isinstance(failure, FarEndError) and failure.details["reason"] in PATIENT_REASONS)


def _settle(future: Future[None], failure: WatchpostError | None) -> None:
    """Answer a future once; the first answer stays."""
    try:
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
    except InvalidStateError:
        pass
