"""The shipped network on images of installed packages, and on drawn plates."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from support.photos import ASTRONAUT_FACE, overlap, photo

from app.config import ObjectSettings
from app.models.crop_refiner import CropRefiner
from app.models.objects import ObjectDetector, load_objects
from app.models.plates.networks import SMEARED, load_plates
from app.models.plates.smeared_search import SmearedSearch
from app.models.plates.tuning import DEFAULT_TUNING
from app.models.weights_file import SHIPPED
from app.types import LABELS, Detection
from training.plate_ageing import smeared

PATIENCE_S = 60.0
# Marked by eye, in pixels of the photos.
BUS = (15, 230, 803, 755)
PEOPLE_BEFORE_THE_BUS = [(48, 398, 245, 903), (222, 405, 345, 861), (670, 385, 810, 880)]
ZIDANE_FACES = [(970, 95, 1075, 265), (555, 255, 680, 440)]


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectDetector]:
    detector = load_objects(ObjectSettings())
    yield detector
    detector.close()


def see(objects: ObjectDetector, image: np.ndarray, label: str) -> list[Detection]:
    size = image.shape[1], image.shape[0]
    found = objects.submit(image).detections(PATIENCE_S, size)
    return [detection for detection in found if detection.label == label]


def is_found(box: tuple[float, ...], found: list[Detection], least: float = 0.5) -> bool:
    return any(overlap(detection.box, box) >= least for detection in found)


def test_it_knows_all_labels(objects: ObjectDetector) -> None:
    assert set(objects.labels) == set(LABELS)


def test_its_files_are_small_and_have_a_model_card() -> None:
    for path in (*SHIPPED.parent.glob("watchpost*"), *SMEARED.parent.glob("smeared_plates*")):
        assert path.stat().st_size <= 8e6
        assert path.with_suffix(".md").exists()


@pytest.mark.parametrize("box", PEOPLE_BEFORE_THE_BUS)
def test_people_are_found(box: tuple[float, ...], objects: ObjectDetector) -> None:
    assert is_found(box, see(objects, photo("ultralytics", "assets", "bus.jpg"), "person"))


def test_the_bus_is_found(objects: ObjectDetector) -> None:
    assert is_found(BUS, see(objects, photo("ultralytics", "assets", "bus.jpg"), "bus"))


@pytest.mark.parametrize("face", ZIDANE_FACES)
def test_faces_are_found(face: tuple[float, ...], objects: ObjectDetector) -> None:
    found = see(objects, photo("ultralytics", "assets", "zidane.jpg"), "face")
    assert is_found(face, found, 0.4)
    assert len(found) == 2


def test_the_astronaut_has_one_face_and_holds_no_cigarette(objects: ObjectDetector) -> None:
    image = photo("skimage", "data", "astronaut.png")
    (face,) = see(objects, image, "face")
    assert overlap(face.box, ASTRONAUT_FACE) > 0.4
    assert see(objects, image, "cigarette") == []


@pytest.mark.parametrize("name", ["coffee.png", "brick.png", "grass.png", "page.png"])
def test_nobody_is_detected_where_nobody_is(name: str, objects: ObjectDetector) -> None:
    image = photo("skimage", "data", name)
    for label in ("person", "face", "plate"):
        assert see(objects, image, label) == []


@pytest.mark.parametrize("value", [0, 114, 255])
def test_nothing_is_detected_in_an_empty_image(value: int, objects: ObjectDetector) -> None:
    image = np.full((360, 640, 3), value, np.uint8)
    assert [label for label in LABELS if see(objects, image, label)] == []


# ── drawn plates ─────────────────────────────────────────────────────────────────────────────


def rear_of_a_car(text: str, width: int, shade: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """A plate of this width on the boot of a drawn car, (360, 640, 3) RGB; and its box."""
    image = np.full((360, 640, 3), 120, np.uint8)
    image[220:] = 75  # the road
    body = (shade, shade // 2 + 20, 40)
    cv2.rectangle(image, (170, 110), (470, 290), body, cv2.FILLED)
    cv2.rectangle(image, (205, 60), (435, 130), body, cv2.FILLED)
    cv2.rectangle(image, (220, 70), (420, 125), (45, 50, 55), cv2.FILLED)
    for x in (178, 422):
        cv2.rectangle(image, (x, 150), (x + 40, 185), (170, 20, 20), cv2.FILLED)
    for x in (185, 405):
        cv2.rectangle(image, (x, 280), (x + 50, 320), (20, 20, 20), cv2.FILLED)
    height = round(width / 4.6)
    x, y = 320 - width // 2, 215
    cv2.rectangle(image, (x, y), (x + width, y + height), (245, 245, 245), cv2.FILLED)
    cv2.rectangle(image, (x, y), (x + width, y + height), (15, 15, 15), 1)
    cv2.rectangle(image, (x, y), (x + width // 11, y + height), (20, 50, 160), cv2.FILLED)
    scale = width / 210
    place = (x + width // 8, y + round(height * 0.78))
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (10, 10, 10), 2, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (3, 3), 0), (x, y, x + width, y + height)


TEXTS = ("AB 123 CD", "M TX 4711", "PL 90 KW", "GR 55 ULF")


def test_drawn_plates_are_found(objects: ObjectDetector) -> None:
    drawn = [
        rear_of_a_car(text, width, shade)
        for text in TEXTS
        for width in (80, 110, 140)
        for shade in (60, 200)
    ]
    found = [is_found(box, see(objects, image, "plate"), 0.4) for image, box in drawn]
    # A network trained on a few hundred photos of plates alone finds none of these.
    assert sum(found) >= 0.8 * len(found)


def test_a_car_without_a_plate_has_none(objects: ObjectDetector) -> None:
    image, (x1, y1, x2, y2) = rear_of_a_car("", 110, 200)
    image[int(y1) - 3 : int(y2) + 3, int(x1) - 3 : int(x2) + 3] = image[150, 320]
    assert see(objects, image, "plate") == []


@pytest.fixture(scope="module")
def smeared_search() -> Iterator[SmearedSearch]:
    networks = load_plates()
    yield SmearedSearch(networks.smeared)
    networks.close()


def test_smeared_plates_are_found_where_they_are(smeared_search: SmearedSearch) -> None:
    """None of the drawn cars was trained on."""
    found = []
    for text, width, shade in itertools.product(TEXTS, (80, 110, 140), (60, 200)):
        image, (x1, y1, x2, y2) = rear_of_a_car(text, width, shade)
        part = image[int(y1) - 8 : int(y2) + 8, int(x1) - 20 : int(x2) + 20]
        part[:] = smeared(part, round(0.12 * width))
        (best, confidence), *_ = smeared_search.boxes(image)
        assert confidence >= DEFAULT_TUNING.min_smeared_confidence
        found.append(overlap(best, (x1, y1, x2, y2)) >= 0.4)
    assert sum(found) >= 0.9 * len(found)


@pytest.mark.parametrize("shade", [60, 120, 200])
def test_a_car_without_a_plate_has_no_smeared_one(
    smeared_search: SmearedSearch, shade: int
) -> None:
    image, (x1, y1, x2, y2) = rear_of_a_car("", 110, shade)
    image[int(y1) - 3 : int(y2) + 3, int(x1) - 3 : int(x2) + 3] = image[150, 320]
    sure = [sure for _, sure in smeared_search.boxes(image)]
    assert max(sure, default=0.0) < DEFAULT_TUNING.min_smeared_confidence


# ── batches and crops ────────────────────────────────────────────────────────────────────────


def test_a_batch_gives_the_same_results_as_single_images(objects: ObjectDetector) -> None:
    bus = photo("ultralytics", "assets", "bus.jpg")
    image = np.asarray(cv2.resize(bus, (480, 640)), np.uint8)
    images = [image, np.ascontiguousarray(image[:, ::-1]), np.zeros_like(image)] * 3
    alone = [objects.submit(each).detections(PATIENCE_S, (480, 640)) for each in images]
    requests = [objects.submit(each) for each in images]
    together = [pending.detections(PATIENCE_S, (480, 640)) for pending in requests]
    assert [len(found) for found in together] == [len(found) for found in alone]
    for first, second in zip(alone, together, strict=True):
        for one, other in zip(first, second, strict=True):
            assert one.label == other.label
            assert np.allclose(one.box, other.box, atol=2)


def test_the_second_pass_keeps_the_detections_of_the_first(objects: ObjectDetector) -> None:
    frame = np.full((1080, 1920, 3), 130, np.uint8)
    frame[400:940, 800:1205] = cv2.resize(photo("ultralytics", "assets", "bus.jpg"), (405, 540))
    whole = objects.submit(frame).detections(PATIENCE_S, (1920, 1080))
    people = [detection for detection in whole if detection.label == "person"]
    assert len(people) >= 2
    crops = CropRefiner(objects, max_crops=None).submit(
        whole,
        (1920, 1080),
        lambda part: frame[part.y1 : part.y2, part.x1 : part.x2],
        lambda longest: frame,
    )
    both = crops.detections(PATIENCE_S)
    assert [d for d in both if d.label != "cigarette"] == [
        d for d in whole if d.label != "cigarette"
    ]


# ── parts of the network ─────────────────────────────────────────────────────────────────────

PARTS = ({"person", "backpack", "handbag", "suitcase"}, {"plate", "cigarette"})


@pytest.mark.parametrize("wanted", PARTS)
def test_a_part_detects_what_the_whole_network_detects(
    wanted: set[str], objects: ObjectDetector
) -> None:
    images = [
        photo("ultralytics", "assets", "bus.jpg"),
        rear_of_a_car("AB 123 CD", 140, 200)[0],
        rear_of_a_car("M TX 4711", 140, 60)[0],
    ]
    part = objects.for_labels(wanted)
    assert part is not objects
    assert wanted < set(part.labels) < set(objects.labels)
    count = 0
    for image in images:
        size = image.shape[1], image.shape[0]
        whole = objects.submit(image).detections(PATIENCE_S, size)
        alone = part.submit(image).detections(PATIENCE_S, size)
        kept = [d for d in whole if d.label in part.labels]
        assert [d.label for d in alone] == [d.label for d in kept]
        for one, other in zip(alone, kept, strict=True):
            assert np.allclose(one.box, other.box, atol=2)
        count += len(alone)
    assert count >= 2
