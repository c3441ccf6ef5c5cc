"""The object detector: how its outputs are decoded, and what is refused at load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.networks import OURS, places, write_ir, write_onnx, write_parts

from app.config import ObjectSettings
from app.errors import DetectorError, SetupError
from app.first_time import FirstTime
from app.models import devices, weights_file
from app.models.model_metadata import ModelMetadata, read_model_metadata
from app.models.network import Outputs
from app.models.objects import MAX_BOXES, ObjectDetector, decode, load_objects
from app.models.openvino_runtime import OpenVinoNetwork

PATIENCE_S = 60.0
FOREIGN = {0: "dog", 1: "person", 2: "License_Plate", 3: "car", 4: "man"}
IMAGE = np.full((540, 960, 3), 90, np.uint8)


@pytest.fixture
def metadata() -> ModelMetadata:
    return read_model_metadata({"names": FOREIGN}, "foreign.onnx")


# ── decoding the output ──────────────────────────────────────────────────────────────────────


def by_hand(
    answer: np.ndarray, metadata: ModelMetadata, thresholds: np.ndarray
) -> list[tuple[Any, ...]]:
    """Anchor by anchor: label, confidence, x1, y1, x2, y2, best first, with plain NMS."""
    found = []
    for place in answer.T:
        x, y, width, height = (float(value) for value in place[:4])
        confidence, column = max((float(place[4 + c]), -i) for i, c in enumerate(metadata.columns))
        if confidence >= thresholds[-column]:
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            found.append((metadata.labels[-column], confidence, *box))
    found.sort(key=lambda seen: -seen[1])
    limit = dict(zip(metadata.labels, metadata.nms_iou, strict=True))
    kept: list[tuple[Any, ...]] = []
    for seen in found:
        same = [other for other in kept if other[0] == seen[0]]
        if all(iou(seen[2:], other[2:]) <= limit[seen[0]] for other in same):
            kept.append(seen)
    return kept


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize("seed", range(10))
def test_anchors_are_decoded_as_defined(seed: int, metadata: ModelMetadata) -> None:
    rng = np.random.default_rng(seed)
    answer = np.empty((4 + len(FOREIGN), 300), np.float32)
    answer[:2], answer[2:4] = rng.uniform(0, 640, (2, 300)), rng.uniform(20, 120, (2, 300))
    answer[4:] = rng.random((len(FOREIGN), 300)) ** 6
    thresholds = np.array([0.3, 0.5, 0.2], np.float32)
    boxes, confidences, columns = decode([answer], metadata, thresholds)
    expected = by_hand(answer, metadata, thresholds)
    assert len(boxes) == len(expected) > 10
    assert [metadata.labels[column] for column in columns] == [seen[0] for seen in expected]
    assert np.allclose(confidences, [seen[1] for seen in expected], atol=1e-6)
    assert np.allclose(boxes, [seen[2:] for seen in expected], atol=1e-3)


def test_unknown_classes_are_ignored_even_where_they_are_more_confident(
    metadata: ModelMetadata,
) -> None:
    answer = places((100, 100, 40, 40, 0, 0.9), (300, 100, 40, 40, 1, 0.4), classes=5)
    answer[5, 0] = 0.35
    _, confidences, columns = decode([answer], metadata, metadata.thresholds)
    assert [metadata.labels[column] for column in columns] == ["person", "person"]
    assert np.allclose(confidences, [0.4, 0.35])


def test_plates_have_a_tighter_nms_than_persons(metadata: ModelMetadata) -> None:
    two = [(100, 100, 40, 40), (115, 100, 40, 40)]  # IoU 0.45
    for number, expected in ((1, 2), (2, 1)):
        answer = places(*[(*box, number, 0.8 - n / 10) for n, box in enumerate(two)], classes=5)
        assert len(decode([answer], metadata, metadata.thresholds)[0]) == expected


@pytest.mark.parametrize("count", [1, 300])
def test_a_list_of_boxes_is_decoded_too(count: int, metadata: ModelMetadata) -> None:
    answer = np.zeros((count, 6), np.float32)
    answer[0] = 10, 20, 110, 220, 0.8, 1
    if count > 1:
        answer[1] = 10, 20, 110, 220, 0.9, 0
        answer[2] = 300, 20, 340, 40, 0.2, 2
        answer[3] = 300, 20, 340, 40, 0.6, 2
    boxes, confidences, columns = decode([answer], metadata, metadata.thresholds)
    labels = [metadata.labels[column] for column in columns]
    assert labels == ["person", "plate"][: len(labels)]
    assert len(labels) == min(count, 2)
    assert boxes[0].tolist() == [10, 20, 110, 220]
    assert confidences[0] == pytest.approx(0.8)


def test_an_empty_scene_is_empty(metadata: ModelMetadata) -> None:
    for answer in (places(classes=5), np.zeros((300, 6), np.float32)):
        boxes, confidences, columns = decode([answer], metadata, metadata.thresholds)
        assert boxes.shape == (0, 4)
        assert confidences.shape == columns.shape == (0,)


def test_the_least_confident_of_a_crowd_are_dropped(metadata: ModelMetadata) -> None:
    answer = places(classes=5, count=8400)
    answer[0], answer[1] = np.arange(8400) % 100 * 20, np.arange(8400) // 100 * 20
    answer[5] = np.linspace(0.4, 0.9, 8400)
    boxes, confidences, _ = decode([answer], metadata, metadata.thresholds)
    assert len(boxes) == MAX_BOXES
    assert confidences.min() > 0.85


NONSENSE = {
    "nan": lambda a: a.__setitem__((4, 7), np.nan),
    "inf": lambda a: a.__setitem__((0, 7), np.inf),
    "logits": lambda a: a.__setitem__((5, 7), 3.0),
    "negative": lambda a: a.__setitem__((5, 7), -2.0),
    "zeros": lambda a: a.__setitem__(..., 0),
    "no-size": lambda a: a.__setitem__((slice(2, 6), 7), (0, 10, 0, 0.9)),
    "all-nan": lambda a: a.__setitem__(..., np.nan),
}


def detector(metadata: ModelMetadata, outputs: Any, **options: Any) -> ObjectDetector:
    class Answers:
        def __init__(self) -> None:
            self.shown: list[np.ndarray] = []

        def submit(self, image: np.ndarray) -> Future[Outputs]:
            self.shown.append(image)
            future: Future[Outputs] = Future()
            if outputs is not None:
                future.set_result(outputs)
            return future

    return ObjectDetector(Answers(), metadata, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", NONSENSE)
def test_invalid_outputs_are_a_failure_and_not_an_empty_scene(
    wrong: str, metadata: ModelMetadata
) -> None:
    answer = places((100, 100, 40, 40, 1, 0.8), classes=5)
    NONSENSE[wrong](answer)
    with pytest.raises(DetectorError):
        detector(metadata, [answer]).submit(IMAGE).detections(1, (960, 540))


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [np.zeros(9, np.float32)],
        [np.zeros((8, 50), np.float32)],
        [np.zeros((9, 0), np.float32)],
        [np.zeros((1, 9, 50), np.float32)],
        [np.array([[0, 0, 9, 9, 0.9, 77]], np.float32)],
        [np.array([[0, 0, 9, 9, 40.0, 1]], np.float32)],
    ],
)
def test_outputs_of_another_shape_are_a_failure(outputs: Outputs, metadata: ModelMetadata) -> None:
    with pytest.raises(DetectorError):
        detector(metadata, outputs).submit(IMAGE).detections(1, (960, 540))


def test_a_timeout_is_a_failure(metadata: ModelMetadata) -> None:
    with pytest.raises(DetectorError, match=r"^Object detection is falling behind\.$"):
        detector(metadata, None).submit(IMAGE).detections(0.01, (960, 540))


# ── from the image to the network and back ───────────────────────────────────────────────────


@pytest.mark.parametrize("size", [(960, 540), (1920, 1080), (96, 54)])
def test_boxes_come_in_pixels_of_the_size_that_is_asked_for(
    size: tuple[int, int], metadata: ModelMetadata
) -> None:
    answer = places((320, 180, 64, 36, 1, 0.8), classes=5)  # the middle of 640 x 360
    (seen,) = detector(metadata, [answer]).submit(IMAGE).detections(1, size)
    share = np.array(seen.box) / (*size, *size)
    assert np.allclose(share, [0.45, 0.45, 0.55, 0.55])
    assert seen.label == "person"
    assert seen.confidence == pytest.approx(0.8)


def test_boxes_in_the_padding_are_clipped_to_the_image(metadata: ModelMetadata) -> None:
    answer = places((320, 355, 64, 30, 1, 0.8), (320, 375, 64, 6, 1, 0.8), classes=5)
    (seen,) = detector(metadata, [answer]).submit(IMAGE).detections(1, (640, 360))
    assert seen.box == (288, 340, 352, 360)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (384, 640)),
        ({"longest": 320}, (192, 320)),
        ({"longest": 330}, (224, 352)),
        ({"multiple": 128, "longest": 960}, (640, 960)),
        ({"fixed_size": (640, 640)}, (640, 640)),
        ({"fixed_size": (320, 320), "longest": 960}, (320, 320)),
    ],
)
def test_the_network_gets_a_canvas_of_the_right_shape(
    options: dict[str, Any], shape: tuple[int, int], metadata: ModelMetadata
) -> None:
    requested = detector(metadata, None, **options)
    requested.submit(IMAGE)
    requested.submit_crop(IMAGE[:200, :210])
    whole, close = requested.runner.shown  # type: ignore[attr-defined]
    assert whole.shape == (*shape, 3)
    assert (whole[0, 0] == 90).all()
    assert close.shape == (*options.get("fixed_size", (384, 384)), 3)


def test_min_confidence_replaces_the_thresholds_of_the_network(metadata: ModelMetadata) -> None:
    answer = places((100, 100, 40, 40, 1, 0.5), (300, 100, 40, 40, 2, 0.2), classes=5)
    for least, count in ((None, 1), (0.1, 2), (0.6, 0)):
        found = detector(metadata, [answer], min_confidence=least).submit(IMAGE)
        assert len(found.detections(1, (960, 540))) == count


def test_labels_are_those_that_the_network_knows(metadata: ModelMetadata) -> None:
    assert detector(metadata, None).labels == ("person", "plate", "car")


# ── files ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def load() -> Iterator[Any]:
    loaded: list[ObjectDetector] = []

    def load(weights: object, data_dir: Path | None = None, **more: Any) -> ObjectDetector:
        settings = ObjectSettings(weights=str(weights), **more)
        loaded.append(load_objects(settings, "auto", data_dir))
        return loaded[-1]

    yield load
    for detector in loaded:
        detector.close()


ANSWER = places((32, 32, 16, 16, 0, 0.8), (70, 30, 20, 10, 2, 0.7))


def see(detector: ObjectDetector, size: tuple[int, int] = (96, 64)) -> list[str]:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    return [seen.label for seen in detector.submit(image).detections(PATIENCE_S, size)]


@pytest.mark.parametrize("shape", [(-1, 3, -1, -1), (1, 3, 64, 96), (2, 3, 64, 96), (1, 3, -1, -1)])
def test_openvino_files_of_dynamic_and_of_fixed_shapes(
    shape: tuple[int, int, int, int], load: Any, tmp_path: Path
) -> None:
    detector = load(write_ir(tmp_path / "own.xml", ANSWER, shape=shape))
    assert detector.labels == ("person", "car", "plate")
    assert see(detector) == ["person", "plate"]
    pending = [detector.submit(np.zeros((64, 96, 3), np.uint8)) for _ in range(7)]
    assert [len(each.detections(PATIENCE_S, (96, 64))) for each in pending] == [2] * 7
    assert detector.fixed_size == (None if shape[2] < 0 else (64, 96))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_a_fixed_batch_gives_each_image_its_own_output(count: int, tmp_path: Path) -> None:
    path = write_ir(tmp_path / "two.xml", np.zeros((1, 4), np.float32), shape=(2, 3, 64, 96))
    network = OpenVinoNetwork(path, keeps_shape=True)
    (answers,) = network.infer(np.zeros((count, 64, 96, 3), np.uint8))
    assert answers.shape == (count, 1, 4)


def test_an_onnx_file_contains_its_class_names(load: Any, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "best.onnx", ANSWER, {0: "human", 1: "dog", 2: "number_plate"})
    detector = load(path)
    assert detector.fixed_size == (64, 96)
    assert see(detector) == ["person", "plate"]


def test_the_folder_of_an_export_works_like_the_file(load: Any, tmp_path: Path) -> None:
    folder = tmp_path / "best_openvino_model"
    folder.mkdir()
    write_ir(folder / "best.xml", ANSWER, None, labels="person dog license_plate")
    assert see(load(folder)) == ["person", "plate"]


def test_a_bare_name_is_searched_in_the_data_folder(load: Any, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    write_ir(tmp_path / "weights" / "mine.xml", ANSWER)
    assert see(load("mine.xml", tmp_path)) == ["person", "plate"]


def test_values_reach_the_network_between_0_and_1(tmp_path: Path) -> None:
    import openvino as ov
    from openvino import opset13 as ops

    parameter = ops.parameter([-1, 3, -1, -1], np.float32)
    mean = ops.reduce_mean(parameter, ops.constant([2, 3]), keep_dims=False)
    ov.save_model(ov.Model([mean], [parameter], "mean"), tmp_path / "mean.xml")
    image = np.zeros((1, 32, 64, 3), np.uint8)
    image[..., 0], image[..., 1] = 255, 51
    (means,) = OpenVinoNetwork(tmp_path / "mean.xml", divide_by=255).infer(image)
    assert np.allclose(means, [[1, 0.2, 0]], atol=0.01), "red, green, blue"


def damaged(folder: Path, what: str) -> Path:
    path = write_ir(folder / "broken.xml", ANSWER)
    data, weights = path.read_bytes(), path.with_suffix(".bin")
    damages: dict[str, Callable[[], object]] = {
        "half an xml": lambda: path.write_bytes(data[: len(data) // 2]),
        "an empty xml": lambda: path.write_bytes(b""),
        "words for an xml": lambda: path.write_text("hello", encoding="utf-8"),
        "half a bin": lambda: weights.write_bytes(weights.read_bytes()[:100]),
        "an empty bin": lambda: weights.write_bytes(b""),
        "no bin": weights.unlink,
        "a bin of nonsense": lambda: weights.write_bytes(b"\xff" * weights.stat().st_size),
    }
    damages[what]()
    return path


@pytest.mark.parametrize(
    "what",
    [
        *("half an xml", "an empty xml", "words for an xml"),
        *("half a bin", "an empty bin", "no bin", "a bin of nonsense"),
    ],
)
def test_a_damaged_file_is_refused_at_load(what: str, load: Any, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"broken\.xml"):
        load(damaged(tmp_path, what))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x08\x3a\x04abcd"])
def test_a_damaged_onnx_file_is_refused_at_load(content: bytes, load: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(content)
    with pytest.raises(SetupError, match=r"broken\.onnx"):
        load(tmp_path / "broken.onnx")


def test_half_an_onnx_file_is_refused_at_load(load: Any, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "broken.onnx", ANSWER)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(SetupError, match=r"broken\.onnx"):
        load(path)


FOREIGNERS = {
    "segmentation": (np.zeros((4 + 3 + 32, 50), np.float32), OURS),
    "nan": (np.full((7, 50), np.nan, np.float32), OURS),
    "logits": (places((9, 9, 5, 5, 0, 8.0)), OURS),
    "classifier": (np.zeros(3, np.float32), OURS),
    "nameless": (ANSWER, None),
    "animals": (ANSWER, {0: "dog", 1: "cat", 2: "cow"}),
}


@pytest.mark.parametrize("kind", FOREIGNERS)
def test_a_network_for_another_task_is_refused_at_load(
    kind: str, load: Any, tmp_path: Path
) -> None:
    answer, names = FOREIGNERS[kind]
    with pytest.raises(SetupError, match=r"foreign\.xml"):
        load(write_ir(tmp_path / "foreign.xml", answer, names))


def test_the_face_network_is_not_an_object_detector(load: Any) -> None:
    from app.models.faces import SHIPPED

    with pytest.raises(SetupError, match="class names"):
        load(SHIPPED)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("yolo11m.pt", "Nothing is downloaded"),
        ("nowhere/best.xml", "Nothing is downloaded"),
        ("best.tflite", "best.tflite"),
        ("empty", "0 .xml files"),
    ],
)
def test_missing_weights_are_reported_with_a_remedy(
    name: str, words: str, load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "best.tflite").write_bytes(b"x")
    with pytest.raises(SetupError, match=words):
        load(name)


def test_a_missing_shipped_network_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(weights_file, "SHIPPED", tmp_path / "watchpost.xml")
    monkeypatch.setattr(weights_file, "SHIPPED_INT8", tmp_path / "watchpost_int8.xml")
    with pytest.raises(SetupError, match="--weights"):
        load_objects(ObjectSettings())


@pytest.mark.parametrize("fast", [True, False])
def test_the_int8_network_is_used_without_fast_bf16(
    fast: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(weights_file, "SHIPPED", write_ir(tmp_path / "w.xml", ANSWER))
    monkeypatch.setattr(weights_file, "SHIPPED_INT8", write_ir(tmp_path / "w_int8.xml", ANSWER))
    monkeypatch.setattr(weights_file, "has_fast_bf16", lambda: fast)
    assert weights_file.shipped().name == ("w.xml" if fast else "w_int8.xml")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_for_openvino_is_one_warning_and_the_cpu(
    device: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "_refused", FirstTime())
    settings = ObjectSettings(weights=str(write_ir(tmp_path / "own.xml", ANSWER)))
    with caplog.at_level("WARNING"):
        detector = load_objects(settings, device)
    detector.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert device in caplog.text
    assert detector.runner.network.device.startswith("CPU")


def test_a_refused_file_leaves_no_thread(load: Any, tmp_path: Path) -> None:
    import threading

    path = write_ir(tmp_path / "foreign-1.xml", np.full((7, 50), np.nan, np.float32))
    with pytest.raises(SetupError):
        load(path)
    assert [t.name for t in threading.enumerate() if t.name.startswith("foreign-1")] == []


# ── parts of a network ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def divided(tmp_path: Path) -> Iterator[ObjectDetector]:
    """A network whose parts give other answers than the whole, so that tests can tell them."""
    path = write_parts(
        tmp_path / "divided.xml",
        objects=places((100, 100, 40, 40, 1, 0.9)),
        coco=places((100, 100, 40, 40, 0, 0.8)),
        small=places((100, 100, 40, 40, 2, 0.7)),
    )
    network = load_objects(ObjectSettings(weights=str(path)))
    yield network
    network.close()


@pytest.mark.parametrize(
    ("wanted", "seen", "labels"),
    [
        ({"person"}, "person", ("person", "car")),
        ({"person", "car"}, "person", ("person", "car")),
        ({"plate"}, "plate", ("plate",)),
        ({"plate", "cigarette"}, "plate", ("plate",)),
        ({"person", "plate"}, "car", ("person", "car", "plate")),
    ],
)
def test_only_the_part_is_computed_that_detects_what_is_wanted(
    wanted: set[str], seen: str, labels: tuple[str, ...], divided: ObjectDetector
) -> None:
    part = divided.for_labels(wanted)
    found = [*part.submit(IMAGE).detections(PATIENCE_S, (960, 540))]
    found += part.submit_crop(IMAGE[:320, :320]).detections(PATIENCE_S, (320, 320))
    assert [detection.label for detection in found] == [seen, seen]
    assert part.labels == labels


def test_parts_are_independent_of_each_other(divided: ObjectDetector) -> None:
    parts = [divided, divided.for_labels({"person"}), divided.for_labels({"plate"})] * 8
    pending = [part.submit(IMAGE) for part in parts]
    found = [each.detections(PATIENCE_S, (960, 540))[0].label for each in pending]
    assert found == ["car", "person", "plate"] * 8


def test_a_network_without_parts_is_computed_whole(tmp_path: Path) -> None:
    path = write_ir(tmp_path / "ours.xml", places((100, 100, 40, 40, 1, 0.9)))
    network = load_objects(ObjectSettings(weights=str(path)))
    assert network.for_labels({"plate"}) is network
    network.close()
