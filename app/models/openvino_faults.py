"""Changes of a network that keep faults of OpenVINO away. Results stay the same."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as opset

ISA_WITHOUT_AVX512 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")

SCALING = ("Convert", "Subtract", "Multiply")
"""Dequantisation steps: from integers to the values they represent, as in ONNX files."""


def opaque_identity(value: ov.Output) -> ov.Output:
    """Pass the image on unchanged, in a step that OpenVINO cannot optimise away.

    Without it OpenVINO 2026.4 takes a uint8 image for quantised data where a part of the network
    computes in INT8, and the other parts return garbage.
    """
    return opset.maximum(value, opset.constant(np.float32(0))).output(0)


def _unpack_weights(model: ov.Model) -> None:
    """Dequantise weights stored as INT8, except where the convolution itself computes in INT8.

    If they stay packed and the image is uint8, OpenVINO 2026 takes the whole network for an INT8
    one and returns garbage.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Convolution" and not _is_quantised(node.input_value(0)):
            weights = node.input(1).get_source_output()
            values = _dequantised(weights.get_node())
            if values is not None:
                node.input(1).replace_source_output(opset.constant(values).output(0))


def _is_quantised(value: ov.Output) -> bool:
    """Whether this tensor was quantised to eight bits and only rearranged or scaled since."""
    node = value.get_node()
    kind = node.get_type_name()
    if kind in ("Concat", "VariadicSplit", "MaxPool", "Interpolate", *SCALING):
        return _is_quantised(node.input_value(0))
    return bool(kind == "FakeQuantize")


def _dequantised(node: ov.Node) -> npt.NDArray[np.float32] | None:
    """Return INT8 weights times their scales; None for other weights."""
    factors: list[npt.NDArray[np.float32]] = []
    while node.get_type_name() in ("Convert", "Multiply"):
        if node.get_type_name() == "Multiply":
            scale = node.input_value(1).get_node()
            while scale.get_type_name() == "Convert":
                scale = scale.input_value(0).get_node()
            if scale.get_type_name() != "Constant":
                return None
            factors.append(scale.data.astype(np.float32))
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant" or node.get_element_type() != ov.Type.i8:
        return None
    integers: npt.NDArray[np.float32] = node.data.astype(np.float32)
    return functools.reduce(np.multiply, factors, integers)


def work_around_faults(model: ov.Model, target: str) -> None:
    """Change a network before it is compiled for a device.

    Args:
        target: OpenVINO's name of the device.
    """
    _unpack_weights(model)
    if target == "CPU" and not has_avx512():
        _split_normalisations(model)


def has_avx512() -> bool:
    """Whether OpenVINO computes with AVX-512 here."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in ISA_WITHOUT_AVX512:
        return False
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return False


def _split_normalisations(model: ov.Model) -> None:
    """Replace each layer normalisation by its steps.

    OpenVINO 2026.4 with AVX2 ends the process with a segmentation fault where one is computed over
    a number of values that is no multiple of 16, such as the 120 of the network that reads plates.
    The variance is the mean of squares less the square of the mean: OpenVINO recognises the usual
    order of steps, and puts the layer back.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MVN":
            continue
        attributes = node.get_attributes()
        if not attributes["normalize_variance"] or attributes["eps_mode"].lower() != "inside_sqrt":
            continue
        x, axes = node.input_value(0), node.input_value(1)
        mean = opset.reduce_mean(x, axes, keep_dims=True)
        squares = opset.reduce_mean(opset.multiply(x, x), axes, keep_dims=True)
        variance = opset.relu(opset.subtract(squares, opset.multiply(mean, mean)))
        spread = opset.sqrt(opset.add(variance, opset.constant(np.float32(attributes["eps"]))))
        normalised = opset.divide(opset.subtract(x, mean), spread)
        node.output(0).replace(normalised.output(0))
