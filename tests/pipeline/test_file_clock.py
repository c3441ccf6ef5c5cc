"""Files as sources: clocks that jump, and resuming after a part that was read before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.clips import FIRST_LUMA, FPS, LUMA_STEP, join, write_clip
from support.doubles import luma

from app.config import StreamSettings
from app.pipeline.sources.av import AvSource
from app.types import Frame, StreamSpec


def read(path: Path, begin_s: float = 0.0) -> list[Frame]:
    source = AvSource(StreamSpec("file", f"file:{path}", begin_s=begin_s), StreamSettings())
    source.open()
    try:
        return [frame for frame in source.frames() if frame is not None]
    finally:
        source.close()


def numbers(frames: list[Frame]) -> list[int]:
    lumas = [luma(frame.image).mean() for frame in frames]
    return [round((value - FIRST_LUMA) / LUMA_STEP) for value in lumas]


@pytest.fixture
def jumping(tmp_path: Path) -> Path:
    first = write_clip(tmp_path / "1.ts", frames=range(60))
    second = write_clip(tmp_path / "2.ts", frames=range(60, 100), clock=lambda s: s - 2)
    return join(tmp_path / "x.ts", first, second)


def test_times_go_on_where_the_clock_goes_back(jumping: Path) -> None:
    frames = read(jumping)
    assert numbers(frames) == list(range(100))
    steps = np.diff([frame.captured_at for frame in frames])
    assert steps == pytest.approx([1 / FPS] * 99, abs=0.002)
    assert {round(frame.jumped_s, 1) for frame in frames} == {0.0, -2.0}


@pytest.mark.parametrize("begin", [1, 24, 25, 60, 73, 99])
def test_a_file_begins_where_it_is_told_also_behind_a_jump(jumping: Path, begin: int) -> None:
    frames = read(jumping, begin / FPS)
    assert numbers(frames) == list(range(begin, 100))
    assert len({round(frame.jumped_s, 1) for frame in frames}) == (2 if begin < 60 else 1)


@pytest.mark.parametrize("begin", [10, 37, 50])
def test_it_does_so_with_frames_that_are_stored_in_another_order(
    tmp_path: Path, begin: int
) -> None:
    options = {"preset": "ultrafast", "bf": "2", "g": "25"}
    path = write_clip(tmp_path / "x.mp4", frames=range(75), options=options)
    assert numbers(read(path, begin / FPS)) == list(range(begin, 75))
