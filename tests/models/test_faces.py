"""YuNet: its detections, and how its maps are decoded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.photos import ASTRONAUT_FACE, overlap, photo

from app.errors import DetectorError, SetupError
from app.models.batching import BatchingRunner
from app.models.faces import (
    COARSE_MULTIPLE,
    NMS_IOU,
    STRIDES,
    FaceDetector,
    decode,
    load_faces,
)
from app.models.letterbox import MAX_EXACT_AREA
from app.models.network import Outputs
from app.models.openvino_runtime import OpenVinoNetwork

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def faces() -> Iterator[FaceDetector]:
    runner = load_faces()
    yield FaceDetector(runner, min_confidence=0.3)
    runner.close()


def find(faces: FaceDetector, image: np.ndarray) -> list[Any]:
    height, width = image.shape[:2]
    return faces.submit(image).detections(PATIENCE_S, (width, height))


# ── the real network ─────────────────────────────────────────────────────────────────────────


def test_the_astronauts_face_is_found_where_it_is(faces: FaceDetector) -> None:
    (found,) = find(faces, photo("skimage", "data", "astronaut.png"))
    assert found.label == "face"
    assert found.confidence > 0.6
    assert overlap(found.box, ASTRONAUT_FACE) > 0.5


def test_both_faces_on_a_photograph_are_found(faces: FaceDetector) -> None:
    found = find(faces, cv2.resize(photo("ultralytics", "assets", "zidane.jpg"), (640, 360)))
    assert len(found) == 2


@pytest.mark.parametrize(
    "size", [(512, 512), (511, 509), (200, 300), (97, 161), (33, 33), (640, 360)]
)
def test_sizes_that_the_network_does_not_take_are_padded(
    faces: FaceDetector, size: tuple[int, int]
) -> None:
    image = cv2.resize(photo("skimage", "data", "astronaut.png"), size)
    for detection in find(faces, image):
        box = detection.box
        assert 0 <= box.x1 < box.x2 <= size[0]
        assert 0 <= box.y1 < box.y2 <= size[1]
    if min(size) > 150:
        x, y = size[0] / 512, size[1] / 512
        (found,) = find(faces, image)
        expected = tuple(
            side * scale for side, scale in zip(ASTRONAUT_FACE, (x, y, x, y), strict=True)
        )
        assert overlap(found.box, expected) > 0.5


def test_boxes_come_in_pixels_of_the_size_that_is_asked_for(faces: FaceDetector) -> None:
    image = photo("skimage", "data", "astronaut.png")
    (small,) = faces.submit(image).detections(PATIENCE_S, (512, 512))
    (large,) = faces.submit(image).detections(PATIENCE_S, (2048, 1024))
    assert np.allclose(np.array(large.box), np.array(small.box) * (4, 2, 4, 2), atol=0.01)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_no_face_is_found_in_an_empty_image(faces: FaceDetector, value: int) -> None:
    assert find(faces, np.full((384, 640, 3), value, np.uint8)) == []


def test_a_batch_gives_the_same_results_as_single_images(faces: FaceDetector) -> None:
    image = photo("skimage", "data", "astronaut.png")
    images = [image, np.ascontiguousarray(image[:, ::-1]), np.zeros_like(image)] * 3
    alone = [find(faces, each) for each in images]
    requests = [faces.submit(each) for each in images]
    together = [pending.detections(PATIENCE_S, (512, 512)) for pending in requests]
    for one, many in zip(alone, together, strict=True):
        assert len(one) == len(many)
        for first, second in zip(one, many, strict=True):
            assert np.allclose(np.array(first.box), np.array(second.box), atol=2)


def test_the_input_image_is_not_modified(faces: FaceDetector) -> None:
    image = photo("skimage", "data", "astronaut.png")
    before = image.copy()
    find(faces, image)
    assert np.array_equal(image, before)


def test_a_file_that_is_not_a_network_is_a_setup_error(tmp_path: Path) -> None:
    for name, content in {"none.onnx": None, "bad.onnx": b"this is no network"}.items():
        if content:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(SetupError):
            OpenVinoNetwork(tmp_path / name)


# ── reading the maps ─────────────────────────────────────────────────────────────────────────


def by_hand(outputs: Outputs, min_confidence: float) -> list[tuple[float, ...]]:
    """``decode`` cell by cell, as in the paper: x1, y1, x2, y2, confidence, best first."""
    found = []
    for cells, stride in zip(outputs, STRIDES, strict=True):
        for row, column in np.ndindex(cells.shape[:2]):
            confidence, x, y, log_width, log_height = map(float, cells[row, column])
            if confidence <= min_confidence:
                continue
            width, height = math.exp(log_width) * stride, math.exp(log_height) * stride
            x, y = (column + x) * stride, (row + y) * stride
            found.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2, confidence))
    found.sort(key=lambda face: -face[4])
    kept: list[tuple[float, ...]] = []
    for face in found:
        if all(overlap(face, other) <= NMS_IOU for other in kept):
            kept.append(face)
    return kept


@pytest.mark.parametrize("seed", range(8))
def test_the_maps_are_read_as_the_paper_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = 192 + 64 * (seed % 3), 320
    outputs = []
    for stride in STRIDES:
        cells = rng.uniform(-0.5, 1.5, (height // stride, width // stride, 5)).astype(np.float32)
        cells[..., 0] = rng.random(cells.shape[:2]) ** 12
        outputs.append(cells)
    boxes, confidences = decode(outputs, 0.3)
    expected = by_hand(outputs, 0.3)
    assert len(boxes) == len(expected) > 5
    order = np.argsort(-confidences)
    assert np.allclose(confidences[order], [face[4] for face in expected], atol=1e-5)
    assert np.allclose(boxes[order], [face[:4] for face in expected], atol=0.05)


def test_empty_maps_give_nothing_of_the_right_shape() -> None:
    boxes, confidences = decode([np.zeros((n, n, 5), np.float32) for n in (8, 4, 2)], 0.3)
    assert boxes.shape == (0, 4)
    assert confidences.shape == (0,)


@pytest.mark.parametrize(
    ("side", "confidence", "kept"),
    [
        (40, 0.11, True), (50, 0.19, False), (50, 0.21, True), (150, 0.19, False),
        (150, 0.21, True), (200, 0.39, False), (200, 0.41, True),
    ],
)  # fmt: skip
def test_large_faces_need_more_confidence(side: int, confidence: float, kept: bool) -> None:
    outputs = [np.zeros((320 // stride, 320 // stride, 5), np.float32) for stride in STRIDES]
    outputs[2][5, 5] = confidence, 0, 0, math.log(side / 32), math.log(1.2 * side / 32)
    detector = answered(outputs, min_confidence=0.1)
    found = detector.submit(np.zeros((320, 320, 3), np.uint8)).detections(1, (320, 320))
    assert len(found) == kept


class Answers:
    """A runner with a given result."""

    def __init__(self, answer: Future[Outputs]) -> None:
        self.answer = answer

    def submit(self, image: np.ndarray) -> Future[Outputs]:
        return self.answer


def answered(outputs: Any, min_confidence: float = 0.3) -> FaceDetector:
    future: Future[Outputs] = Future()
    future.set_result(outputs)
    return FaceDetector(Answers(future), min_confidence=min_confidence)  # type: ignore[arg-type]


CONFIDENCE, OFFSET, SIZE = 0, slice(1, 3), slice(3, 5)


def maps(faulty: int | slice = CONFIDENCE, value: float = 0.9) -> Outputs:
    """The maps of one face around (32, 32) in a 64 x 64 image, with one of its values replaced."""
    cells = np.zeros((8, 8, 5), np.float32)
    cells[4, 4, CONFIDENCE], cells[4, 4, SIZE] = 0.9, 1.5
    cells[4, 4, faulty] = value
    return [cells, np.zeros((4, 4, 5), np.float32), np.zeros((2, 2, 5), np.float32)]


def test_a_face_at_the_edge_is_cut_off_there() -> None:
    outputs = maps()
    outputs[0][0, 0, CONFIDENCE], outputs[0][0, 0, SIZE] = 0.8, 1.5
    pending = answered(outputs).submit(np.zeros((64, 64, 3), np.uint8))
    boxes = [detection.box for detection in pending.detections(1, (64, 64))]
    assert len(boxes) == 2
    assert min(min(box) for box in boxes) == 0


@pytest.mark.parametrize(
    "outputs",
    [
        maps(CONFIDENCE, np.nan),
        maps(SIZE, np.nan),
        maps(SIZE, np.inf),
        maps(SIZE, 1e4),
        maps(SIZE, -1e4),
        maps(OFFSET, np.nan),
        maps()[:2],
        [],
        [np.zeros((1, 16), np.float32)] * 3,
        [np.full_like(output, np.nan) for output in maps()],
    ],
    ids=[
        "confidence",
        "size",
        "inf-size",
        "huge-size",
        "no-size",
        "offset",
        "two-maps",
        "none",
        "flat",
        "all",
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_invalid_maps_are_a_failure_and_not_an_empty_scene(outputs: Any) -> None:
    """Privacy depends on this: invalid output must not be taken for an empty scene."""
    pending = answered(outputs).submit(np.zeros((64, 64, 3), np.uint8))
    try:
        found = pending.detections(1, (64, 64))
    except DetectorError:
        return
    assert found, "a face was lost silently"
    box = found[0].box
    assert box.x1 <= 32 <= box.x2
    assert box.y1 <= 32 <= box.y2


def test_a_timeout_is_a_failure_and_cancels_the_request() -> None:
    future: Future[Outputs] = Future()
    detector = FaceDetector(Answers(future), min_confidence=0.3)  # type: ignore[arg-type]
    pending = detector.submit(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(DetectorError):
        pending.detections(0.01, (64, 64))
    assert future.cancelled()


def test_the_padding_is_right_and_below_and_black() -> None:
    seen: list[np.ndarray] = []

    class Keeps:
        def submit(self, image: np.ndarray) -> Future[Outputs]:
            seen.append(image)
            return Future()

    detector = FaceDetector(Keeps(), min_confidence=0.3)  # type: ignore[arg-type]
    image = np.full((50, 70, 3), 200, np.uint8)
    detector.submit(image)
    detector.submit(np.full((64, 96, 3), 200, np.uint8))
    padded, exact = seen
    assert padded.shape == exact.shape == (64, 96, 3)
    assert (padded[:50, :70] == 200).all()
    assert not padded[50:].any()
    assert not padded[:, 70:].any()


def test_a_runner_that_was_shut_down_is_a_detector_error() -> None:
    class Nothing:
        name, device, precision = "nothing", "nowhere", "none"
        path = Path("nothing.xml")
        parallel, max_batch = 1, 1

        def infer(self, images: np.ndarray) -> Outputs:
            return []

    runner = BatchingRunner(Nothing())
    runner.close()
    with pytest.raises(DetectorError):
        FaceDetector(runner, min_confidence=0.3).submit(np.zeros((32, 32, 3), np.uint8))


def test_images_of_hundreds_of_sizes_compile_few_networks() -> None:
    shapes = set()

    class Asked:
        def submit(self, image: np.ndarray) -> Future[Outputs]:
            shapes.add(image.shape)
            return Future()

    faces = FaceDetector(Asked(), min_confidence=0.3)  # type: ignore[arg-type]
    rng = np.random.default_rng(2)
    for height, width in [(540, 960), *rng.integers(1, 961, (400, 2)), (540, 960)]:
        seen = len(shapes)
        faces.submit(np.zeros((height, width, 3), np.uint8))
    assert (544, 960, 3) in shapes
    assert len(shapes) == seen  # the first camera keeps its exact size
    squares = sum(side * side for side in range(COARSE_MULTIPLE, 961, COARSE_MULTIPLE))
    areas = sum(height * width for height, width, _ in shapes)
    assert areas <= MAX_EXACT_AREA * 960 * 960 + squares
