"""The crops of the second pass, and how their detections are merged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.errors import DetectorError
from app.models.crop_refiner import CropRefiner, CropWindow, crop_windows, join, upper_body
from app.types import Box, Detection

FRAME = (1920, 1080)


def person(*box: float, confidence: float = 0.8) -> Detection:
    return Detection("person", confidence, Box(*box))


def cigarette(*box: float, confidence: float = 0.5) -> Detection:
    return Detection("cigarette", confidence, Box(*box))


def parts(*people: tuple[float, ...], **options: Any) -> list[CropWindow]:
    given = {"first_pass_side": 640, "crop_size": 384, **options}
    return crop_windows([Box(*box) for box in people], FRAME, **given)


# ── the window ───────────────────────────────────────────────────────────────────────────────


def test_a_standing_person_gives_a_square_from_above_the_head_to_the_hips() -> None:
    window = upper_body(Box(900, 200, 1020, 600), FRAME)
    assert window == (850, 182, 1070, 402)


@pytest.mark.parametrize("seed", range(40))
def test_a_window_lies_inside_the_frame_and_is_square_where_it_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(40, 2000, 2))
    x = np.sort(rng.uniform(0, width, 2))
    y = np.sort(rng.uniform(0, height, 2))
    body = Box(float(x[0]), float(y[0]), float(x[1]) + 1, float(y[1]) + 1)
    window = upper_body(body, (width, height))
    assert 0 <= window.x1 <= window.x2 <= width
    assert 0 <= window.y1 <= window.y2 <= height
    side = max(1.3 * body.width, 0.55 * body.height)
    for length, limit in zip(window.size, (width, height), strict=True):
        assert abs(length - min(side, limit)) <= 1
    if body.width > 4:
        middle = min(max((body.x1 + body.x2) / 2, 0), width)
        assert window.x1 - 1 <= middle <= window.x2 + 1


# ── which people ─────────────────────────────────────────────────────────────────────────────


def test_large_people_get_no_crop() -> None:
    near, far = (100, 100, 900, 1080), (1400, 500, 1450, 620)
    assert parts(near) == []
    assert parts(far, near) == [upper_body(Box(*far), FRAME)]
    assert parts(near, crop_size=1920) == [upper_body(Box(*near), FRAME)]


def test_with_many_people_each_frame_crops_the_next_ones() -> None:
    people = [(100 * n, 100, 100 * n + 40 + n, 220) for n in range(5)]
    everybody = parts(*people)
    assert len(everybody) == 5
    turns = [parts(*people, max_crops=2, turn=turn) for turn in range(5)]
    assert all(len(turn) == 2 for turn in turns)
    counts = [sum(window in turn for turn in turns) for window in everybody]
    assert counts == [2] * 5
    assert parts(*people, max_crops=0) == []
    assert parts(*people, max_crops=9) == everybody


# ── detections ───────────────────────────────────────────────────────────────────────────────


def test_a_cigarette_of_both_passes_is_merged_and_other_labels_stay() -> None:
    first = [person(0, 0, 100, 300), cigarette(40, 40, 60, 50, confidence=0.4)]
    again = [cigarette(42, 41, 58, 49, confidence=0.7), cigarette(200, 200, 210, 205)]
    both = join(first, [*again, person(0, 0, 50, 50)])
    assert both == [first[0], *again]


class Detector:
    """Detects one cigarette in the middle of every crop."""

    labels: tuple[str, ...] = ("person", "cigarette")
    longest, crop_size = 640, 384

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []
        self.failure: DetectorError | None = None

    def for_labels(self, labels: Any) -> Any:
        return self

    def submit_crop(self, crop: np.ndarray) -> Any:
        self.shown.append(crop)

        def detections(timeout_s: float, size: tuple[int, int]) -> list[Detection]:
            if self.failure:
                raise self.failure
            x, y = size[0] / 2, size[1] / 2
            return [cigarette(x - 4, y - 2, x + 4, y + 2), person(0, 0, *size)]

        return SimpleNamespace(detections=detections)


class PartDetector(Detector):
    """A network of which the first pass ran only the part that detects people.

    Attributes:
        asked: the labels of each part that was asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[set[str]] = []
        self.whole: list[np.ndarray] = []

    def for_labels(self, labels: Any) -> Any:
        self.asked.append(set(labels))
        return self

    def submit(self, image: np.ndarray) -> Any:
        self.whole.append(image)
        return self.submit_crop(image)


