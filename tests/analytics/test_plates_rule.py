"""One passage, one event: votes over a track, and the watch-list."""

from __future__ import annotations

from concurrent.futures import Future
from typing import NoReturn

import numpy as np
import pytest

from app.analytics.rules import AnalyzedFrame, FramePixels
from app.analytics.rules.plate_track import PlateTuning
from app.analytics.rules.plates import PlateRule, PlateRuleSettings
from app.anpr.read_queue import matches
from app.events import RuleEvent
from app.models.plates.reader import CropRead
from app.models.plates.voting import Decision, Votes, decide, pooled
from app.plates import WatchEntry
from app.types import Box, Track

SIZE = (1280, 720)
WHERE = Box(500, 300, 620, 330)


class Attendant:
    """Reads what the test says; the networks have tests of their own."""

    def __init__(self, *reads: Votes) -> None:
        self.reads = list(reads)
        self.width = 240.0
        self.where = Box(120, 40, 360, 80)
        self.shown: list[tuple[int, ...]] = []
        self.again: list[Votes] = []
        self.is_slow = False
        self.waiting: list[Future[CropRead]] = []
        self.watched: list[WatchEntry] = []
        self.crops: list[tuple[int, ...]] = []

    def prepare(self) -> None:
        self.prepared = True

    def read(self, crop: np.ndarray, *, again: bool = False) -> Future[CropRead] | None:
        self.crops.append(crop.shape)
        self.waiting.append(answer := Future[CropRead]())
        if not self.is_slow:
            self.answer(again=again)
        return answer

    def answer(self, *, again: bool = False) -> None:
        """Have done what waits longest."""
        reads = self.again if again else self.reads
        votes = reads.pop(0) if reads else {}
        read = CropRead(votes, self.width, self.where) if votes else CropRead({})
        self.waiting.pop(0).set_result(read)

    def combine(self, votes: list[tuple[Votes, float]]) -> Decision:
        return decide(pooled(votes))

    def watch_entries(self, number: str) -> list[WatchEntry]:
        return [entry for entry in self.watched if matches(entry.number, number)]

    def jpeg(self, crop: np.ndarray) -> bytes:
        self.shown.append(crop.shape)
        return b"jpeg"


def no_frame(_: int) -> NoReturn:
    pytest.fail("the rule needs crops only")


LISTED = WatchEntry(7, "ABC123", "stolen", "alert")


def passing(road: Road, text: str, number: int) -> list[tuple[str, str]]:
    """The events of a vehicle that passes: their types, and the number."""
    road.read_queue.reads = [{text: 0.999}] * 9
    events = [event for _ in range(4) for event in road.look(number)]
    events += road.look(None, step_s=5)
    road.read_queue.reads = []
    return [(event.type, event.details["plate_number"]) for event in events]


class Road:
    def __init__(self, *reads: Votes, **settings: float) -> None:
        self.read_queue = Attendant(*reads)
        self.rule = PlateRule(PlateRuleSettings(**settings), self.read_queue)
        self.now = 100.0

    def look(
        self, number: int | None = 1, box: Box = WHERE, step_s: float = 0.2
    ) -> list[RuleEvent]:
        self.now += step_s
        return self.rule.update(self.scene(number, box))

    def skipped_frame(self, number: int = 1, box: Box = WHERE, step_s: float = 0.1) -> None:
        """A frame that nobody looked at."""
        self.now += step_s
        self.rule.skipped_frame(self.scene(number, box, step_s))

    def scene(self, number: int | None, box: Box, age_s: float = 0.0) -> AnalyzedFrame:
        tracks = [] if number is None else [Track(number, "plate", 0.9, box, age_s)]
        cut = lambda window: np.zeros((window.size[1], window.size[0], 3), np.uint8)  # noqa: E731
        seen = FramePixels((SIZE[0] * 2, SIZE[1] * 2), cut, no_frame, self.now)
        return AnalyzedFrame(tracks, [], self.now, SIZE, seen)


def test_reads_of_one_passage_vote_and_it_is_reported_once() -> None:
    road = Road({"PJY5412": 0.9}, *[{"PJY5472": 0.95}] * 20)
    reported = [rule_event for _ in range(20) for rule_event in road.look()]
    (seen,) = reported
    assert seen.type == "plate_seen"
    assert seen.details["plate_number"] == "PJY5472"
    assert seen.crop == b"jpeg"
    assert seen.tracks[0].box == WHERE
    assert road.look(None, step_s=10) == []


