"""What the measured costs mean in cameras, and which settings would help most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.doctor.findings import Phrase
from app.doctor.measure import Costs

USABLE = 0.93
"""Share of all cores that streams fill before frames are dropped: 1.87 of 2 (``bench live``)."""
OVERHEAD = 1.15
"""Everything that is not measured, such as RTP, threads and metrics, as a factor."""
CROPS = 0.3  # enlarged crops for each look at objects, where people pass one by one
CAMERA_FPS = 15.0
"""What the cameras send. All of it is decoded: a frame that is left out is needed for the next."""
DEMO_FPS, DEMO_LOOKS, DEMO_CROPS = 15.0, 5.0, 1.0
DEMO_AREA = (1280 * 720) / (1920 * 1080)
DEMO_DRAWING = 8.0  # ms of one core to draw a frame of the demo
FLUENT = 0.8  # share of its frames with which the demo still looks fluent


class Load(NamedTuple):
    """A kind of camera: frames a second that are processed, and looks at objects (or 0)."""

    name: Phrase
    fps: float
    looks: float

    def cpu_ms(self, costs: Costs) -> float:
        """Milliseconds of one core for each second of one camera."""
        analytics = self.looks * (costs.objects + CROPS * costs.crop + costs.resize)
        frames = CAMERA_FPS * costs.decode + self.fps * (costs.frame - costs.decode)
        return (frames + analytics) * OVERHEAD

    def device_ms(self, costs: Costs) -> float:
        """Milliseconds of an accelerator for each second of one camera."""
        faces, objects = costs.device_ms
        return self.fps * faces + self.looks * (1 + CROPS) * objects

    def cameras(self, costs: Costs) -> float:
        """How many such cameras keep their frame rate, as a fraction."""
        by_cpu = costs.cores * USABLE * 1000 / self.cpu_ms(costs)
        device_ms = self.device_ms(costs)
        return by_cpu if not device_ms else min(by_cpu, USABLE * 1000 / device_ms)


LOADS = (
    Load(Phrase("1080p at 15 fps, faces blurred"), 15, 0),
    Load(Phrase("1080p at 15 fps with max_fps 5, faces blurred"), 5, 0),
    Load(Phrase("1080p at 15 fps, faces blurred, with bags or smoking"), 15, 5),
    Load(Phrase("1080p at 15 fps with max_fps 5, faces blurred, with bags or smoking"), 5, 5),
)


USUAL = LOADS[0]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Something that would help, and how many cameras of the first kind there could be then."""

    text: Phrase
    cameras: float


def demo_fps(costs: Costs) -> float:
    """The frame rate that the demo will reach; all of its picture moves."""
    per_frame = costs.whole_face + DEMO_AREA * (costs.resize + costs.blur) + DEMO_DRAWING
    looks = DEMO_LOOKS * (costs.objects + DEMO_CROPS * costs.crop)
    needed = OVERHEAD * (DEMO_FPS * per_frame + looks)
    return min(DEMO_FPS, DEMO_FPS * costs.cores * USABLE * 1000 / needed)


def is_fluent(rate: float) -> bool:
    """Whether the demo of ``make run`` looks fluent at this frame rate."""
    return rate >= FLUENT * DEMO_FPS


def suggestions(costs: Costs, face_width: int, accelerator: Phrase) -> list[Suggestion]:
    """Changes that help, the most effective first.

    Args:
        face_width: the longer side of the face network's input.
        accelerator: how an accelerator could be had here.
    """
    load = LOADS[0]
    now = load.cameras(costs)
    tried = [
        Suggestion(text, load.cameras(changed))
        for text, changed in _changes(costs, face_width, accelerator)
    ]
    fewer_frames = Phrase("max_fps 5 for each camera, instead of {fps:g}", fps=load.fps)
    tried.append(Suggestion(fewer_frames, LOADS[1].cameras(costs)))
    better = [one for one in tried if one.cameras > now * 1.1]
    return sorted(better, key=lambda one: -one.cameras)


def _changes(costs: Costs, face_width: int, accelerator: Phrase) -> Sequence[tuple[Phrase, Costs]]:
    smaller = replace(costs, encode=costs.encode / 4)
    changes = [(Phrase("downscale 0.5 for each camera"), smaller)]
    if costs.encoder == "libx264":
        text = Phrase("a hardware encoder (NVENC, Quick Sync, VideoToolbox) for the outputs")
        changes.append((text, replace(costs, encode=1.0)))
    if face_width > 640:
        share = (640 / face_width) ** 2
        text = Phrase("WATCHPOST_FACES__WIDTH=640: small faces are lost earlier")
        changes.append((text, replace(costs, faces=costs.faces * share)))
    if costs.face_device.startswith("CPU"):
        changes.append((accelerator, replace(costs, faces=1.0)))
    return changes
