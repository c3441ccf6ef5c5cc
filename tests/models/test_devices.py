"""Devices: every network on ONNX Runtime equals its float form, and accelerators that fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from support.faces import portrait
from support.networks import places, write_ir, write_onnx

from app.config import ObjectSettings
from app.errors import SetupError
from app.first_time import FirstTime
from app.models import devices, faces, objects
from app.models.devices import Device, FallbackNetwork, agrees, check_image, open_network
from app.models.model_metadata import read_model_metadata
from app.models.network import Images, Outputs
from app.models.onnx_export import to_onnx
from app.models.onnx_runtime import CPU, OnnxNetwork
from app.models.openvino_runtime import OpenVinoNetwork
from app.models.weights_file import FOLDER, SHIPPED

WEIGHTS = sorted(FOLDER.glob("*.xml"))
LETTERS = FOLDER / "plate_text.xml"
SAME_PIXELS, SAME_SCORE = 1.0, 0.01
ANSWER = places((30, 30, 20, 20, 0, 0.9))
SOFTWARE = Device("cuda", "test GPU", CPU, True, "nothing")
"""ONNX Runtime's CPU provider in the place of an accelerator."""


@pytest.fixture(autouse=True)
def _nothing_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_refused", FirstTime())


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DEVICES", (SOFTWARE,))
    monkeypatch.setitem(devices.HARDWARE, "cuda", lambda: True)


def in_float(network: OpenVinoNetwork, images: Images, divide_by: float) -> Outputs:
    """What OpenVINO answers when it computes the same checkpoint in floating point throughout."""
    model = network.graph.clone()
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            node.output(0).replace(node.input_value(0))
    values = images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(divide_by)
    model.reshape({model.input(0): ov.PartialShape(values.shape)})
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    answer = ov.Core().compile_model(model, "CPU", config)([values])
    return [np.array(value) for value in answer.values()]


def photos(size: tuple[int, int]) -> Images:
    image = cv2.resize(cv2.cvtColor(portrait(512), cv2.COLOR_BGR2RGB), size[::-1])
    return np.stack([image, image[:, ::-1], check_image(*size)[0]])


# ── the same answers ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: str(path.stem))
def test_a_shipped_network_computes_the_same_on_onnx_runtime(path: Path) -> None:
    """Boxes within a pixel and scores within 0.01 of the float form of the same checkpoint."""
    is_detector = not path.stem.startswith(("plate", "text", "yunet"))
    divide_by = 255 if is_detector else 1
    network = OpenVinoNetwork(path, divide_by=divide_by)
    size = (48, 192) if path == LETTERS else (320, 320)
    images = photos(size)
    answers = OnnxNetwork(network, CPU).infer(images)
    expected = in_float(network, images, divide_by)
    for one in range(len(images)):
        pair = [[output[one] for output in both] for both in (answers, expected)]
        if path.stem.startswith("yunet"):
            assert same_boxes(*(faces.decode(outputs, 0.15) for outputs in pair))
        elif is_detector:
            metadata = read_model_metadata(network.metadata, path.name)
            thresholds = np.full_like(metadata.thresholds, 0.2)
            found = [objects.decode(outputs, metadata, thresholds) for outputs in pair]
            assert same_boxes(*((boxes, scores) for boxes, scores, _ in found))
            assert found[0][2].tolist() == found[1][2].tolist()
        else:
            np.testing.assert_allclose(pair[0][0], pair[1][0], atol=SAME_SCORE)