def test_the_crop_is_cut_from_the_full_frame() -> None:
    road = Road({"PJY5472": 0.9})
    road.look()
    height, width, _ = road.read_queue.crops[0]
    assert width >= 2 * WHERE.width
    assert height >= 2 * WHERE.height


def test_only_the_plate_is_shown_clear() -> None:
    road = Road(*[{"PJY5472": 0.999}] * 9, min_reads=2)
    for _ in range(3):
        road.look()
    assert road.read_queue.crops[0] == (121, 481, 3)
    assert road.read_queue.shown == [(121, 361, 3)], "a quarter of the number on each side"


def test_a_clear_number_is_reported_while_it_is_in_view() -> None:
    road = Road(*[{"PJY5472": 0.999}] * 9, min_reads=2)
    assert road.look() == []
    assert [rule_event.type for rule_event in road.look() + road.look()] == ["plate_seen"]


def test_a_doubtful_one_is_reported_when_it_has_passed() -> None:
    road = Road({"PJY5472": 0.5, "PJY5412": 0.3}, {"PJY5472": 0.5, "PJY5412": 0.3})
    assert [rule_event for _ in range(4) for rule_event in road.look()] == []
    (seen,) = road.look(None, step_s=5)
    assert seen.details["alternatives"][0] == "PJY5412"


def test_tuning_says_how_certain_one_must_be_to_be_reported_at_once() -> None:
    road = Road(*[{"PJY5472": 0.7, "PJY5412": 0.3}] * 3, min_confidence=0.1)
    road.rule = PlateRule(PlateRuleSettings(), road.read_queue, PlateTuning(certain=0.1, lone=0.1))
    assert road.look() == []
    assert [rule_event.type for rule_event in road.look() + road.look()] == ["plate_seen"]


def test_one_that_drives_away_is_reported_where_it_is_then() -> None:
    road = Road(*[{"PJY5472": 0.5, "PJY5412": 0.3}] * 2, min_width=100)
    assert [rule_event for _ in range(2) for rule_event in road.look()] == []
    far = Box(700, 200, 740, 210)
    reported = [(road.now, rule_event) for _ in range(8) for rule_event in road.look(box=far)]
    ((_, seen),) = reported
    assert seen.tracks[0].box == far
    assert road.now - 100 < 3, "long before the track ends"


def test_one_that_left_is_reported_where_it_was_read() -> None:
    road = Road(*[{"PJY5472": 0.5, "PJY5412": 0.3}] * 2)
    assert [rule_event for _ in range(2) for rule_event in road.look()] == []
    (seen,) = road.look(None, step_s=5)
    assert seen.tracks[0].box == WHERE


def test_too_few_or_too_uncertain_reads_are_not_reported() -> None:
    once = Road({"PJY5472": 0.99}, min_reads=2)
    once.look()
    assert once.look(None, step_s=10) == []
    unsure = Road(*[{"PJY5472": 0.3, "PJY5412": 0.29}] * 5, min_confidence=0.9)
    for _ in range(5):
        assert unsure.look() == []
    assert unsure.look(None, step_s=10) == []


def test_a_track_that_broke_does_not_make_a_second_passage() -> None:
    road = Road(*[{"PJY5472": 0.999}] * 9, {"PJY5412": 0.999}, {"PJY5412": 0.999}, again_s=60)
    first = [f for _ in range(9) for f in road.look(1)]
    again = [f for _ in range(4) for f in road.look(2)]
    assert [f.type for f in first + again] == ["plate_seen"]


def test_plates_that_are_cut_off_by_the_edge_are_left_alone() -> None:
    road = Road({"PJY5472": 1.0})
    for box in (Box(0, 300, 120, 330), Box(1170, 300, 1280, 330), Box(500, 690, 620, 720)):
        road.look(box=box)
    assert road.read_queue.crops == []
    road.look()
    assert len(road.read_queue.crops) == 1


