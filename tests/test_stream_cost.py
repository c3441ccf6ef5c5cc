"""What one stream takes of a machine, by its options."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.doctor.capacity import LOADS, OVERHEAD, USABLE
from app.doctor.stream_cost import LEAST, REFERENCE, cpu_cores, device_share
from app.types import StreamSpec, StreamStats

CAMERA = StreamSpec("gate", "rtsp://192.0.2.1/a", record="off")
PUBLISHED = replace(CAMERA, output="rtsp://192.0.2.2/a")
SMOKING = replace(CAMERA, analytics={"smoking": {}})
NEW = StreamStats()


def cores(spec: StreamSpec, stats: StreamStats = NEW) -> float:
    return cpu_cores(spec, stats, REFERENCE, 5.0)


def test_a_published_camera_takes_what_the_doctor_says() -> None:
    (load,) = [one for one in LOADS if (one.fps, one.looks) == (15, 0)]
    assert cores(PUBLISHED) == pytest.approx(1 / (load.cameras(REFERENCE) / REFERENCE.cores), 0.02)


@pytest.mark.parametrize(
    ("spec", "other"),
    [
        (CAMERA, PUBLISHED),
        (CAMERA, SMOKING),
        (replace(CAMERA, max_fps=5), CAMERA),
        (replace(CAMERA, blur="off"), CAMERA),
        (CAMERA, replace(CAMERA, record="continuous")),
        (replace(PUBLISHED, downscale=0.5), PUBLISHED),
        (replace(SMOKING, max_fps=2), SMOKING),
    ],
)
def test_what_is_asked_for_costs(spec: StreamSpec, other: StreamSpec) -> None:
    assert cores(spec) < cores(other)


def test_what_is_known_of_the_input_counts() -> None:
    small = StreamStats(width=640, height=360, input_fps=15.0, decoder="cpu")
    assert cores(CAMERA, small) < cores(CAMERA)
    assert cores(CAMERA, replace(small, width=3840, height=2160)) > cores(CAMERA)
    assert cores(CAMERA, replace(small, input_fps=30.0)) > cores(CAMERA, small)  # all are decoded
    assert cores(CAMERA, replace(small, decoder="cuda")) < cores(CAMERA, small)


def test_no_stream_is_for_nothing() -> None:
    assert cores(replace(CAMERA, max_fps=0.01, blur="off")) == LEAST


def test_a_faster_machine_gives_less() -> None:
    fast = replace(REFERENCE, decode=4.0, faces=6.0)
    saved_ms = REFERENCE.decode - fast.decode + REFERENCE.faces - fast.faces
    saved = 15 * saved_ms * OVERHEAD / 1000 / USABLE
    assert cpu_cores(CAMERA, NEW, fast, 5.0) == pytest.approx(cores(CAMERA) - saved, abs=0.011)


def test_an_accelerator_is_shared_by_what_its_networks_take() -> None:
    assert LEAST < device_share(CAMERA, REFERENCE, 5.0) < device_share(SMOKING, REFERENCE, 5.0) < 1
    slow = replace(REFERENCE, device_ms=(200.0, 400.0))
    assert device_share(SMOKING, slow, 5.0) == 1.0
    assert device_share(replace(CAMERA, blur="off"), slow, 5.0) == LEAST