def same_boxes(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    (boxes, scores), (other_boxes, other_scores) = one, other
    return bool(
        len(boxes) == len(other_boxes)
        and (np.abs(boxes - other_boxes) < SAME_PIXELS).all()
        and (np.abs(scores - other_scores) < SAME_SCORE).all()
    )


@pytest.mark.usefixtures("accelerator")
def test_a_part_of_a_network_runs_on_the_accelerator_too() -> None:
    network = open_network(SHIPPED, "auto", divide_by=255)
    assert isinstance(network, FallbackNetwork)
    images = photos((320, 320))
    on_cpu = OpenVinoNetwork(SHIPPED, divide_by=255)
    assert set(network.parts) == set(on_cpu.parts) != set()
    for name, part in network.parts.items():
        assert "ONNX Runtime" in part.device
        (answer,), expected = part.infer(images), in_float(on_cpu.parts[name], images, 255)
        np.testing.assert_allclose(answer[:, 4:], expected[0][:, 4:], atol=SAME_SCORE)
    network.free_unused()


def test_something_is_found_in_the_images_that_are_compared() -> None:
    network = OpenVinoNetwork(faces.SHIPPED)
    outputs = OnnxNetwork(network, CPU).infer(photos((320, 320)))
    assert len(faces.decode([output[0] for output in outputs], 0.5)[0]) == 1


def test_a_file_of_a_fixed_batch_runs_on_onnx_runtime(tmp_path: Path) -> None:
    network = OpenVinoNetwork(write_onnx(tmp_path / "a.onnx", ANSWER), keeps_shape=True)
    on_onnx = OnnxNetwork(network, CPU)
    images = np.zeros((3, 64, 96, 3), np.uint8)
    (answer,) = on_onnx.infer(images)
    np.testing.assert_array_equal(answer, network.infer(images)[0])


def test_an_operator_that_is_not_translated_is_named() -> None:
    image = ops.parameter([-1, 3, -1, -1], np.float32)
    model = ov.Model([ops.result(ops.cum_sum(image, ops.constant(2)))], [image], "odd")
    with pytest.raises(SetupError, match="CumSum"):
        to_onnx(model, 64, 64, 1)


# ── choosing a device ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("device", ["gpu", "npu", "cuda", "mps"])
def test_a_missing_device_is_one_warning_for_all_networks(
    device: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "missing", lambda _: "there is none")
    for path in (faces.SHIPPED, LETTERS):
        assert open_network(path, device).device.startswith("CPU")
    (warning,) = caplog.messages
    assert f"--device {device}" in warning
    assert "there is none" in warning


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_an_accelerator_there_is_no_warning(
    device: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "missing", lambda _: "there is none")
    assert open_network(faces.SHIPPED, device).device.startswith("CPU")
    assert not caplog.messages


@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_an_accelerator_that_agrees_with_the_cpu_is_used(device: str) -> None:
    runner = faces.load_faces(device)
    try:
        detector = faces.FaceDetector(runner, min_confidence=0.3)
        image = np.asarray(cv2.cvtColor(portrait(512), cv2.COLOR_BGR2RGB), np.uint8)
        (found,) = detector.submit(image).detections(60, (512, 512))
    finally:
        runner.close()
    assert found.confidence > 0.6
    assert "ONNX Runtime" in runner.network.device
    assert "not tried" in runner.network.device


@pytest.mark.usefixtures("accelerator")
def test_weights_of_the_operator_run_on_the_accelerator(tmp_path: Path) -> None:
    settings = ObjectSettings(weights=str(write_ir(tmp_path / "own.xml", ANSWER)))
    detector = objects.load_objects(settings, "cuda")
    try:
        (found,) = detector.submit(np.zeros((640, 640, 3), np.uint8)).detections(60, (640, 640))
    finally:
        detector.close()
    assert found.label == "person"
    assert "ONNX Runtime" in detector.runner.network.device


@pytest.mark.usefixtures("accelerator")
@pytest.mark.parametrize(
    "wrong",
    [
        lambda values: values * 0,
        lambda values: values + 0.5,
        lambda values: values * np.float32("nan"),
        lambda values: values[:, :1],
    ],
)
def test_an_accelerator_with_other_answers_is_refused_once(
    wrong: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    infer = OnnxNetwork.infer
    monkeypatch.setattr(
        OnnxNetwork, "infer", lambda self, images: [wrong(v) for v in infer(self, images)]
    )
    for path in (faces.SHIPPED, LETTERS):
        assert open_network(path, "auto").device.startswith("CPU")
    (warning,) = caplog.messages
    assert "something else" in warning


@pytest.mark.usefixtures("accelerator")
def test_an_accelerator_that_fails_later_costs_no_image(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network = open_network(faces.SHIPPED, "auto")
    assert isinstance(network, FallbackNetwork)
    images = photos((320, 320))
    expected = network.infer(images)

    def fail(*_: object) -> Outputs:
        raise RuntimeError("the device was lost")

    monkeypatch.setattr(OnnxNetwork, "infer", fail)
    for _ in range(2):
        for answer, value in zip(network.infer(images), expected, strict=True):
            np.testing.assert_allclose(answer, value, atol=0.01)
    (warning,) = caplog.messages
    assert "the device was lost" in warning
    assert network.device.startswith("CPU")


@pytest.mark.usefixtures("accelerator")
def test_an_accelerator_that_fails_for_one_network_is_used_by_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also not by a network that was opened on it earlier, and still works there."""
    earlier = open_network(faces.SHIPPED, "auto")
    assert "ONNX Runtime" in earlier.device
    expected = earlier.infer(photos((320, 320)))
    infer = OnnxNetwork.infer
    monkeypatch.setattr(OnnxNetwork, "infer", lambda *given: [v + 9 for v in infer(*given)])
    assert open_network(LETTERS, "auto").device.startswith("CPU")
    assert earlier.device.startswith("CPU")
    for answer, value in zip(earlier.infer(photos((320, 320))), expected, strict=True):
        np.testing.assert_allclose(answer, value, atol=0.01)
    assert len(caplog.messages) == 1


@pytest.mark.usefixtures("accelerator")
def test_without_the_package_the_cpu_is_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "_onnx_providers", list)
    assert open_network(faces.SHIPPED, "cuda").device.startswith("CPU")
    assert SOFTWARE.packages in caplog.text


def test_small_and_large_values_are_compared_apart() -> None:
    expected = np.array([500.0, 300.0, 0.9, 0.8], np.float32)
    assert agrees(expected + np.float32(0.01), expected)
    assert not agrees(expected * np.array([1, 1, 0, 0], np.float32), expected)
    assert not agrees(expected * np.array([0, 0, 1, 1], np.float32), expected)


@pytest.fixture(autouse=True)
def _shown_warnings(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("WARNING"):
        yield
