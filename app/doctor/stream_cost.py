"""What one stream takes of a machine, by its options and by what was measured there."""

from __future__ import annotations

from app.doctor import scene
from app.doctor.capacity import CROPS, OVERHEAD, USABLE
from app.doctor.measure import Costs
from app.types import StreamSpec, StreamStats

RECORDING_MS = 40.0
"""Of one core for each second of the small encoder of recordings (``bench record``)."""
LEAST = 0.01

REFERENCE = Costs(
    decode=8.0,
    resize=1.4,
    faces=16.0,
    blur=1.5,
    encode=10.0,
    whole_face=19.0,
    objects=56.0,
    crop=36.0,
    cores=2,
    face_device="CPU",
    object_device="CPU",
    device_ms=(2.0, 5.0),
    encoder="libx264",
    seconds=0.0,
)
"""Two slow cores with AVX2 only, and a guess for accelerators, until a machine is measured."""


def cpu_cores(spec: StreamSpec, stats: StreamStats, costs: Costs, object_fps: float) -> float:
    """The cores that a stream takes.

    Args:
        stats: of its last run: size and rate of its input, which are else taken to be 1080p and
            its ``max_fps``.
        object_fps: frames a second in which objects are detected at most.
    """
    area = 1.0
    if stats.width and stats.height:
        area = stats.width * stats.height / (scene.WIDTH * scene.HEIGHT)
    fps = spec.max_fps if not stats.input_fps else min(spec.max_fps, stats.input_fps)
    ms = fps * costs.resize
    if stats.decoder in (None, "cpu"):
        ms += (stats.input_fps or fps) * costs.decode * area
    if spec.blur != "off" or spec.clear_until is not None:
        ms += fps * (costs.faces + costs.blur * area)
    if spec.output is not None:
        ms += fps * costs.encode * area * spec.downscale**2
    elif spec.is_recorded:
        ms += RECORDING_MS
    if spec.analytics:
        ms += min(fps, object_fps) * (costs.objects + CROPS * costs.crop + costs.resize)
    return max(LEAST, round(ms * OVERHEAD / 1000 / USABLE, 2))


def device_share(spec: StreamSpec, costs: Costs, object_fps: float) -> float:
    """The share of an accelerator that a stream takes, at most one."""
    faces, objects = costs.device_ms
    covered = spec.blur != "off" or spec.clear_until is not None
    ms = spec.max_fps * faces if covered else 0.0
    if spec.analytics:
        ms += min(spec.max_fps, object_fps) * (1 + CROPS) * objects
    return min(1.0, max(LEAST, round(ms / 1000 / USABLE, 2)))
