"""The cost of each part of a frame's path here, measured in a process of its own.

    python -m app.doctor.measure NICENESS < settings.json

All cores do the same part at the same time, each on its own camera, as they do when the machine is
full. A cost is CPU time: other load on the machine hardly changes it.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TypeVar

import av
import cv2
import numpy as np
import numpy.typing as npt

from app.analytics.face_scanner import FaceScanner
from app.config import Settings, usable_cpus
from app.doctor import scene
from app.errors import WatchpostError
from app.models.detections import PendingDetections
from app.models.faces import FaceDetector, load_faces
from app.models.objects import ObjectDetector, load_objects
from app.pipeline.blur import conceal
from app.pipeline.scale import to_output, to_rgb
from app.pipeline.sinks.encode import TIME_BASE, H264Encoder
from app.types import BAG_LABELS, BlurredFrame, Box

Image = npt.NDArray[np.uint8]
Out = TypeVar("Out")

TIMEOUT_S = 60.0
KEPT = 8  # decoded frames that each core keeps for the next parts: 25 MB
FACE_LOOKS, OBJECT_LOOKS = 5, 3  # whole images that each core gives to a network
FACE = Box(800, 400, 1000, 640)
PARTS = ("decode", "resize", "faces", "blur", "encode", "whole_face", "objects", "crop")


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU time of each part in milliseconds of one core; for frames of 1920 x 1080.

    Attributes:
        decode, resize, faces, blur, encode: what each frame of a camera needs; ``faces`` is the
            mean over frames, as only parts that changed are searched.
        whole_face: searching a whole frame for faces.
        objects: the network for objects, on a whole frame.
        crop: the same on an enlarged crop.
        cores: the number of cores that worked.
        face_device, object_device: where the networks ran.
        device_ms: time that an accelerator needs for a frame's faces and for a look at objects;
            0 on the CPU.
        encoder: the H.264 encoder.
        seconds: how long all of it took.
    """

    decode: float
    resize: float
    faces: float
    blur: float
    encode: float
    whole_face: float
    objects: float
    crop: float
    cores: int
    face_device: str
    object_device: str
    device_ms: tuple[float, float]
    encoder: str
    seconds: float

    @property
    def frame(self) -> float:
        """What a camera's frame needs in total, in milliseconds of one core."""
        return self.decode + self.resize + self.faces + self.blur + self.encode


class _Meter:
    """Runs a part on all cores at once and notes its cost per item."""

    def __init__(self, pool: ThreadPoolExecutor, cores: int) -> None:
        self._pool = pool
        self._cores = cores
        self.cpu_ms: dict[str, float] = {}
        self.wall_ms: dict[str, float] = {}

    def run(self, part: str, items: int, camera: Callable[[int], Out]) -> list[Out]:
        """Call ``camera`` once for each core, with its number; each call handles some items."""
        cpu, wall = time.process_time(), time.perf_counter()
        results = list(self._pool.map(camera, range(self._cores)))
        items *= self._cores
        self.cpu_ms[part] = (time.process_time() - cpu) * 1000 / items
        self.wall_ms[part] = (time.perf_counter() - wall) * 1000 / items
        return results


def measure(settings: Settings) -> Costs:
    """Measure with the networks and the encoder that the server would use.

    Raises:
        WatchpostError: a network cannot be loaded, or fails.
    """
    began_at, cores = time.monotonic(), usable_cpus()
    cache = settings.writable_data_dir()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(cores))
        meter = _Meter(pool, cores)
        runner = load_faces(settings.device, cache / "cache" if cache else None)
        stack.callback(runner.close)
        objects = load_objects(settings.objects, settings.device, cache)
        stack.callback(objects.close)
        clip = scene.clip()
        encoder = _video(meter, clip, settings.faces.width)
        faces = FaceDetector(runner, min_confidence=settings.faces.keep_confidence)
        _faces(meter, faces, settings, clip)
        _objects(meter, objects.for_labels(("person", *BAG_LABELS)))
    devices = runner.network.device, objects.runner.network.device
    waits = [
        0.0 if device.startswith("CPU") else meter.wall_ms[part]
        for device, part in zip(devices, ("faces", "objects"), strict=True)
    ]
    return Costs(
        **{part: round(meter.cpu_ms[part], 2) for part in PARTS},
        cores=cores,
        face_device=devices[0],
        object_device=devices[1],
        device_ms=(round(waits[0], 2), round(waits[1], 2)),
        encoder=encoder,
        seconds=round(time.monotonic() - began_at, 1),
    )


