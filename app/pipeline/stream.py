"""★ The path of a frame.

    read ──Frame──▶ detect ──Frame, Inference──▶ blur ──ProcessedFrame──▶ RTSP output ──▶ far end
          newest            in order                  └─────newest──────▶ preview ──▶ viewers

Each step has a thread of its own, which ``supervisor.py`` keeps running. ``read`` decodes.
``detect`` turns frames upright and starts inference for faces and, for streams with analytics, for
other objects, on networks that all streams share. ``blur`` waits for the detections, blurs the
faces and reports events. ``delivery.py`` hands the result to one thread for each sink, which
encodes and sends it.

A raw ``Frame`` exists between ``read`` and ``blur`` and nowhere else. What leaves is a
``ProcessedFrame``, which is blurred if the stream asks for blur. When the face detector fails or is
late, nothing leaves: the frame is withheld and counted.

Each arrow is a bounded ``Channel``: live sources drop the oldest frame, files wait.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from app.analytics.analyzer import StreamAnalyzer
from app.analytics.face_scanner import FaceScanner, PendingFaces
from app.analytics.face_tracker import FaceTracker
from app.analytics.scene_memory import PendingObjects
from app.budget import StreamBudget
from app.config import FaceSettings, StreamSettings
from app.errors import DetectorError, WatchpostError
from app.metric_types import HistogramSnapshot
from app.models.faces import FaceDetector
from app.pipeline.blur import conceal
from app.pipeline.channel import FILE_QUEUE, Channel, Closed
from app.pipeline.delivery import FrameDelivery
from app.pipeline.intake import FrameIntake
from app.pipeline.normalise import normalised
from app.pipeline.object_analysis import ObjectAnalysis
from app.pipeline.packets import PacketRing
from app.pipeline.patience import Patience
from app.pipeline.planes import copy_of
from app.pipeline.reduction import reduction
from app.pipeline.scale import ScaledFrame, to_output
from app.pipeline.sinks import Output, make_output
from app.pipeline.sources import make_source
from app.pipeline.sources.hardware import decoder_of
from app.pipeline.sources.paired import least_side, substream_stats, substream_workers
from app.pipeline.sources.played import PlayedFile
from app.pipeline.stream_metrics import StreamGauges, StreamMetrics
from app.pipeline.subscribers import Subscribers
from app.pipeline.supervisor import INPUT, Closable, Supervisor, Worker
from app.types import (
    Frame,
    ProcessedFrame,
    Reduced,
    StreamSpec,
    StreamState,
    StreamStatus,
    Track,
    WithheldFrame,
)

if TYPE_CHECKING:
    from av import VideoFrame

DETECT, BLUR = "detect", "blur"
FIRST_FRAME_S = 1.0


class Inference(NamedTuple):
    """The inferences started on one frame; None where none was."""

    faces: PendingFaces | None
    objects: PendingObjects | None


class Stream:
    """One run of one stream; it starts once and stops once.

    Args:
        faces: detector on the network that all streams share.
        analyzer: the stream's analytics; None when it asks for none.
        budget: its share in what the machine can do; None for a file, which waits.
        gives_way: whether a file has to leave room for live streams now.
        keeps_trying: the stream has run before, so an error at the start does not end it.
        make_sink: creates the output; that of a recording has no URL.
        packets: gets the encoded frames; None for a stream that must not be encoded.
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
        budget: StreamBudget | None = None,
        gives_way: Callable[[], bool] = lambda: False,
        keeps_trying: bool = False,
        make_sink: Output = make_output,
        packets: PacketRing | None = None,
    ) -> None:
        self.spec, self.subscribers, self.packets = spec, subscribers, packets
        self._settings, self._face_settings = settings, face_settings
        self._face_scanner = FaceScanner(faces, face_settings)
        self._face_tracker = FaceTracker(
            start_confidence=face_settings.min_confidence,
            hold_s=face_settings.hold_s,
            numbers=analyzer.numbers if analyzer else None,
        )
        self._budget = budget
        self._metrics = StreamMetrics()
        self.supervisor = Supervisor(spec, settings, self._metrics, keeps_trying=keeps_trying)
        least = least_side(spec, face_settings)
        self.source = make_source(spec, settings, lambda: self._delivery.is_watched, least)
        self._size: tuple[int, int] | None = None  # of the output
        live = self.source.live
        self._patience = Patience(live, self.supervisor.stopping, gives_way)
        self._frames: FrameIntake[Frame] = FrameIntake(
            spec, live=live, budget=budget, on_skipped=self._on_skipped
        )
        self._inferences: Channel[tuple[Frame, Inference]] = Channel(1, live=False)
        on_delivered = self.supervisor.on_delivered
        self._analysis = ObjectAnalysis(
            analyzer,
            spec,
            self.supervisor,
            live=live,
            hurried=self._another_waits,
            report=subscribers.report,
        )
        self._delivery = FrameDelivery(
            spec, settings, subscribers, on_delivered, live, make_sink, packets
        )
        self.preview = self._delivery.preview

    def start(self) -> None:
        """Start the threads. The outcome of the start is in ``supervisor.started``."""
        ends: list[Closable] = [self.subscribers.outcomes, self.subscribers.processed]
        if self._budget is not None:
            ends.append(self._budget)
        self.supervisor.start(
            [
                Worker(INPUT, self._read, [self._frames]),
                Worker(DETECT, self._detect, [self._inferences]),
                Worker(BLUR, self._blur_until_end, self._delivery.channels, ends),
                *self._delivery.workers(),
                *substream_workers(self.source, self.supervisor),
            ]
        )

    def _read(self) -> None:
        """Queue frames of the source, at most ``max_fps`` a second, until it ends or fails.

        A file waits until the far end has its first frame: networks may have to be compiled first,
        and no frame of a file may be lost meanwhile.
        """
        source, supervisor = self.source, self.supervisor
        try:
            source.open()
            hold_until = time.monotonic() + self._settings.start_timeout_s
            for frame in source.frames():
                if supervisor.stopping.is_set():
                    return
                if frame is None:
                    continue
                self._metrics.frame_in(frame.arrived)
                supervisor.on_frame(frame.captured_at)
                self._frames.put(frame)
                if isinstance(source, PlayedFile) and time.monotonic() < hold_until:
                    wait([supervisor.started], FIRST_FRAME_S)
        finally:
            source.close()

    def _on_skipped(self, number: int) -> None:
        self.subscribers.outcomes.publish(WithheldFrame(number))

    def _detect(self) -> None:
        """Start inference on each frame, while the frame before is blurred."""
        for frame, objects in self._frames_with_objects():
            with self._fail_closed(DETECT, frame):
                self._inferences.put((frame, Inference(self._submit_faces(frame), objects)))

    def _frames_with_objects(self) -> Iterator[tuple[Frame, PendingObjects | None]]:
        """Frames, each with its inference for objects.

        For a file, inference starts some frames ahead, because it takes longer than a frame.
        """
        ahead = 0 if self.source.live else FILE_QUEUE
        waiting: deque[tuple[Frame, PendingObjects | None]] = deque()
        try:
            while (raw := self._frames.get()) is not None:
                with self._fail_closed(DETECT, raw):
                    frame = replace(raw, image=self._normalised(raw), look=None)
                    look = frame.image if raw.look is None else self._normalised(raw.look)
                    objects = self._analysis.submit(look, frame.captured_at)
                    waiting.append((frame, objects))
                if len(waiting) > ahead:
                    yield waiting.popleft()
        except Closed:
            yield from waiting
            raise

    def _normalised(self, raw: Frame) -> VideoFrame:
        return normalised(raw.image, raw.orientation, raw.pixel_aspect, self.spec.rotate)

    def _submit_faces(self, frame: Frame) -> PendingFaces | None:
        """Start inference for the faces of a frame, if it is to be blurred."""
        if self.spec.is_clear(time.time()):
            return None
        small = ScaledFrame(frame.image, self._face_settings.width)
        gap_s = self._budget.level.face_gap_s if self._budget is not None else 0.0
        return self._patience.submit(self._face_scanner, small, frame.captured_at, gap_s=gap_s)

    def _blur_until_end(self) -> None:
        """Blur and deliver each frame; at the end, report the last events."""
        try:
            while (inferred := self._inferences.get()) is not None:
                with self._fail_closed(BLUR, inferred[0]):
                    self._publish(self._blur(*inferred))
        finally:
            self._analysis.end()

    def _another_waits(self) -> bool:
        return bool(len(self._inferences) or len(self._frames))

    def _blur(self, frame: Frame, inference: Inference) -> ProcessedFrame:
        """The processed frame of a raw frame and its inferences."""
        kept = self._size if frame.stands_in else None  # a viewer comes, and the size stays
        raw, at = frame.image, frame.captured_at
        image = to_output(raw, self.spec.downscale, kept)
        self._size = size = (image.width, image.height)
        faces = self._faces_in(inference, size, at)
        if image is raw and self._analysis.active:
            image = copy_of(raw)  # the analysis may still need the pixels of the faces
        boxes = [track.box for track in faces]
        if inference.faces is not None:
            boxes += inference.faces.held_covers(size)
        clear = inference.faces is None and self.spec.blur == "off"
        style = self.spec.blur if clear else self.spec.cover
        blurred = conceal(image, boxes, style, self.spec.blur_margin)
        known = None if inference.faces is None else faces
        objects = self._analysis.process(inference.objects, known, raw, at, blurred, frame.restarts)
        tracks, fps = (*faces, *objects), self._metrics.output_fps
        return ProcessedFrame(
            blurred,
            tracks,
            at,
            frame.number,
            frame.taken_at,
            time.monotonic(),
            fps,
            frame.jumped_s,
            covered=known is not None,
        )

    def _faces_in(self, asked: Inference, size: tuple[int, int], at: float) -> tuple[Track, ...]:
        """The faces to blur. Raises DetectorError when they are not known."""
        if asked.faces is None:
            return ()
        self._patience.wait(asked.faces)
        detections = asked.faces.detections(self._face_settings.timeout_s, size)
        self._face_tracker.resize(size)
        return self._face_tracker.update(detections, at)

    def _publish(self, result: ProcessedFrame) -> None:
        self._metrics.seen(sum(t.label == "face" for t in result.tracks), result.frame.size)
        self.subscribers.outcomes.publish(result.metadata())
        self.subscribers.processed.publish(result)
        self._delivery.put(result)

    @contextmanager
    def _fail_closed(self, step: str, frame: Frame) -> Iterator[None]:
        """Withhold a frame whose faces are not known, and go on with the next one.

        Whatever happens to a frame, its outcome is published.
        """
        failure: WatchpostError | None = WatchpostError()  # for a crash, which the caller gets too
        try:
            yield
            failure = None
            self.supervisor.mark_recovered(step)
        except DetectorError as error:
            failure = error
            self._metrics.withheld()
            self.supervisor.mark_lost(step, error)
        except Closed:
            failure = None
            raise
        finally:
            if failure is not None:
                self.subscribers.outcomes.publish(WithheldFrame(frame.number, failure))
            if failure is not None or step == BLUR:
                self._frames.done()

    def status(self) -> StreamStatus:
        """Configuration, state and statistics."""
        dropped = self.source.dropped + self._frames.dropped + self._delivery.channels[-1].dropped
        stats = self._metrics.stats(
            dropped=dropped, codec=self.source.codec or None, followed=self._analysis.counts
        )
        state = self.supervisor.state
        stats = replace(
            stats,
            places=self._analysis.place_counts,
            substream=substream_stats(self.source),
            decoder=decoder_of(self.source),
            encoder=self._delivery.encoder,
            reduced=self._reduced() if state is StreamState.RUNNING else None,
        )
        return StreamStatus(self.spec, state, stats)

    def _reduced(self) -> Reduced | None:
        return reduction(self.spec, self._budget, self._analysis, self._frames)

    def gauges(self) -> StreamGauges:
        """The measurements that only operators need."""
        waiting = {"frames": len(self._frames), "looks": len(self._inferences)}
        waiting |= self._delivery.waiting
        return StreamGauges(HistogramSnapshot.of(self._metrics.latency), waiting)
