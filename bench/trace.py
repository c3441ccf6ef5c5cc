"""Where a frame's time goes: what each step of a live stream waits for, in milliseconds.

Streams run in this process, from an RTSP server to an RTSP server, and the calls that mark the
steps are timed for each frame: the median and the slowest twentieth of each step. With
``ONEDNN_MAX_CPU_ISA=AVX2`` networks compute as on most small boxes.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from app.budget import Budget
from app.config import FaceSettings, StreamSettings
from app.models.faces import FaceDetector, load_faces
from app.pipeline.delivery import FrameDelivery
from app.pipeline.intake import FrameIntake
from app.pipeline.patience import Patience
from app.pipeline.sinks.rtsp import RtspSink
from app.pipeline.stream import Stream
from app.pipeline.subscribers import Subscribers
from app.pipeline.supervisor import OUTPUT, Supervisor
from app.types import StreamSpec
from bench import clip
from bench.live import ROOT
from bench.table import show

STREAMS = (1, 4)
WARM_UP_S, MEASURE_S = 6.0, 10.0
STEPS = (
    ("decoded", "arrival, decoding"),
    ("taken", "waits until another may be in progress"),
    ("requested", "upright, resized, motion; faces requested"),
    ("found", "waits for the face network"),
    ("blurred", "tracked, blurred"),
    ("encoding", "waits for the encoder"),
    ("delivered", "encoded, published, taken by the RTSP server"),
)

Key = tuple[str, float]


class FrameTrace:
    """When each frame, by its stream and capture time, passed each step.

    Attributes:
        names: of the streams, by the identity of their parts.
    """

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.times: dict[Key, dict[str, float]] = defaultdict(dict)

    def mark(self, step: str, stream: str, captured_at: float, at: float | None = None) -> None:
        """Note that a frame has passed a step, now or at another time."""
        self.times[stream, captured_at].setdefault(step, time.monotonic() if at is None else at)

    def waits_ms(self, since: float) -> dict[str, list[float]]:
        """The time of each step in milliseconds, of all frames captured since then."""
        waits: dict[str, list[float]] = defaultdict(list)
        for (_, captured_at), passed in list(self.times.items()):
            if captured_at < since or len(passed) < len(STEPS):
                continue
            before = captured_at
            for step, _ in STEPS:
                waits[step].append((passed[step] - before) * 1000)
                before = passed[step]
            waits["total"].append((before - captured_at) * 1000)
        return waits


@contextmanager
def recorded(recorder: FrameTrace) -> Iterator[None]:
    """Time the calls that mark the steps, in all streams of this process."""
    mark = recorder.mark

    def after(target: Any, name: str, note: Callable[[Any, tuple[Any, ...], Any], None]) -> Any:
        original = getattr(target, name)

        @functools.wraps(original)
        def call(self: Any, *args: Any, **options: Any) -> Any:
            result = original(self, *args, **options)
            note(self, args, result)
            return result

        return mock.patch.object(target, name, call)

    def before(target: Any, name: str, note: Callable[[Any, tuple[Any, ...]], None]) -> Any:
        original = getattr(target, name)

        @functools.wraps(original)
        def call(self: Any, *args: Any, **options: Any) -> Any:
            note(self, args)
            return original(self, *args, **options)

        return mock.patch.object(target, name, call)

    def named(self: Any) -> str:
        return recorder.names[id(self)]

    def taken(self: Any, _: object, frame: Any) -> None:
        if frame is not None:
            mark("taken", named(self), frame.captured_at)

    def delivered(self: Any, args: tuple[Any, ...]) -> None:
        end, captured_at, delivered_at = args
        if end == OUTPUT:
            mark("delivered", self._spec.stream_id, captured_at, delivered_at)

    with (
        before(FrameIntake, "put", lambda s, a: mark("decoded", named(s), a[0].captured_at)),
        after(FrameIntake, "get", taken),
        after(Patience, "submit", lambda s, a, _: mark("requested", named(s), a[2])),
        after(Stream, "_faces_in", lambda s, a, _: mark("found", s.spec.stream_id, a[2])),
        before(FrameDelivery, "put", lambda s, a: mark("blurred", named(s), a[0].captured_at)),
        before(
            RtspSink, "write", lambda s, a: mark("encoding", s._spec.stream_id, a[0].captured_at)
        ),
        before(Supervisor, "on_delivered", delivered),
    ):
        yield


def run(counts: Sequence[int] = STREAMS) -> None:
    """Print a table with these numbers of streams."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support import rtsp

    missing = rtsp.available()
    if missing:
        print(f"\nframes are not traced: {missing}")
        return
    network = load_faces()
    try:
        name = next(name for name in (*clip.FIXED, clip.WANDERING) if name in clip.available())
        with rtsp.RtspServer(serve={"cam": clip.make(20, fps=15, name=name)}) as cameras:
            found = [asyncio.run(_trace(count, cameras, network)) for count in counts]
    finally:
        network.close()
    head = ["step"] + [f"{count} streams: {what}" for count in counts for what in ("p50", "p95")]
    rows = [
        [text] + [cell for waits in found for cell in _percentiles(waits[step])]
        for step, text in (*STEPS, ("total", "**camera to RTSP server**"))
    ]
    show(f"What a frame waits for, ms: live 1080p15, {name}", head, rows)


async def _trace(count: int, cameras: Any, network: Any) -> dict[str, list[float]]:
    """Run streams for a while; the time of each step of their frames."""
    recorder, budget, streams = FrameTrace(), Budget(), []
    settings = FaceSettings()
    faces = FaceDetector(network, min_confidence=settings.keep_confidence)
    loop = asyncio.get_running_loop()
    with recorded(recorder):
        for number in range(count):
            output = cameras.url(f"/traced{count}-{number}")
            spec = StreamSpec(f"cam{number}", cameras.url("/cam"), output)
            share = budget.stream(analyzes=False)
            subscribers = Subscribers.on(loop)
            stream = Stream(spec, StreamSettings(), settings, faces, subscribers, budget=share)
            for part in (stream._frames, stream._patience, stream._delivery):
                recorder.names[id(part)] = spec.stream_id
            streams.append(stream)
            stream.start()
        await asyncio.sleep(WARM_UP_S)
        since = time.monotonic()
        await asyncio.sleep(MEASURE_S)
        for stream in streams:
            await asyncio.to_thread(stream.supervisor.stop, 10)
    return recorder.waits_ms(since)


def _percentiles(values: Sequence[float]) -> list[str]:
    if len(values) < 2:
        return ["-", "-"]
    return [f"{statistics.median(values):.0f}", f"{statistics.quantiles(values, n=20)[-1]:.0f}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=STREAMS)
    run(parser.parse_args().streams)