def _video(meter: _Meter, clip: bytes, face_width: int) -> str:
    """Measure decoding, resizing, blurring and encoding; returns the encoder's name."""
    kept = meter.run("decode", scene.FRAMES, lambda _: _decoded(clip)[-KEPT:])
    meter.run("resize", KEPT, lambda camera: [to_rgb(i, face_width) for i in kept[camera]])
    meter.run("blur", KEPT, lambda camera: [_blurred(image) for image in kept[camera]])
    encoders = [H264Encoder(scene.WIDTH, scene.HEIGHT, fps=scene.FPS) for _ in kept]
    ticks = round(1 / scene.FPS / TIME_BASE)

    def encode(camera: int) -> None:
        for number, image in enumerate(kept[camera]):
            encoders[camera].encode(conceal(image, [], "off", 0), number * ticks)

    meter.run("encode", KEPT, encode)
    return encoders[0].name


def _decoded(clip: bytes) -> list[av.VideoFrame]:
    """All frames of the clip, decoded as those of a live camera."""
    with av.open(io.BytesIO(clip), "r") as container:
        container.streams.video[0].thread_type = "SLICE"
        return list(container.decode(video=0))


def _blurred(image: av.VideoFrame) -> BlurredFrame:
    return conceal(to_output(image, 1.0), [FACE], "gaussian", 0.25)


def _faces(meter: _Meter, faces: FaceDetector, settings: Settings, clip: bytes) -> None:
    """Measure the search for faces as a camera's stream does it, and on whole frames."""
    frames = [to_rgb(image, settings.faces.width) for image in _decoded(clip)]
    size = scene.WIDTH, scene.HEIGHT

    def scan(_camera: int) -> None:
        scanner = FaceScanner(faces, settings.faces)
        for number, frame in enumerate(frames):
            scanner.submit(frame, number / scene.FPS).detections(TIMEOUT_S, size)

    def look(_camera: int) -> None:
        for frame in frames[:FACE_LOOKS]:
            faces.submit(frame).detections(TIMEOUT_S, size)

    scan(0)  # compiles the network for all sizes that are needed
    meter.run("faces", len(frames), scan)
    meter.run("whole_face", FACE_LOOKS, look)


def _objects(meter: _Meter, objects: ObjectDetector) -> None:
    """Measure the network for objects on whole frames and on enlarged crops of people."""
    photo = scene.photo()
    whole = np.asarray(cv2.resize(photo, (scene.WIDTH // 2, scene.HEIGHT // 2)), np.uint8)

    def measure_looks(part: str, submit: Callable[[Image], PendingDetections], at: Image) -> None:
        def look(_camera: int) -> None:
            for _ in range(OBJECT_LOOKS):
                submit(at).detections(TIMEOUT_S, (1, 1))

        submit(at).detections(TIMEOUT_S, (1, 1))  # compiles the network
        meter.run(part, OBJECT_LOOKS, look)

    measure_looks("objects", objects.submit, whole)
    measure_looks("crop", objects.submit_crop, photo)


def main(niceness: int) -> int:
    """Read settings as JSON from standard input; print the costs, or the error, as JSON."""
    os.nice(niceness)
    settings = Settings(**json.load(sys.stdin))
    try:
        print(json.dumps(asdict(measure(settings))))
    except WatchpostError as error:
        print(json.dumps({"error": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
