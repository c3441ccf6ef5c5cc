"""Tiny networks in files, with a fixed output for every input."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

import app.models.openvino_runtime  # noqa: F401  first: it keeps OpenVINO's telemetry from loading

OURS = {0: "person", 1: "car", 2: "plate"}


def places(*boxes: tuple[float, ...], classes: int = 3, count: int = 50) -> np.ndarray:
    """A YOLO output (4 + classes, count). A box: centre x, y, width, height, class, confidence."""
    answer = np.zeros((4 + classes, count), np.float32)
    answer[2:4] = 8
    answer[4:] = 0.001
    for place, (x, y, width, height, number, confidence) in enumerate(boxes):
        answer[:4, place] = x, y, width, height
        answer[4 + int(number), place] = confidence
    return answer


def write_ir(
    path: Path,
    answer: np.ndarray,
    names: dict[int, str] | None = OURS,
    *,
    shape: tuple[int, int, int, int] = (-1, 3, -1, -1),
    **metadata: object,
) -> Path:
    """An OpenVINO IR with that output (without its batch) for any image."""
    picture = ops.parameter(list(shape), np.float32)
    mean = ops.reduce_mean(picture, ops.constant([1, 2, 3]), keep_dims=False)
    nothing = ops.multiply(mean, ops.constant(np.float32(0)))
    each = ops.reshape(nothing, ops.constant([-1] + [1] * answer.ndim), special_zero=False)
    model = ov.Model([ops.add(each, ops.constant(answer[None]))], [picture], path.stem)
    if names is not None:
        model.set_rt_info(repr(names), ["model_info", "names"])
    for key, value in metadata.items():
        model.set_rt_info(value, ["model_info", key])
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def write_parts(path: Path, **answers: np.ndarray) -> Path:
    """An IR whose outputs are these, by name: first that of the whole network, then its parts.

    Its metadata says that the part ``coco`` detects persons and cars, and ``small`` plates.
    """
    picture = ops.parameter([-1, 3, -1, -1], np.float32)
    nothing = ops.multiply(
        ops.reduce_mean(picture, ops.constant([1, 2, 3]), keep_dims=False),
        ops.constant(np.float32(0)),
    )
    each = ops.reshape(nothing, ops.constant([-1, 1, 1]), special_zero=False)
    outputs = [ops.add(each, ops.constant(answer[None])) for answer in answers.values()]
    model = ov.Model(outputs, [picture], path.stem)
    for output, name in zip(model.outputs, answers, strict=True):
        output.get_tensor().set_names({name})
    model.set_rt_info(repr(OURS), ["model_info", "names"])
    model.set_rt_info("coco: person car; small: plate", ["model_info", "parts"])
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def write_onnx(path: Path, answer: np.ndarray, names: dict[int, str] | None = OURS) -> Path:
    """The same as ONNX of the fixed shape (1, 3, 64, 96), as Ultralytics exports by default.

    Written field by field (onnx.proto, Apache 2.0), since no package for that is installed.
    """
    nodes = _node("ReduceMean", ["images"], "mean", _field(5, _text(1, "keepdims") + _int(20, 2)))
    nodes += _node("Mul", ["mean", "zero"], "nothing") + _node("Add", ["nothing", "fixed"], "out")
    tensors = _field(5, _tensor("zero", np.zeros((), np.float32)))
    tensors += _field(5, _tensor("fixed", answer[None].astype(np.float32)))
    ends = _field(11, _value("images", (1, 3, 64, 96)))
    ends += _field(12, _value("out", (1, *answer.shape)))
    graph = nodes + _text(2, "graph") + tensors + ends
    model = _int(1, 8) + _field(7, graph) + _field(8, _int(2, 13))
    known = {} if names is None else {"names": repr(names), "task": "detect", "imgsz": "[64, 96]"}
    for key, value in known.items():
        model += _field(14, _text(1, key) + _text(2, value))
    path.write_bytes(model)
    return path


def _varint(value: int) -> bytes:
    head, rest = value & 0x7F, value >> 7
    return bytes([head | 0x80]) + _varint(rest) if rest else bytes([head])


def _int(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _node(kind: str, inputs: list[str], output: str, more: bytes = b"") -> bytes:
    names = b"".join(_text(1, name) for name in inputs)
    return _field(1, names + _text(2, output) + _text(4, kind) + more)


def _tensor(name: str, values: np.ndarray) -> bytes:
    shape = b"".join(_int(1, side) for side in values.shape)
    raw = struct.pack(f"<{values.size}f", *values.ravel().tolist())
    return shape + _int(2, 1) + _text(8, name) + _field(9, raw)


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    sides = b"".join(_field(1, _int(1, side)) for side in shape)
    return _text(1, name) + _field(2, _field(1, _int(1, 1) + _field(2, sides)))
