"""When the budget of a process takes steps down, and when it takes them back."""

from __future__ import annotations

import pytest

from app.budget import LEVELS, ONLY_FACES, Budget, BudgetTuning, StreamBudget

FPS = 15
TUNING = BudgetTuning()


class Machine:
    """A budget on a clock of its own, and streams with frames a second that they can process."""

    def __init__(self) -> None:
        self.now = 0.0
        self.budget = Budget(TUNING, clock=lambda: self.now)
        self.capacity: dict[StreamBudget, float] = {}
        self.steps: list[int] = []

    def add(self, *, analyzes: bool = True, capacity: float = FPS) -> StreamBudget:
        stream = self.budget.stream(analyzes=analyzes)
        self.capacity[stream] = capacity
        return stream

    def run(self, seconds: float) -> int:
        """Play frames; returns the step at the end."""
        for number in range(round(seconds * FPS)):
            self.now += 1 / FPS
            for stream, fps in self.capacity.items():
                stream.count(skipped=number * fps // FPS == (number + 1) * fps // FPS)
            step = LEVELS.index(self.budget.level)
            if not self.steps or self.steps[-1] != step:
                self.steps.append(step)
        return self.steps[-1]


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_nothing_is_given_up_while_frames_are_processed(machine: Machine) -> None:
    machine.add()
    machine.run(60)
    assert machine.steps == [0]


def test_under_load_steps_go_down_in_order_to_the_last(machine: Machine) -> None:
    machine.add(capacity=8)
    machine.run(20)
    assert machine.steps == list(range(len(LEVELS)))
    rates = [level.object_fps for level in LEVELS]
    assert rates == sorted(rates, reverse=True)
    assert [level.crops for level in LEVELS] == sorted(level.crops for level in LEVELS)[::-1]
    assert max(level.face_gap_s for level in LEVELS) <= 0.2
    no_crops = next(level for level in LEVELS if not level.crops)
    predicted = next(level for level in LEVELS if level.face_gap_s)
    assert LEVELS.index(no_crops) < LEVELS.index(predicted)


def test_one_slow_stream_is_enough_and_all_share_the_step(machine: Machine) -> None:
    fast = machine.add()
    machine.add(capacity=8)
    machine.run(3)
    assert fast.level != LEVELS[0]


def test_a_few_skipped_frames_change_nothing(machine: Machine) -> None:
    machine.add(capacity=14)
    assert machine.run(60) == 0


def test_everything_is_taken_back_when_the_load_goes(machine: Machine) -> None:
    stream = machine.add(capacity=8)
    machine.run(20)
    machine.capacity[stream] = FPS
    assert machine.run((len(LEVELS) + 1) * (TUNING.calm_s + TUNING.window_s)) == 0


def test_a_step_that_fails_again_and_again_is_tried_ever_more_rarely(machine: Machine) -> None:
    """Room for two looks a second, and not for three."""
    stream = machine.add()
    failures = 0
    for _ in range(600 * FPS):
        machine.capacity[stream] = FPS if machine.budget.level.object_fps <= 2 else 8
        before = machine.budget.level.object_fps
        machine.run(1 / FPS)
        failures += before == 2 and machine.budget.level.object_fps > 2
    assert machine.budget.level.object_fps == 2
    assert 2 <= failures <= 8  # one every five seconds would be 120


def test_without_analytics_only_the_steps_for_faces_are_taken(machine: Machine) -> None:
    stream = machine.add(analyzes=False, capacity=8)
    machine.run(5)
    assert machine.steps == [0, *range(ONLY_FACES, len(LEVELS))]
    machine.capacity[stream] = FPS
    machine.run(30)
    assert machine.steps[-2:] == [ONLY_FACES, 0]


def test_the_last_stream_that_leaves_resets_the_budget(machine: Machine) -> None:
    stream = machine.add(capacity=5)
    machine.run(10)
    stream.close()
    stream.close()
    assert machine.budget.level == LEVELS[0]