def test_parts_of_a_broken_track_are_one_passage() -> None:
    road = Road({"PJY5472": 0.9}, {"PJY5472": 0.9})
    road.look(1)
    road.look(2, box=Box(800, 300, 920, 330))
    reported = [f for _ in range(30) for f in road.look(None)]
    assert [rule_event.details["plate_number"] for rule_event in reported] == ["PJY5472"]


def test_reads_that_come_late_count_when_the_vehicle_has_left() -> None:
    road = Road(*[{"PJY5472": 0.999}] * 9)
    road.read_queue.is_slow = True
    for width in (130, 120, 110):
        road.look(box=Box(500, 300, 500 + width, 330))
    assert len(road.read_queue.crops) == 1, "one at a time"
    assert road.look(None, step_s=5) == []
    for _ in range(2):
        road.read_queue.answer()
        reported = road.look(None)
    assert [rule_event.details["plate_number"] for rule_event in reported] == ["PJY5472"]


def test_a_plate_that_is_never_read_is_not_waited_for_for_ever() -> None:
    road = Road()
    road.read_queue.is_slow = True
    road.look()
    road.look(None, step_s=5)
    assert road.rule._plates
    road.look(None, step_s=60)
    assert not road.rule._plates


def test_of_many_crops_that_wait_the_widest_are_read() -> None:
    road = Road()
    road.read_queue.is_slow = True
    for width in range(100, 140, 2):
        road.look(box=Box(500, 300, 500 + width, 330))
    for _ in range(20):
        if road.read_queue.waiting:
            road.read_queue.answer()
        road.look(None)
    assert [shape[1] for shape in road.read_queue.crops[1:]] == [
        pytest.approx(4 * width, abs=2) for width in (138, 136, 134, 132, 130, 128)
    ]


def test_one_crop_is_enough_where_it_is_read_twice_with_certainty() -> None:
    road = Road({"PJY5472": 0.999})
    road.read_queue.again = [{"PJY5472": 0.999}]
    reported = [*road.look(), *road.look(None, step_s=5), *road.look(None), *road.look(None)]
    assert [rule_event.details["plate_number"] for rule_event in reported] == ["PJY5472"]
    assert len(road.read_queue.crops) == 2


@pytest.mark.parametrize("again", [{}, {"PJY5412": 0.9}, {"PJY5472": 0.3, "PJY5412": 0.6}])
def test_one_crop_is_not_enough_where_its_second_read_differs(again: Votes) -> None:
    road = Road({"PJY5472": 0.9})
    road.read_queue.again = [again]
    reported = [*road.look(), *road.look(None, step_s=5), *road.look(None), *road.look(None)]
    assert reported == []
    assert len(road.read_queue.crops) == 2


def test_frames_between_inferences_are_read_too() -> None:
    road = Road(*[{"PJY5472": 0.999}] * 9)
    assert road.look() == []
    road.skipped_frame()
    assert [rule_event.type for rule_event in road.look(None) + road.look(None)] == ["plate_seen"]


def test_frames_between_inferences_do_not_begin_a_passage() -> None:
    road = Road(*[{"PJY5472": 0.999}] * 9)
    road.skipped_frame()
    assert [rule_event for _ in range(9) for rule_event in road.look(None)] == []


def test_a_track_that_goes_over_to_another_vehicle_is_two_passages() -> None:
    road = Road(*[{"PJY5472": 0.9}] * 2, *[{"XK77ABC": 0.9}] * 3, min_reads=2)
    reported = [rule_event for _ in range(5) for rule_event in road.look()] + road.look(
        None, step_s=9
    )
    assert [rule_event.details["plate_number"] for rule_event in reported] == ["PJY5472", "XK77ABC"]


def test_a_number_that_is_narrower_than_its_plate_was_is_not_counted() -> None:
    road = Road(*[{"PJY5472": 0.999}] * 9)
    road.read_queue.width = 30.0
    assert [f for _ in range(5) for f in road.look()] + road.look(None, step_s=9) == []


def test_small_plates_are_left_alone() -> None:
    road = Road({"PJY5472": 1.0}, min_width=100)
    road.look(box=Box(0, 0, 30, 8))
    assert road.read_queue.crops == []


