"""What clips and recordings cost: CPU time for each second of video, without and with them.

First the parts alone: frames of a 1080p camera, decoded before, run through the small encoder, the
ring and the files. Then a whole server with one camera that nobody watches, recorded in each way.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import psutil

from app.config import StreamSettings
from app.db.engine import open_database
from app.db.footage import FootageRepository
from app.pipeline.blur import conceal
from app.pipeline.packets import PacketRing, VideoPacket
from app.pipeline.sinks.recording import RecordingEncoder
from app.recording.clips import ring_limits
from app.recording.continuous import SegmentRecorder
from app.recording.footage_files import FootageFiles
from app.recording.packet_file import write_clip
from app.types import BlurredFrame, ProcessedFrame, StreamSpec
from bench import clip, live
from bench.table import show

SECONDS, FPS = 20, 5
CLIP_EVERY_S = 15
SPEC = StreamSpec("cam", "rtsp://192.0.2.1/cam", analytics={"smoking": {}}, encoder="libx264")
WARM_UP_S, MEASURE_S = 8, 20
CAMERA = "people, one by one"


def run() -> None:
    """Print both tables."""
    rows = [_parts(name) for name in clip.available() if name in (clip.WANDERING, CAMERA)]
    parts = ["small encoder", "clip of 15 s every 15 s", "continuous", "kbit/s"]
    show("Recording a 1080p camera: CPU ms a second", ["video", *parts], rows)
    _servers()


def _parts(name: str) -> list[object]:
    frames = list(_frames(clip.make(SECONDS, fps=FPS, name=name)))
    ring = PacketRing(ring_limits(SPEC)._replace(seconds=1e9))
    sink = RecordingEncoder(SPEC, StreamSettings(), ring, lambda *_: None)

    def encode() -> None:
        for place, frame in enumerate(frames):
            result = ProcessedFrame(frame, (), place / FPS, place, covered=True)
            if sink.wants(result):
                sink.write(result)

    encoding = _cpu_ms(encode)
    packets = ring.between(0, 1e9)
    with tempfile.TemporaryDirectory() as folder:
        clips = _cpu_ms(lambda: _write_clips(Path(folder), ring))
        continuous = _write_segments(Path(folder), packets)
    rate = sum(len(packet.data) for packet in packets) * 8 / SECONDS / 1000
    return [name, f"{encoding:.1f}", f"{clips:.1f}", f"{continuous:.1f}", f"{rate:.0f}"]


def _frames(path: Path) -> Iterator[BlurredFrame]:
    with av.open(str(path)) as container:
        for image in container.decode(video=0):
            yield conceal(image, [], "off", 0)


def _cpu_ms(work: Callable[[], None]) -> float:
    """CPU time of all threads for each second of the video."""
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1000 / SECONDS


def _write_clips(folder: Path, ring: PacketRing) -> None:
    for start in range(0, SECONDS, CLIP_EVERY_S):
        write_clip(folder / f"{start}.mp4", ring.between(start, start + CLIP_EVERY_S))


def _write_segments(folder: Path, packets: list[VideoPacket]) -> float:
    store = FootageRepository(open_database(f"sqlite:///{folder / 'watchpost.db'}"), folder)
    recorder = SegmentRecorder("cam", FootageFiles(folder), store, 300.0)

    def write() -> None:
        for packet in packets:
            recorder.write(packet)
        recorder.finish()

    return _cpu_ms(write)


def _servers() -> None:
    sys.path.insert(0, str(live.ROOT / "tests"))
    from support import rtsp

    missing = rtsp.available()
    if missing or CAMERA not in clip.available():
        print(f"\nservers are not measured: {missing or 'there is no such video'}")
        return
    source = clip.make(20, fps=15, name=CAMERA)
    with tempfile.TemporaryDirectory() as folder, rtsp.RtspServer(serve={"cam": source}) as cameras:
        url = cameras.url("/cam")
        rows = [_server(record, url, Path(folder)) for record in ("off", "events", "continuous")]
    show("A server with one 1080p15 camera", ["record", "CPU ms a second", "MiB"], rows)


def _server(record: str, url: str, folder: Path) -> list[object]:
    with live.server(folder / record) as (client, pid):
        body = {"camera_id": "cam", "source": url, "analytics": ["smoking"], "record": record}
        client.post("/cameras", json=body).raise_for_status()
        time.sleep(WARM_UP_S)
        process = psutil.Process(pid)
        before, began_at = sum(process.cpu_times()[:2]), time.monotonic()
        time.sleep(MEASURE_S)
        used_s = sum(process.cpu_times()[:2]) - before
        memory = process.memory_info().rss / 2**20
        rate = used_s * 1000 / (time.monotonic() - began_at)
        return [record, f"{rate:.0f}", f"{memory:.0f}"]
