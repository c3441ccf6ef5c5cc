"""Back-off, frame rates and clocks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from app import pace
from app.pace import Backoff, ContinuousClock, RateLimit, StallLimit


def test_waits_double_from_the_first_to_the_last_with_jitter() -> None:
    backoff = Backoff(0.5, 30)
    waits = [backoff.next() for _ in range(20)]
    expected = 0.5
    for wait in waits:
        assert 0.75 * expected <= wait <= min(30, 1.25 * expected)
        expected = min(30, 2 * expected)


def test_the_longest_wait_has_jitter_too() -> None:
    """Many streams of a server that was away for hours do not reconnect at the same moment."""
    waits = []
    for _ in range(200):
        backoff = Backoff(0.5, 30)
        waits.append([backoff.next() for _ in range(12)][-1])
    assert max(waits.count(wait) for wait in waits) < 20


def test_waits_never_exceed_the_last_and_never_vanish() -> None:
    for _ in range(50):
        backoff = Backoff(0.5, 30)
        waits = [backoff.next() for _ in range(100)]
        assert min(waits) > 0.3
        assert max(waits) <= 30


def test_after_a_reset_it_begins_anew() -> None:
    backoff = Backoff(0.5, 30)
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.625


def taken(limit: RateLimit, times: list[float]) -> list[float]:
    return [time for time in times if limit.take(time)]


def clock(fps: float, seconds: float, jitter: float = 0.0, start: float = 1000.0) -> list[float]:
    """Arrival times at a rate; jitter is a share of the interval."""
    rng = random.Random(7)
    return sorted(
        start + (n + rng.uniform(-jitter, jitter)) / fps for n in range(int(fps * seconds))
    )


@pytest.mark.parametrize(
    ("input_fps", "max_fps", "expected"),
    [(25, 15, 15), (30, 15, 15), (15, 15, 15), (12, 15, 12), (60, 15, 15), (25, 1, 1), (25, 60, 25),
     (29.97, 15, 15), (5, 7, 5), (50, 24, 24)],
)  # fmt: skip
@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_the_rate_is_the_smaller_of_input_and_ceiling(
    input_fps: float, max_fps: float, expected: float, jitter: float
) -> None:
    times = taken(RateLimit(max_fps), clock(input_fps, 60, jitter))
    assert len(times) / 60 == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("jitter", [0.0, 0.1, 0.2])
def test_at_exactly_the_ceiling_jitter_costs_no_frame(jitter: float) -> None:
    times = clock(15, 20, jitter)
    assert len(taken(RateLimit(15), times)) >= len(times) - 1


def test_of_twice_the_rate_exactly_every_second_frame_is_taken() -> None:
    times = clock(30, 20)
    assert taken(RateLimit(15), times) == times[::2]


def test_frames_are_evenly_spread() -> None:
    times = taken(RateLimit(15), clock(25, 20))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) > 0.5 / 15
    assert max(gaps) < 2 / 15


@pytest.mark.parametrize("input_fps", [16, 20, 25, 30, 50, 100])
def test_no_second_holds_many_more_than_the_ceiling(input_fps: float) -> None:
    """Also after a slow stretch, which leaves the schedule behind."""
    times = clock(12, 10) + clock(input_fps, 10, start=1010.0)
    chosen = taken(RateLimit(15), times)
    for start in range(1000, 1019):
        assert sum(start <= time < start + 1 for time in chosen) <= 15 + 5


@pytest.mark.parametrize("jump", [-5000.0, -3.0, 3.0, 5000.0])
def test_a_clock_that_jumps_stops_nothing(jump: float) -> None:
    before = clock(15, 5)
    after = [time + jump + 5 for time in clock(15, 5)]
    limit = RateLimit(15)
    taken(limit, before)
    assert len(taken(limit, after)) >= len(after) - 5


@pytest.mark.skipif(not hasattr(pace, "MediaClock"), reason="frames carry their arrival time")
class TestMediaClock:
    def test_the_spacing_of_the_sender_survives_jitter_of_the_network(self) -> None:
        rng = random.Random(3)
        media_clock = pace.MediaClock()
        captured = []
        for number in range(500):
            sent = number / 25
            arrived = 2000.0 + sent + rng.uniform(0.01, 0.06)
            captured.append(media_clock.captured_at(sent, arrived))
        gaps = [b - a for a, b in pairwise(captured[100:])]
        assert max(gaps) - min(gaps) < 0.01

    def test_a_frame_is_never_captured_after_it_arrived(self) -> None:
        rng = random.Random(4)
        media_clock = pace.MediaClock()
        for number in range(500):
            arrived = 2000.0 + number / 25 + rng.uniform(0, 0.2)
            assert media_clock.captured_at(number / 25, arrived) <= arrived + 1e-9

    def test_without_a_media_time_the_arrival_counts(self) -> None:
        assert pace.MediaClock().captured_at(None, 12.5) == 12.5

    @pytest.mark.parametrize("jump", [-1000.0, 1000.0])
    def test_a_sender_whose_clock_jumps_is_followed(self, jump: float) -> None:
        media_clock = pace.MediaClock()
        media_clock.captured_at(10.0, 2000.0)
        assert media_clock.captured_at(10.04 + jump, 2000.04) == pytest.approx(2000.04)


# ── a clock that goes on ─────────────────────────────────────────────────────────────────────


def placed(times: Sequence[float | None], arrivals: list[float] | None = None) -> list[float]:
    clock = ContinuousClock()
    at: Sequence[float | None] = arrivals or [None] * len(times)
    return [round(clock.place(*pair), 3) for pair in zip(times, at, strict=True)]


@pytest.mark.parametrize("jump_s", [-7.0, -0.5, 4.0, 1e6])
def test_a_jump_of_a_files_clock_is_one_usual_step(jump_s: float) -> None:
    times = [5 + n * 0.1 + (jump_s if n >= 10 else 0.0) for n in range(20)]
    assert placed(times) == pytest.approx([n * 0.1 for n in range(20)])


def test_pauses_that_belong_to_the_rhythm_of_a_file_are_kept() -> None:
    slow = [n * 10.0 for n in range(5)]
    assert ContinuousClock(10.0).place(0.0) == 0.0
    clock = ContinuousClock(10.0)
    assert [clock.place(time) for time in slow] == slow
    assert placed([0.0, 0.1, 2.6, 2.7]) == [0.0, 0.1, 2.6, 2.7]


def test_a_frame_without_a_time_follows_one_step_later() -> None:
    assert placed([1.0, 1.5, None, 2.5]) == [0.0, 0.5, 1.0, 1.5]


def test_a_live_clock_that_jumps_ahead_of_real_time_is_held_back() -> None:
    assert placed([0.0, 0.1, 60.2, 60.3], [9.0, 9.1, 9.2, 9.3]) == [0.0, 0.1, 0.2, 0.3]


def test_a_live_source_that_was_silent_has_that_pause() -> None:
    assert placed([0.0, 0.1, 60.2, 60.3], [9.0, 9.1, 69.2, 69.3]) == [0.0, 0.1, 60.2, 60.3]


def test_a_live_clock_that_goes_back_after_a_pause_goes_on_with_the_pause() -> None:
    assert placed([500.0, 500.1, 3.0], [9.0, 9.1, 14.1]) == [0.0, 0.1, 5.1]


def test_what_a_server_kept_and_sends_at_once_is_no_jump() -> None:
    times = [n * 0.1 for n in range(20)] + [3.5]
    assert placed(times, [9.0] * 20 + [10.5])[-1] == 3.5


# ── how long a silence may last ──────────────────────────────────────────────────────────────


def test_a_usual_camera_has_the_usual_limit() -> None:
    limit = StallLimit(4)
    assert limit.seconds == 24  # nothing is known yet
    for number in range(20):
        limit.seen(100 + number / 15)
    assert limit.seconds == float(limit) == 4


@pytest.mark.parametrize("interval", [2.0, 5.0, 10.0])
def test_a_slow_camera_gets_three_of_its_intervals(interval: float) -> None:
    limit = StallLimit(4)
    for number in range(3):
        limit.seen(100 + number * interval)
    assert limit.seconds == 3 * interval


def test_frames_that_come_at_once_show_their_pace_by_the_senders_clock() -> None:
    limit = StallLimit(4)
    for number in range(3):
        limit.seen(100.0, 7.0 + 5 * number)
    assert limit.seconds == 15


def test_a_clock_that_jumps_and_an_outage_have_a_bound() -> None:
    limit = StallLimit(4)
    for at, media in ((0.0, 0.0), (0.1, 5000.0), (900.0, 5000.1)):
        limit.seen(at, media)
        assert limit.seconds <= 60
    for number in range(10):
        limit.seen(901 + number / 15)
    assert limit.seconds == 4


def test_an_outage_is_no_interval() -> None:
    limit = StallLimit(4)
    limit.seen(100.0)
    limit.begin()
    limit.seen(500.0)
    limit.seen(500.1)
    assert limit.seconds == 4


def test_a_limit_of_ones_own_holds_as_it_is() -> None:
    limit = StallLimit(4, 7.5)
    for number in range(5):
        limit.seen(100.0 + 10 * number)
    assert limit.seconds == 7.5
