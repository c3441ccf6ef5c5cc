"""Which pixels of a stream go to the network, and to which part of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from app.analytics.object_scanner import ObjectScanner
from app.analytics.rule_set import RuleSet
from app.analytics.rules import FramePixels, make_rules, read_rule_settings
from app.config import ObjectSettings
from app.errors import DetectorError
from app.types import Box, Detection

WIDTH, HEIGHT = 640, 360
SIZE = (2 * WIDTH, 2 * HEIGHT)  # of the frame itself
ASIDE = Detection("person", 0.9, Box(1000, 100, 1060, 300))


@dataclass
class Pending:
    found: list[Detection] | None

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        if self.found is None:
            raise DetectorError(network="objects", reason="too late")
        x, y = size[0] / SIZE[0], size[1] / SIZE[1]
        return [replace(d, box=d.box.scaled(x, y)) for d in self.found]


@dataclass
class Detector:
    """Notes what it is asked for; a person stands aside in whole frames, nobody in parts."""

    labels: tuple[str, ...] = ("person", "cigarette")
    longest: int = WIDTH
    crop_size: int = 384
    fixed_size: tuple[int, int] | None = None
    whole: list[Detection] | None = field(default_factory=lambda: [ASIDE])
    looks: list[Any] = field(default_factory=list)

    def for_labels(self, labels: Iterable[str]) -> Detector:
        return self

    def submit(self, image: np.ndarray) -> Pending:
        self.looks.append("whole")
        return Pending(self.whole)

    def submit_part(self, part: np.ndarray, scale: float) -> Pending:
        self.looks.append((*part.shape[:2], scale))
        return Pending([])


class Camera:
    """A stream at five frames a second, with a box that a test can move."""

    def __init__(self, detector: Detector, width: int = WIDTH) -> None:
        self.detector = detector
        settings = ObjectSettings(max_crops=2)
        self.scanner = ObjectScanner(settings, detector, ["person"], [])  # type: ignore[arg-type]
        self.width = width
        self.now = 0.0

    def frame(self, x: int = 100) -> list[Detection]:
        image = np.full((self.width * 9 // 16, self.width, 3), 90, np.uint8)
        image[100:140, x : x + 20] = 220
        self.now += 0.2
        pixels = FramePixels(SIZE, lambda part: image, lambda longest: image, self.now)
        pending = self.scanner.submit(lambda longest: image, self.now)
        return list(self.scanner.objects(pending, pixels).found)


def test_only_what_moved_goes_to_the_network() -> None:
    camera = Camera(Detector())
    found = [camera.frame(), camera.frame(), camera.frame(x=130), camera.frame(x=130)]
    assert camera.detector.looks == ["whole", (224, 224, 1.0)]
    assert found == [[ASIDE]] * 4  # who stands aside is remembered


def test_a_part_has_the_scale_of_the_whole() -> None:
    camera = Camera(Detector(), width=480)
    camera.frame()
    camera.frame(x=130)
    assert camera.detector.looks[1][2] == pytest.approx(4 / 3)


def test_after_a_failure_the_whole_is_searched_again() -> None:
    camera = Camera(Detector(whole=None))
    with pytest.raises(DetectorError):
        camera.frame()
    camera.detector.whole = [ASIDE]
    assert camera.frame(x=130) == [ASIDE]
    assert camera.detector.looks == ["whole", "whole"]


def test_a_network_of_one_size_always_gets_the_whole() -> None:
    camera = Camera(Detector(fixed_size=(384, 640)))
    for x in (100, 130, 160):
        camera.frame(x)
    assert camera.detector.looks == ["whole"] * 3


class PartedDetector(Detector):
    """Notes for which labels a crop is searched."""

    def for_labels(self, labels: Iterable[str]) -> Detector:
        return replace(self, labels=tuple(sorted(labels)))

    def submit_crop(self, crop: np.ndarray) -> Pending:
        self.looks.append(self.labels)
        return Pending([])


def test_a_requested_part_is_searched_for_what_the_rules_want_to_know_alone() -> None:
    rules = RuleSet(make_rules({"bags": {}}, read_rule_settings()))
    wanted = rules.requested_labels
    assert wanted >= {"person", "handbag"}
    detector = PartedDetector()
    labels = ["person", "license_plate"]
    scanner = ObjectScanner(ObjectSettings(), detector, labels, [], wanted)  # type: ignore[arg-type]
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels = FramePixels(SIZE, lambda part: image, lambda longest: image, 0.0)
    scanner.enlarge([Box(100, 100, 200, 200)], pixels, SIZE)
    assert detector.looks == [tuple(sorted(wanted))]


def test_the_whole_is_searched_every_second_while_something_moves() -> None:
    camera = Camera(Detector())
    for number in range(26):
        camera.frame(x=100 + 4 * number)
    assert 5 <= camera.detector.looks.count("whole") <= 6
