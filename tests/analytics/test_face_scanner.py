"""Faces of a stream that is scanned in part: none is lost, and doubt withholds the frame."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from support.doubles import PATIENCE_S, FaceNetwork
from support.faces import head

from app.analytics.face_scanner import FaceScanner
from app.analytics.motion import Image, to_cells
from app.config import FaceSettings
from app.errors import DetectorError
from app.models.batching import BatchingRunner
from app.models.faces import FaceDetector, load_faces
from app.types import Box, Detection

from .test_motion import HEIGHT, WIDTH, noisy, scene, with_patch

RARELY = FaceSettings(recheck_s=1000)


@pytest.fixture(scope="module")
def face_network() -> Iterator[BatchingRunner]:
    runner = load_faces()
    yield runner
    runner.close()


def seen(scanner: FaceScanner, image: Image, at: float = 0) -> list[Detection]:
    return scanner.submit(image, at).detections(PATIENCE_S, (image.shape[1], image.shape[0]))


def boxes(found: list[Detection]) -> list[Box]:
    return [Box(*(round(side) for side in face.box)) for face in found]


# ── with a network that a test scripts ───────────────────────────────────────────────────────


def test_the_faces_stay_while_the_image_does(network: FaceNetwork, faces: FaceDetector) -> None:
    network.sees = [(400, 200, 40, 60, 0.9)]
    scanner = FaceScanner(faces, RARELY)
    first = seen(scanner, scene())
    assert boxes(first) == [Box(380, 170, 420, 230)]
    network.sees = []
    assert seen(scanner, scene()) == first
    assert network.asked == 1


def test_an_image_in_which_nothing_moves_is_not_made(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    made = 0

    class Camera:
        size = (WIDTH, HEIGHT)

        def __init__(self, image: Image) -> None:
            self.image, self.cells = image, to_cells(image)

        @property
        def rgb(self) -> Image:
            nonlocal made
            made += 1
            return self.image

    network.sees = [(400, 200, 40, 60, 0.9)]
    scanner = FaceScanner(faces, RARELY)
    for _ in range(5):
        found = scanner.submit(Camera(scene()), 0).detections(PATIENCE_S, (WIDTH, HEIGHT))
        assert len(found) == 1
    assert made == 1
    scanner.submit(Camera(with_patch(scene(), Box(90, 90, 110, 110), 30)), 0)
    assert made == 2


def test_the_answer_is_given_in_pixels_of_the_size_asked_for(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    network.sees = [(400, 200, 40, 60, 0.9)]
    scanner = FaceScanner(faces, RARELY)
    for _ in range(2):
        found = scanner.submit(scene(), 0).detections(PATIENCE_S, (2 * WIDTH, HEIGHT))
        assert boxes(found) == [Box(760, 170, 840, 230)]


def test_where_it_changed_the_new_answer_counts_and_elsewhere_the_old_one(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    network.sees = [(100, 100, 40, 40, 0.9), (800, 400, 40, 40, 0.8)]
    scanner = FaceScanner(faces, RARELY)
    seen(scanner, scene())
    network.sees = []
    changed = with_patch(scene(), Box(90, 90, 110, 110), 30)
    assert boxes(seen(scanner, changed)) == [Box(780, 380, 820, 420)]
    assert network.batches[-1][1] < HEIGHT


def test_a_face_in_a_region_is_placed_in_the_whole_image(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    scanner = FaceScanner(faces, RARELY)
    seen(scanner, scene())
    spot = Box(600, 300, 640, 340)
    image = with_patch(scene(), spot, 30)
    pending = scanner.submit(image, 0)
    assert pending.regions is not None
    (region,) = pending.regions
    network.sees = [(620 - region.left, 320 - region.top, 40, 40, 0.9)]
    scanner = FaceScanner(faces, RARELY)
    network.sees, later = [], network.sees
    seen(scanner, scene())
    network.sees = later
    assert boxes(seen(scanner, image)) == [spot]


def test_the_whole_image_is_scanned_again_after_a_while(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    scanner = FaceScanner(faces, FaceSettings(recheck_s=1.0))
    for at in (0.0, 0.5, 0.9, 1.1, 1.5, 2.2):
        seen(scanner, scene(), at)
    assert network.asked == 3


def test_with_no_time_between_every_frame_is_scanned_whole(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    scanner = FaceScanner(faces, FaceSettings(recheck_s=0))
    for at in range(4):
        seen(scanner, scene(), at / 15)
    assert network.asked == 4


def test_another_size_is_scanned_whole(network: FaceNetwork, faces: FaceDetector) -> None:
    scanner = FaceScanner(faces, RARELY)
    seen(scanner, scene())
    network.sees = [(100, 100, 40, 40, 0.9)]
    assert len(seen(scanner, scene(size=(640, 360)))) == 1


def test_after_a_failure_nothing_is_known_until_all_of_it_was_seen(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    scanner = FaceScanner(faces, RARELY)
    seen(scanner, scene())
    image = with_patch(scene(), Box(90, 90, 110, 110), 30)
    network.fails_with = RuntimeError("broken")
    failed, resting_on_it = scanner.submit(image, 0), scanner.submit(image, 0)
    assert resting_on_it.inferences == []
    for pending in (failed, resting_on_it):
        with pytest.raises(DetectorError):
            pending.detections(PATIENCE_S, (WIDTH, HEIGHT))
    network.fails_with, network.sees = None, [(100, 100, 40, 40, 0.9)]
    assert boxes(seen(scanner, image)) == [Box(80, 80, 120, 120)]
    assert network.batches[-1][1:3] == (544, 960)


def test_an_inference_that_nobody_waited_for_makes_the_next_ones_worthless(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    scanner = FaceScanner(faces, RARELY)
    seen(scanner, scene())
    image = with_patch(scene(), Box(90, 90, 110, 110), 30)
    scanner.submit(image, 0)
    with pytest.raises(DetectorError):
        seen(scanner, image)
    seen(scanner, image)


def test_what_could_not_be_asked_for_is_asked_for_again(
    network: FaceNetwork, faces: FaceDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner = FaceScanner(faces, RARELY)
    seen(scanner, scene())
    image = with_patch(scene(), Box(90, 90, 110, 110), 30)
    with monkeypatch.context() as overloaded:
        overloaded.setattr(faces, "submit", _refuse)
        with pytest.raises(DetectorError):
            scanner.submit(image, 0)
    network.sees = [(100, 100, 40, 40, 0.9)]
    assert len(seen(scanner, image)) == 1


def _refuse(image: Image) -> None:
    raise DetectorError(network="faces", reason="too many requests")


def test_a_face_that_a_region_truncates_is_covered_and_seen_whole_next_time(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    scanner = FaceScanner(faces, RARELY)
    seen(scanner, scene())
    image = with_patch(scene(), Box(490, 290, 510, 310), 30)
    network.sees = [(128, 128, 300, 300, 0.9)]
    assert len(seen(scanner, image)) == 1
    asked = network.asked
    seen(scanner, image)
    assert network.asked == asked + 1
    assert network.batches[-1][1:3] == (544, 960)


# ── with the real one ────────────────────────────────────────────────────────────────────────


def pasted(background: Image, side: int, left: int, top: int, share: float) -> Image:
    """A head blended into the picture; ``share`` of it shows through."""
    face = cv2.cvtColor(head(side), cv2.COLOR_BGR2RGB).astype(np.float32)
    mask = np.zeros((side, side, 1), np.float32)
    cv2.ellipse(mask, (side // 2, side // 2), (side // 2 - 2, side // 2 - 2), 0, 0, 360, 1, -1)
    image = background.astype(np.float32)
    part = image[top : top + side, left : left + side]
    part += (face - part) * mask * share
    return np.asarray(image.round(), np.uint8)


def is_seen(found: list[Detection], side: int, left: int, top: int) -> bool:
    middle = Box(left, top, left + side, top + side)
    return any(face.box.iou(middle) > 0.05 for face in found)


@pytest.mark.parametrize("level", [20, 110, 230])
@pytest.mark.parametrize(("side", "sigma"), [(36, 0), (60, 0), (60, 4), (150, 0), (150, 4)])
def test_a_face_that_fades_in_is_detected_as_soon_as_in_whole_images(
    face_network: BatchingRunner, level: int, side: int, sigma: float
) -> None:
    """On a plain wall, dark or light. Below a tenth of its contrast nobody knows a face."""
    gated = FaceScanner(FaceDetector(face_network, min_confidence=0.1), RARELY)
    always = FaceScanner(FaceDetector(face_network, min_confidence=0.2), FaceSettings(recheck_s=0))
    wall = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
    for step in range(51):
        image = noisy(pasted(wall, side, 333, 211, step / 50), sigma, seed=step)
        found = seen(gated, image, step)
        if step / 50 > 0.1 and is_seen(seen(always, image, step), side, 333, 211):
            break
    else:
        pytest.fail("the network never saw this face")
    assert is_seen(found, side, 333, 211)


@pytest.mark.parametrize("speed", [1, 3, 12])
def test_a_face_that_walks_through_is_never_lost(face_network: BatchingRunner, speed: int) -> None:
    detector = FaceDetector(face_network, min_confidence=0.1)
    gated, always = FaceScanner(detector, RARELY), FaceScanner(detector, FaceSettings(recheck_s=0))
    background = scene(14)  # the network finds no face in it
    side, asked, missed = 72, 0, []
    for step in range(40):
        left = 300 + step * speed
        image = noisy(pasted(background, side, left, 200, 1), 2, seed=step)
        pending = gated.submit(image, step)
        asked += (
            WIDTH * HEIGHT
            if pending.regions is None
            else sum(region.width * region.height for region in pending.regions)
        )
        found = pending.detections(PATIENCE_S, (WIDTH, HEIGHT))
        sure = [face for face in seen(always, image, step) if face.confidence > 0.3]
        if is_seen(sure, side, left, 200) and not is_seen(found, side, left, 200):
            missed.append(step)
    assert not missed
    assert asked < 0.6 * 40 * WIDTH * HEIGHT
