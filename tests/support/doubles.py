"""Scripted ends of a stream for tests.

Only what lies outside the process is replaced (camera, RTSP server, the network's weights); the
code between the ends is the real one.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from app.config import StreamSettings
from app.errors import SinkError, SourceError, StoreError
from app.failure_reason import FailureReason
from app.models.network import Images, Outputs
from app.types import Frame, ProcessedFrame, StoredStream, StreamSpec

PATIENCE_S = 30.0
STRIDES = (8, 16, 32)


def noise(width: int = 320, height: int = 192, seed: int = 1) -> av.VideoFrame:
    """An image without smooth areas, so that blur is visible."""
    rng = np.random.default_rng(seed)
    planes = rng.integers(16, 236, (height * 3 // 2, width), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def luma(image: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """A copy of the Y plane."""
    if not _packed(image):
        return _plane(image, 0)
    return np.asarray(image.reformat(format="gray8").to_ndarray(), np.uint8)


def _packed(image: av.VideoFrame) -> bool:
    return not image.format.name.startswith(("yuv4", "yuvj4", "gray"))


def _plane(image: av.VideoFrame, index: int) -> npt.NDArray[np.uint8]:
    plane = image.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width].copy()


def planes(image: av.VideoFrame) -> list[npt.NDArray[np.uint8]]:
    """Copies of all planes."""
    return [_plane(image, index) for index in range(len(image.planes))]


@dataclass
class Camera:
    """One input for all streams of a test.

    Attributes:
        images: its frames, repeated.
        count: frames of one connection, after which it ends or raises ``breaks_with``.
        refuses_with: what ``open`` raises.
        holds_open: ``open`` hangs until ``release``.
    """

    live: bool = True
    interval_s: float = 0.01
    count: int | None = None
    breaks_with: Exception | None = None
    refuses_with: Exception | None = None
    images: list[av.VideoFrame] = field(default_factory=lambda: [noise()])
    opened: int = 0
    closed: int = 0
    holds_open: bool = False

    def __post_init__(self) -> None:
        self.showing = threading.Event()
        self.showing.set()
        self._released = threading.Event()

    def source(self, spec: StreamSpec, settings: StreamSettings) -> _CameraSource:
        return _CameraSource(self, settings)

    def stall(self) -> None:
        """Send no more frames, but keep the connection."""
        self.showing.clear()

    def release(self) -> None:
        """Release everything that hangs."""
        self._released.set()
        self.showing.set()


class _CameraSource:
    codec = "test"
    dropped = 0

    def __init__(self, camera: Camera, settings: StreamSettings) -> None:
        self.live = camera.live
        self._camera = camera
        self._settings = settings

    def open(self) -> None:
        self._camera.opened += 1
        if self._camera.holds_open:
            self._camera._released.wait(PATIENCE_S)
        if self._camera.refuses_with is not None:
            raise self._camera.refuses_with

    def frames(self) -> Iterator[Frame]:
        camera, number, started_at = self._camera, 0, time.monotonic()
        while camera.count is None or number < camera.count:
            if not camera.showing.wait(self._settings.stall_timeout_s):
                raise source_error(FailureReason.STALLED)
            image = camera.images[number % len(camera.images)]
            number += 1
            if self.live:
                time.sleep(camera.interval_s)
            at = time.monotonic() if self.live else started_at + number * camera.interval_s
            yield Frame(image.reformat(format="yuv420p"), at, number)
        if camera.breaks_with is not None:
            raise camera.breaks_with

    def close(self) -> None:
        self._camera.closed += 1


def source_error(reason: str) -> SourceError:
    return SourceError(end="input", reason=reason, url="rtsp://192.0.2.1/cam")


def sink_error(reason: str) -> SinkError:
    return SinkError(end="output", reason=reason, url="rtsp://192.0.2.1/cam-blur")


class FarEnd:
    """The outputs of a test.

    Attributes:
        results: what arrived, of all streams, with the output's URL.
        open_at: outputs in use, by how many sinks at once; more than one is a bug.
        refuses_with: what ``write`` raises.
        silent: it accepts results without an acknowledgement.
    """

    def __init__(self) -> None:
        self.results: queue.Queue[tuple[str, ProcessedFrame]] = queue.Queue()
        self.users: dict[str, set[int]] = {}
        self.most_users = 0
        self.refuses_with: Exception | None = None
        self.silent = False
        self.taking = threading.Event()
        self.taking.set()
        self._lock = threading.Lock()

    def sink(
        self, spec: StreamSpec, settings: StreamSettings, delivered: Callable[[float, float], None]
    ) -> _FarEndSink:
        return _FarEndSink(self, spec.output or "", delivered)

    def next(self, timeout_s: float = PATIENCE_S) -> ProcessedFrame:
        return self.results.get(timeout=timeout_s)[1]

    def forget(self) -> None:
        while not self.results.empty():
            self.results.get()

    def release(self) -> None:
        self.taking.set()

    def use(self, url: str, who: int) -> None:
        with self._lock:
            users = self.users.setdefault(url, set())
            users.add(who)
            self.most_users = max(self.most_users, len(users))

    def leave(self, url: str, who: int) -> None:
        with self._lock:
            self.users.setdefault(url, set()).discard(who)

    @property
    def in_use(self) -> set[str]:
        with self._lock:
            return {url for url, users in self.users.items() if users}


class _FarEndSink:
    def __init__(
        self, far_end: FarEnd, url: str, delivered: Callable[[float, float], None]
    ) -> None:
        self._far_end, self._url, self._delivered = far_end, url, delivered

    def write(self, result: ProcessedFrame) -> None:
        far_end = self._far_end
        if far_end.refuses_with is not None:
            raise far_end.refuses_with
        far_end.taking.wait(PATIENCE_S)
        far_end.use(self._url, id(self))
        far_end.results.put((self._url, result))
        if not far_end.silent:
            self._delivered(result.captured_at, time.monotonic())

    def idle(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        self._far_end.leave(self._url, id(self))


@dataclass
class FaceNetwork:
    """YuNet's outputs without its weights: it finds ``sees`` in every image.

    Attributes:
        sees: centre x, centre y, width, height, confidence in pixels of its input.
        fails_with: what ``infer`` raises.
        answers: replaces its outputs.
    """

    name: str = "faces"
    parallel: int = 1
    max_batch: int = 8
    sees: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    fails_with: Exception | None = None
    answers: Callable[[Images], Outputs] | None = None
    asked: int = 0
    batches: list[tuple[int, ...]] = field(default_factory=list)
    path: Path = Path("faces.xml")
    device: str = "here"
    precision: str = "fp32"

    def __post_init__(self) -> None:
        self.answering = threading.Event()
        self.answering.set()
        self.busy = threading.Event()

    def infer(self, images: Images) -> Outputs:
        self.asked += len(images)
        self.batches.append(images.shape)
        self.busy.set()
        self.answering.wait(PATIENCE_S)
        if self.fails_with is not None:
            raise self.fails_with
        if self.answers is not None:
            return self.answers(images)
        return face_maps(images.shape, self.sees)


def face_maps(
    shape: tuple[int, ...], faces: list[tuple[float, float, float, float, float]]
) -> Outputs:
    """The maps of YuNet, one for each stride, with these faces in each image."""
    maps = [
        np.zeros((shape[0], shape[1] // stride, shape[2] // stride, 5), np.float32)
        for stride in STRIDES
    ]
    stride = STRIDES[0]
    for x, y, width, height, confidence in faces:
        row, column = int(y // stride), int(x // stride)
        offset = x / stride - column, y / stride - row
        size = np.log(width / stride), np.log(height / stride)
        maps[0][:, row, column] = confidence, *offset, *size
    return maps


class MemoryStore:
    """A ``StreamStore`` without a database.

    Attributes:
        fails: every call raises StoreError.
        saving: ``save`` waits for it, for as long as a slow disk may take.
    """

    def __init__(self) -> None:
        self.rows: dict[str, StoredStream] = {}
        self.fails = False
        self.saving = threading.Event()
        self.saving.set()
        self.save_begun = threading.Event()

    def fingerprint(self, source: str) -> str:
        from app import urls

        return urls.normalised(source)

    def save(self, stored: StoredStream) -> None:
        self.save_begun.set()
        self.saving.wait(PATIENCE_S)
        if self.fails:
            raise StoreError(reason="disk full")
        self.rows[stored.spec.stream_id] = stored

    def delete(self, stream_id: str) -> None:
        if self.fails:
            raise StoreError(reason="disk full")
        self.rows.pop(stream_id, None)

    def load(self) -> list[StoredStream]:
        return list(self.rows.values())


def threads_of(stream_id: str) -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(f"{stream_id}-")]


def write_video(
    path: Path, *, frames: int = 30, fps: int = 25, width: int = 320, height: int = 192
) -> None:
    """An H.264 file with something that moves."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        background = np.tile(np.arange(width, dtype=np.uint8), (height, 1))
        for number in range(frames):
            picture = np.dstack([np.roll(background, 3 * number, axis=1)] * 3)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
