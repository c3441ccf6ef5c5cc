"""Which frames are processed, how many at a time, and when a machine counts as too slow."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

import pytest

from app.budget import LEVELS, Budget, BudgetTuning
from app.pipeline import intake as intake_module
from app.pipeline.channel import FILE_QUEUE, Closed
from app.pipeline.intake import IN_PROGRESS, FrameIntake
from app.types import StreamSpec

FPS = 20.0
SLOW_FPS = 2.0  # where it counts how long a frame takes, also on a loaded machine


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "WARM_UP_S", 0.0)


class Numbered(NamedTuple):
    number: int
    captured_at: float


class Intake(FrameIntake[Numbered]):
    """An intake with a budget of its own, and the numbers of skipped frames."""

    def __init__(
        self, source: str = "rtsp://192.0.2.1/", *, live: bool = True, fps: float = FPS
    ) -> None:
        self.skipped: list[int] = []
        self.fps = fps
        self.budget = Budget(BudgetTuning(window_s=0.0))
        share = self.budget.stream(analyzes=True) if live else None
        spec = StreamSpec("cam", source, max_fps=1e6 if source == "push:" else fps)
        super().__init__(spec, live=live, budget=share, on_skipped=self.skipped.append)

    def fill(self, *numbers: int, apart_s: float = 0.0) -> None:
        for number in numbers:
            self.put(Numbered(number, number / self.fps))
            time.sleep(apart_s)


def test_a_live_frame_waits_for_room_and_a_newer_one_takes_its_place() -> None:
    intake = Intake(fps=SLOW_FPS)
    for number in range(IN_PROGRESS):
        intake.fill(number)
        assert intake.get() is not None
    intake.fill(10, 11, 12)
    taken: list[Numbered | None] = []
    taker = threading.Thread(target=lambda: taken.append(intake.get()))
    taker.start()
    taker.join(0.02)
    assert taker.is_alive()
    intake.done()
    taker.join(5)
    assert [frame.number for frame in taken if frame] == [12]
    assert intake.skipped == [10, 11]


def test_on_a_busy_machine_there_is_one_frame_at_a_time() -> None:
    intake = Intake(fps=SLOW_FPS)
    intake.fill(0)
    intake.get()
    time.sleep(2.5 / SLOW_FPS)
    intake.done()
    assert intake.busy
    intake.fill(1)
    assert intake.get() == Numbered(1, 1 / SLOW_FPS)
    intake.fill(2)
    taken: list[Numbered | None] = []
    taker = threading.Thread(target=lambda: taken.append(intake.get()))
    taker.start()
    taker.join(0.02)
    assert taker.is_alive()
    intake.done()  # took less than an interval
    taker.join(5)
    assert taken == [Numbered(2, 2 / SLOW_FPS)]
    assert not intake.busy


def test_a_camera_that_sends_fewer_frames_than_max_fps_is_not_taken_for_a_busy_machine() -> None:
    intake = Intake(fps=60)
    for number in range(4):
        intake.fill(number, apart_s=1 / SLOW_FPS)
        intake.get()
        time.sleep(3 / intake.fps)
        intake.done()
    assert not intake.busy


def test_a_stop_wakes_who_waits_for_room() -> None:
    intake = Intake()
    for number in range(IN_PROGRESS):
        intake.fill(number)
        intake.get()
    threading.Timer(0.05, lambda: intake.close(discard=True)).start()
    with pytest.raises(Closed):
        intake.get()


def test_frames_of_a_file_are_not_held_back() -> None:
    intake = Intake("file:/clip.mp4", live=False)
    for number in range(2 * FILE_QUEUE):
        intake.fill(number)
        assert intake.get() == Numbered(number, number / FPS)


def test_what_max_fps_forbids_is_neither_kept_nor_counted() -> None:
    intake = Intake()
    intake.put(Numbered(1, 0.0))
    intake.put(Numbered(2, 0.1 / FPS))
    assert intake.get() == Numbered(1, 0.0)
    assert len(intake) == 0
    assert intake.skipped == []


def test_frames_that_had_to_wait_and_were_replaced_mean_a_slow_machine() -> None:
    intake = Intake()
    intake.fill(*range(8), apart_s=1 / FPS)
    assert intake.budget.level != LEVELS[0]
    rate = intake.slower
    assert rate is not None
    assert rate.now == 0 < rate.wanted


def test_while_networks_are_compiled_nothing_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "WARM_UP_S", 60.0)
    intake = Intake()
    intake.fill(*range(8), apart_s=1 / FPS)
    assert intake.skipped
    assert intake.budget.level == LEVELS[0]
    assert intake.slower is None


def test_a_burst_does_not() -> None:
    intake = Intake()
    intake.fill(*range(8))
    assert intake.budget.level == LEVELS[0]
    assert intake.slower is None


def test_nor_does_a_client_that_pushes_faster_than_anybody_could_process() -> None:
    intake = Intake("push:")
    intake.fill(*range(8), apart_s=1 / FPS)
    assert intake.budget.level == LEVELS[0]
    assert intake.slower is None