def in_parts(
    detector: PartDetector, *people: Detection, enlarge: bool = True, max_crops: int | None = None
) -> Any:
    frame = np.zeros((FRAME[1], FRAME[0], 3), np.uint8)
    refiner = CropRefiner(detector, max_crops=max_crops, first_labels=("person",))  # type: ignore[arg-type]
    return refiner.submit(
        people,
        FRAME,
        lambda part: frame[part.y1 : part.y2, part.x1 : part.x2],
        lambda longest: frame[:360, :longest],
        enlarge=enlarge,
    )


def refine(detector: Detector, *whole: Detection) -> Any:
    frame = np.zeros((FRAME[1], FRAME[0], 3), np.uint8)
    refiner = CropRefiner(detector, max_crops=None)  # type: ignore[arg-type]
    return refiner.submit(
        whole,
        FRAME,
        lambda part: frame[part.y1 : part.y2, part.x1 : part.x2],
        lambda longest: frame,
    )


def test_detections_in_crops_are_in_pixels_of_the_frame() -> None:
    detector = Detector()
    body = person(900, 200, 1020, 600)
    unsure = person(0, 0, 90, 200, confidence=0.2)
    found = refine(detector, body, unsure).detections(1)
    assert [crop.shape for crop in detector.shown] == [(220, 220, 3)]
    assert found == [body, unsure, cigarette(960 - 4, 292 - 2, 960 + 4, 292 + 2)]


def test_a_network_without_cigarettes_gets_no_crops() -> None:
    detector = Detector()
    detector.labels = ("person",)
    body = person(900, 200, 1020, 600)
    assert refine(detector, body).detections(1) == [body]
    assert detector.shown == []


def test_a_failure_of_the_second_pass_is_a_failure() -> None:
    detector = Detector()
    detector.failure = DetectorError(network="objects", reason="timed out")
    with pytest.raises(DetectorError):
        refine(detector, person(900, 200, 1020, 600)).detections(1)


def test_without_people_there_are_no_crops() -> None:
    assert refine(Detector()).detections(1) == []


# ── what the first pass does not look for ────────────────────────────────────────────────────


def test_cigarettes_are_looked_for_in_crops_by_their_part_of_the_network() -> None:
    detector = PartDetector()
    crops = in_parts(detector, person(900, 200, 1020, 600))
    assert detector.asked == [{"cigarette"}]
    assert [crop.shape for crop in detector.shown] == [(220, 220, 3)]
    assert detector.whole == []
    assert crops.examined == [(850, 182, 1070, 402)]


def test_people_whom_a_crop_would_not_enlarge_are_looked_at_in_the_whole_frame() -> None:
    detector = PartDetector()
    crops = in_parts(detector, person(100, 0, 1400, 1080), person(900, 200, 1020, 600))
    assert [image.shape for image in detector.whole] == [(360, 640, 3)]
    assert len(detector.shown) == 2
    assert (0, 0, *FRAME) in crops.examined
    found = [d for d in crops.detections(1) if d.label == "cigarette"]
    assert (
        cigarette(FRAME[0] / 2 - 4, FRAME[1] / 2 - 2, FRAME[0] / 2 + 4, FRAME[1] / 2 + 2) in found
    )


def test_without_crops_the_whole_frame_is_searched_once() -> None:
    detector = PartDetector()
    in_parts(detector, *(person(x, 200, x + 100, 600) for x in (0, 300, 600)), enlarge=False)
    assert len(detector.whole) == len(detector.shown) == 1


def test_without_people_nothing_is_searched() -> None:
    detector = PartDetector()
    for enlarge in (True, False):
        assert in_parts(detector, enlarge=enlarge).examined == []
    assert detector.shown == []


@pytest.mark.parametrize(("max_crops", "complete"), [(2, True), (1, False), (None, True)])
def test_it_says_whether_somebody_has_to_wait(max_crops: int | None, complete: bool) -> None:
    people = [person(x, 200, x + 100, 600) for x in (0, 300)]
    assert in_parts(PartDetector(), *people, max_crops=max_crops).complete is complete
