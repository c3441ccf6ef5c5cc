"""Test-time augmentation: several passes over one image, fused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.errors import DetectorError
from app.models.crop_refiner import CropWindow, upper_body
from app.models.tta import PartDetections, detect_with_tta, fuse
from app.types import Box, Detection

WHOLE = CropWindow(0, 0, 640, 360)
BODY = Box(300, 100, 340, 240)


def cigarette(*box: float, confidence: float = 0.6) -> Detection:
    return Detection("cigarette", confidence, Box(*box))


# ── fusion ───────────────────────────────────────────────────────────────────────────────────


def one_pass(*found: Detection, part: CropWindow = WHOLE, scale: float = 1.0) -> PartDetections:
    return PartDetections(part, scale, found)


def test_passes_without_a_detection_lower_the_confidence() -> None:
    seen = cigarette(10, 10, 30, 20, confidence=0.8)
    assert fuse([one_pass(seen)]) == [seen]
    (once,) = fuse([one_pass(seen), one_pass(), one_pass(), one_pass()])
    assert once.confidence == pytest.approx(0.2)
    (always,) = fuse([one_pass(seen)] * 4)
    assert always.confidence == pytest.approx(0.8)


def test_a_pass_over_another_part_does_not_vote() -> None:
    seen = cigarette(10, 10, 30, 20, confidence=0.8)
    elsewhere = one_pass(part=CropWindow(300, 0, 640, 340))
    assert fuse([one_pass(seen), elsewhere]) == [seen]


def test_a_pass_at_a_much_smaller_scale_does_not_vote() -> None:
    part = CropWindow(0, 0, 100, 100)
    seen = one_pass(cigarette(10, 10, 30, 20, confidence=0.8), part=part, scale=4)
    assert fuse([one_pass(scale=1), seen])[0].confidence == pytest.approx(0.8)
    assert fuse([one_pass(scale=3), seen])[0].confidence == pytest.approx(0.4)
    far = one_pass(cigarette(10, 10, 30, 20, confidence=0.8), scale=1)
    assert fuse([far, one_pass(part=part, scale=4)])[0].confidence == 0, (
        "the enlarged crop did not show it"
    )


def test_two_objects_stay_two_and_a_box_is_the_weighted_mean() -> None:
    first = one_pass(cigarette(0, 0, 20, 10, confidence=0.6), cigarette(200, 0, 220, 10))
    second = one_pass(cigarette(2, 0, 22, 10, confidence=0.2), cigarette(200, 0, 220, 10))
    both = fuse([first, second])
    assert [d.box for d in both] == [
        pytest.approx((0.5, 0, 20.5, 10)),
        pytest.approx((200, 0, 220, 10)),
    ]
    assert [d.confidence for d in both] == pytest.approx([0.4, 0.6])


def test_the_more_confident_of_two_boxes_of_one_pass_votes() -> None:
    twins = one_pass(
        cigarette(0, 0, 20, 10, confidence=0.6), cigarette(3, 0, 23, 10, confidence=0.5)
    )
    assert [d.confidence for d in fuse([twins, one_pass()])] == pytest.approx([0.3])


# ── the passes ───────────────────────────────────────────────────────────────────────────────


class Network:
    """Detects a person in the whole image, and a cigarette where it is white: with high confidence
    in crops, else with low confidence."""

    labels = ("person", "cigarette")
    longest = 640

    def __init__(self, least: float = 0.3) -> None:
        self.least = least
        self.requested: list[tuple[int, ...]] = []
        self.failure: DetectorError | None = None

    def threshold(self, label: str) -> float:
        assert label == "cigarette"
        return 0.3

    def with_threshold(self, label: str, confidence: float) -> Network:
        assert label == "cigarette"
        other = Network(confidence)
        other.requested, other.failure = self.requested, self.failure
        return other

    def submit(self, image: np.ndarray) -> Any:
        return self._infer(image, 0.1)

    def submit_crop(self, image: np.ndarray, side: int) -> Any:
        assert side == 512
        return self._infer(image, 0.9)

    def _infer(self, image: np.ndarray, confidence: float) -> Any:
        self.requested.append(image.shape)

        def detections(timeout_s: float, size: tuple[int, int]) -> list[Detection]:
            if self.failure:
                raise self.failure
            assert size == (image.shape[1], image.shape[0])
            places = np.argwhere((image > 250).all(axis=2))
            found = [Detection("person", 0.9, BODY)] if size == WHOLE.size else []
            if len(places) and confidence >= self.least:
                (y1, x1), (y2, x2) = places.min(axis=0), places.max(axis=0) + 1
                found.append(cigarette(x1, y1, x2, y2, confidence=confidence))
            return found

        return SimpleNamespace(detections=detections)


def drawn_image() -> np.ndarray:
    image = np.full((360, 640, 3), 90, np.uint8)
    image[130:134, 318:330] = 255
    return image


def test_a_weak_detection_is_confident_in_the_crop_and_at_its_place() -> None:
    network = Network()
    found = detect_with_tta(network, drawn_image(), 1.0)  # type: ignore[arg-type]
    person, seen = found
    assert person == Detection("person", 0.9, BODY)
    assert seen.label == "cigarette"
    assert seen.confidence == pytest.approx(0.9)
    assert seen.box == pytest.approx((318, 130, 330, 134))
    part = upper_body(BODY, WHOLE.size)
    width, height = part.size
    assert network.requested == [(360, 640, 3)] * 2 + [(height, width, 3)] * 2


def test_a_detection_of_a_single_pass_is_not_reported() -> None:
    class Inconsistent(Network):
        def with_threshold(self, label: str, confidence: float) -> Network:
            return self

        def submit_crop(self, image: np.ndarray, side: int) -> Any:
            mirrored = len(self.requested) == 3
            return self._infer(image, 0.5 if mirrored else 0.0)

    found = detect_with_tta(Inconsistent(), drawn_image(), 1.0)  # type: ignore[arg-type]
    assert [d.label for d in found] == ["person"]


def test_without_people_there_are_two_passes() -> None:
    network, image = Network(), drawn_image()[:, :600]
    assert detect_with_tta(network, image, 1.0) == []  # type: ignore[arg-type]
    assert network.requested == [image.shape] * 2


def test_a_network_without_cigarettes_runs_once() -> None:
    network = Network()
    network.labels = ("person", "face")
    assert detect_with_tta(network, drawn_image(), 1.0) == [  # type: ignore[arg-type]
        Detection("person", 0.9, BODY)
    ]
    assert network.requested == [(360, 640, 3)]


def test_a_failure_is_raised() -> None:
    network = Network()
    network.failure = DetectorError(network="objects", reason="timed out")
    with pytest.raises(DetectorError):
        detect_with_tta(network, drawn_image(), 1.0)  # type: ignore[arg-type]