def test_the_end_of_the_stream_reports_plates_in_view() -> None:
    road = Road(*[{"PJY5472": 0.5, "PJY5412": 0.3}] * 2)
    for _ in range(2):
        road.look()
    assert [rule_event.type for rule_event in road.rule.end()] == ["plate_seen"]
    assert road.rule.end() == []


def test_a_number_on_the_watch_list_gives_two_events() -> None:
    road = Road(*[{"PJY5472": 0.999}] * 5)
    road.read_queue.watched = [
        WatchEntry(7, "PJY5473", "stolen", "alert"),
        WatchEntry(8, "X*", "", "allow"),
    ]
    reported = [rule_event for _ in range(5) for rule_event in road.look()]
    assert [rule_event.type for rule_event in reported] == ["plate_seen", "plate_match"]
    assert reported[1].details["watch_id"] == 7
    assert reported[1].details["action"] == "alert"


@pytest.mark.parametrize(
    ("wanted", "number", "hit"),
    [
        ("A123BC", "A123BC", True),
        ("A123BO", "A123B0", True),
        ("A123BC", "A123BX", True),
        ("A123BC", "A124BX", False),
        ("A123*", "A123BC77", True),
        ("A12?BC", "A125BC", True),
        ("A12?BC", "A1255BC", False),
        ("[A]*", "A123", False),
    ],
)
def test_the_watch_list_forgives_one_edit_and_look_alikes(
    wanted: str, number: str, hit: bool
) -> None:
    assert matches(wanted, number) is hit


def test_passages_do_not_pile_up() -> None:
    road = Road(gap_s=1)
    for number in range(1, 300):
        road.look(number)
    assert len(road.rule._plates) < 10


# ── the watch-list: each alarm once, none lost ───────────────────────────────────────────────


def test_a_listed_car_is_reported_although_almost_the_same_number_was_just_seen() -> None:
    road = Road()
    road.read_queue.watched = [LISTED]
    assert ("plate_seen", "ABC124") in passing(road, "ABC124", 1)
    assert passing(road, "ABC123", 2) == [("plate_seen", "ABC123"), ("plate_match", "ABC123")]


def test_an_alarm_is_reported_once_also_if_the_number_is_misread_meanwhile() -> None:
    road = Road()
    road.read_queue.watched = [LISTED]
    assert passing(road, "ABC123", 1) == [("plate_seen", "ABC123"), ("plate_match", "ABC123")]
    assert passing(road, "ABC123", 2) == []
    assert passing(road, "ABC128", 3) == []
    road.look(None, step_s=61)
    assert passing(road, "ABC123", 4) == [("plate_seen", "ABC123"), ("plate_match", "ABC123")]


def test_each_car_that_matches_a_pattern_is_reported() -> None:
    road = Road()
    road.read_queue.watched = [WatchEntry(8, "ABC12*", "", "alert")]
    alarms = [passing(road, text, n) for n, text in enumerate(["ABC123", "ABC124", "ABC123"], 1)]
    assert [("plate_match" in dict(each)) for each in alarms] == [True, True, False]


def test_a_file_that_begins_again_reports_its_plates_again() -> None:
    road = Road()
    road.read_queue.watched = [LISTED]
    for number in range(1, 6):
        assert passing(road, "ABC123", number) == [
            ("plate_seen", "ABC123"),
            ("plate_match", "ABC123"),
        ]
        road.rule.restart()


def test_a_plate_of_the_last_round_does_not_hide_itself_in_the_next() -> None:
    road = Road(*[{"ABC123": 0.5, "ABC128": 0.3}] * 2)
    assert [event for _ in range(2) for event in road.look()] == []
    road.rule.restart()
    assert [event.type for event in road.look(None, step_s=5)] == ["plate_seen"]
    assert passing(road, "ABC123", 2) == [("plate_seen", "ABC123")]


def test_one_that_is_no_longer_there_is_shown_in_the_frame_that_shows_it() -> None:
    road = Road(*[{"ABC123": 0.5, "ABC128": 0.3}] * 2)
    road.look()
    road.look()
    read_at = road.now
    assert read_at in road.rule.held_frames
    (seen,) = road.look(None, step_s=5)
    assert seen.tracks[0].box == WHERE
    assert seen.frame_at in (read_at, pytest.approx(read_at - 0.2))
    assert road.rule.held_frames == []
