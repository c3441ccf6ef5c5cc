"""Writes an OpenVINO network as an ONNX file in floating point, for ONNX Runtime.

Only the graph's form changes: weights that are stored as integers become the values that they
stand for, and steps that would compute in INT8 are left out. So a network has one file, and the
ONNX form of every checkpoint, also of an operator's own, is made where it is needed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from openvino.passes import ConstantFolding, Manager

from app.errors import SetupError

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

OPSET = 20
IR_VERSION = 10  # of ONNX 1.16, which ONNX Runtime 1.18 and newer read
INPUT = "images"
SAME_OPERATOR = {
    "Add": "Add",
    "Subtract": "Sub",
    "Multiply": "Mul",
    "Divide": "Div",
    "Power": "Pow",
    "Maximum": "Max",
    "Minimum": "Min",
    "Relu": "Relu",
    "PRelu": "PRelu",
    "Sigmoid": "Sigmoid",
    "Tanh": "Tanh",
    "Erf": "Erf",
    "Mish": "Mish",
    "HSwish": "HardSwish",
    "Sqrt": "Sqrt",
    "Exp": "Exp",
    "Log": "Log",
    "Abs": "Abs",
    "Negative": "Neg",
    "Equal": "Equal",
    "Greater": "Greater",
    "Less": "Less",
    "Select": "Where",
    "Squeeze": "Squeeze",
    "Unsqueeze": "Unsqueeze",
    "Identity": "Identity",
    "FakeQuantize": "Identity",  # of its inputs only the first: the values in floating point
}


def to_onnx(model: ov.Model, height: int, width: int, divide_by: float) -> bytes:
    """Return the ONNX file of a network for one image size, and any batch size if it has none.

    Its input is (N, height, width, 3) uint8 RGB, like that of every network here.

    Args:
        divide_by: what the values 0 to 255 are divided by first.

    Raises:
        SetupError: the network has an operator that is not translated, or the package onnx is
            missing.
    """
    model = model.clone()
    shape = model.input(0).partial_shape
    if shape.is_dynamic:
        model.reshape({model.input(0): ov.PartialShape([-1, 3, height, width])})
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)
    try:
        return _Writer(model, divide_by).file((height, width))
    except ImportError:
        raise SetupError(reason="the package onnx is missing: pip install onnx") from None


class _Writer:
    """Translates the nodes of one model, each after those that it depends on."""

    def __init__(self, model: ov.Model, divide_by: float) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._numpy = helper, numpy_helper
        self._model = model
        self._divide_by = divide_by
        self._names: dict[tuple[str, int], str] = {}
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def file(self, size: tuple[int, int]) -> bytes:
        """The bytes of the ONNX file."""
        from onnx import TensorProto

        self._read_input(self._model.input(0).get_node())
        for node in self._model.get_ordered_ops():
            self._translate(node)
        batch = self._model.input(0).partial_shape[0]
        shape = ["N" if batch.is_dynamic else batch.get_length(), *size, 3]
        images = self._helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape)
        outputs = [
            self._helper.make_tensor_value_info(
                self.name(result.input_value(0)), TensorProto.FLOAT, None
            )
            for result in self._model.get_results()
        ]
        used = {name for node in self.nodes for name in node.input}
        constants = [constant for constant in self.constants if constant.name in used]
        name = self._model.get_friendly_name()
        graph = self._helper.make_graph(self.nodes, name, [images], outputs, constants)
        opset = self._helper.make_opsetid("", OPSET)
        whole = self._helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        return bytes(whole.SerializeToString())

    def name(self, value: ov.Output) -> str:
        """The name of a tensor in the ONNX graph."""
        return self._names[value.get_node().get_name(), value.get_index()]

    def constant(self, values: Any) -> str:
        """Store a tensor; returns its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._numpy.from_array(np.ascontiguousarray(values), name))
        return name

    def add(
        self, kind: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any
    ) -> list[str]:
        """Append a node; returns the names of its outputs."""
        names = [f"tensor_{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(self._helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def _read_input(self, parameter: ov.Node) -> None:
        """Turn uint8 pixels in rows of colours into the planes that the network takes."""
        from onnx import TensorProto

        [planes] = self.add("Transpose", [INPUT], perm=[0, 3, 1, 2])
        [values] = self.add("Cast", [planes], to=TensorProto.FLOAT)
        if self._divide_by != 1:
            [values] = self.add("Div", [values, self.constant(np.float32(self._divide_by))])
        self._names[parameter.get_name(), 0] = values

    def _translate(self, node: ov.Node) -> None:
        kind = node.get_type_name()
        if kind in ("Parameter", "Result"):
            return
        if kind == "Constant":
            names = [self.constant(_plain(node.data))]
        elif kind in SAME_OPERATOR:
            count = 1 if kind == "FakeQuantize" else node.get_input_size()
            inputs = [self.name(node.input_value(index)) for index in range(count)]
            names = self.add(SAME_OPERATOR[kind], inputs)
        elif kind in TRANSLATORS:
            inputs = [self.name(value) for value in node.input_values()]
            names = TRANSLATORS[kind](self, node, inputs)
        else:
            raise SetupError(reason=f"its operator {kind} has no ONNX form here")
        for index, name in enumerate(names):
            self._names[node.get_name(), index] = name


Translator = Callable[[_Writer, ov.Node, list[str]], list[str]]


def _plain(values: Any) -> Any:
    """Half floats as floats: the whole network computes in one type."""
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _fixed(node: ov.Node, index: int) -> Any:
    """The values of an input that must be a constant."""
    source = node.input_value(index).get_node()
    if source.get_type_name() != "Constant":
        raise SetupError(reason=f"its operator {node.get_type_name()} depends on the image")
    return source.data


def _padding(attributes: dict[str, Any]) -> dict[str, Any]:
    automatic = str(attributes.get("auto_pad", "explicit")).upper()
    if automatic in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        return {"auto_pad": automatic}
    return {"pads": [*attributes["pads_begin"], *attributes["pads_end"]]}


def _convolution(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    given, group = node.get_attributes(), 1
    weights = _plain(_fixed(node, 1))
    if node.get_type_name() == "GroupConvolution":
        group = weights.shape[0]
        weights = weights.reshape(-1, *weights.shape[2:])
    return writer.add(
        "Conv",
        [inputs[0], writer.constant(weights)],
        group=group,
        strides=list(given["strides"]),
        dilations=list(given["dilations"]),
        **_padding(given),
    )


def _transposed_convolution(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    given = node.get_attributes()
    return writer.add(
        "ConvTranspose",
        inputs[:2],
        strides=list(given["strides"]),
        dilations=list(given["dilations"]),
        output_padding=list(given["output_padding"]),
        **_padding(given),
    )


def _max_pool(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    return writer.add("MaxPool", inputs, **_window(node))


def _mean_pool(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    padded = not node.get_attributes()["exclude-pad"]
    return writer.add("AveragePool", inputs, count_include_pad=int(padded), **_window(node))


def _window(node: ov.Node) -> dict[str, Any]:
    given = node.get_attributes()
    return {
        "kernel_shape": list(given["kernel"]),
        "strides": list(given["strides"]),
        "ceil_mode": int(given["rounding_type"] != "floor"),
        **_padding(given),
    }


def _resize(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    given = node.get_attributes()
    mode = str(given["mode"])
    before, after = node.input_value(0).get_partial_shape(), node.output(0).get_partial_shape()
    scales = [
        1.0 if old.is_dynamic else new.get_length() / old.get_length()
        for old, new in zip(before, after, strict=True)
    ]
    attributes: dict[str, Any] = {
        "coordinate_transformation_mode": str(given["coordinate_transformation_mode"])
    }
    if mode == "nearest":
        attributes["nearest_mode"] = str(given["nearest_mode"])
    onnx_mode = "nearest" if mode == "nearest" else "cubic" if mode == "cubic" else "linear"
    factors = writer.constant(np.array(scales, np.float32))
    return writer.add("Resize", [inputs[0], "", factors], mode=onnx_mode, **attributes)


def _gelu(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    is_tanh = node.get_attributes()["approximation_mode"].lower() == "tanh"
    return writer.add("Gelu", inputs, approximate="tanh" if is_tanh else "none")


def _swish(writer: _Writer, _node: ov.Node, inputs: list[str]) -> list[str]:
    gate = inputs[0]
    if len(inputs) > 1:
        [gate] = writer.add("Mul", inputs)
    return writer.add("Mul", [inputs[0], *writer.add("Sigmoid", [gate])])


def _matrix_product(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    given, sides = node.get_attributes(), []
    for index, name in enumerate(("transpose_a", "transpose_b")):
        side = inputs[index]
        if given[name]:
            rank = len(node.input_value(index).get_partial_shape())
            order = [*range(rank - 2), rank - 1, rank - 2]
            [side] = writer.add("Transpose", [side], perm=order)
        sides.append(side)
    return writer.add("MatMul", sides)


def _largest(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    from onnx import TensorProto

    given = node.get_attributes()
    count = writer.constant(np.array([int(_fixed(node, 1))], np.int64))
    values, indices = writer.add(
        "TopK", [inputs[0], count], 2, axis=given["axis"], largest=int(given["mode"] == "max")
    )
    if node.output(1).get_element_type() == ov.Type.i32:
        [indices] = writer.add("Cast", [indices], to=TensorProto.INT32)
    return [values, indices]


def _cast(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    return _as_type(writer, node, inputs[0])


def _shape(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    return _as_type(writer, node, writer.add("Shape", inputs)[0])


def _as_type(writer: _Writer, node: ov.Node, name: str) -> list[str]:
    from onnx import helper

    wanted = node.output(0).get_element_type().to_dtype()
    if wanted == np.float16:
        wanted = np.dtype(np.float32)
    return writer.add("Cast", [name], to=helper.np_dtype_to_tensor_dtype(np.dtype(wanted)))


def _int64(writer: _Writer, node: ov.Node, index: int, name: str) -> str:
    """An input as the type that ONNX wants for shapes and indices."""
    from onnx import TensorProto

    if node.input_value(index).get_element_type() == ov.Type.i64:
        return name
    return writer.add("Cast", [name], to=TensorProto.INT64)[0]


def _reshape(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    keeps_zero = not node.get_attributes()["special_zero"]
    shape = _int64(writer, node, 1, inputs[1])
    return writer.add("Reshape", [inputs[0], shape], allowzero=int(keeps_zero))


def _slice(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    data, start, stop, step, *axes = (
        name if index == 0 else _int64(writer, node, index, name)
        for index, name in enumerate(inputs)
    )
    return writer.add("Slice", [data, start, stop, axes[0] if axes else "", step])


def _reduce(kind: str, writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    axes = _int64(writer, node, 1, inputs[1])
    return writer.add(kind, [inputs[0], axes], keepdims=int(node.get_attributes()["keep_dims"]))


def _normalise(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    """Layer normalisation over the last axis, without scale and offset."""
    attributes, shape = node.get_attributes(), node.get_output_partial_shape(0)
    last = _fixed(node, 1).tolist() in ([-1], [len(shape) - 1])
    inside = attributes["eps_mode"].lower() == "inside_sqrt"
    if not (last and inside and attributes["normalize_variance"]):
        raise SetupError(reason="its normalisation has no ONNX form here")
    scale = writer.constant(np.ones(shape[-1].get_length(), np.float32))
    epsilon = attributes["eps"]
    return writer.add("LayerNormalization", [inputs[0], scale], axis=-1, epsilon=epsilon)


def _attention(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    """Attention with a mask to add and a scale, as networks from PyTorch have it."""
    if node.get_attributes()["causal"] or len(inputs) != 5:
        raise SetupError(reason="its attention has no ONNX form here")
    query, key, value, mask, scale = inputs
    axes = len(node.get_input_partial_shape(1))
    turned = writer.add("Transpose", [key], perm=[*range(axes - 2), axes - 1, axes - 2])
    scores = writer.add("Mul", [*writer.add("MatMul", [query, *turned]), scale])
    shares = writer.add("Softmax", writer.add("Add", [*scores, mask]), axis=-1)
    return writer.add("MatMul", [*shares, value])


def _split(writer: _Writer, node: ov.Node, inputs: list[str]) -> list[str]:
    axis = int(_fixed(node, 1))
    lengths = [value.get_partial_shape()[axis].get_length() for value in node.outputs()]
    sizes = writer.constant(np.array(lengths, np.int64))
    return writer.add("Split", [inputs[0], sizes], len(lengths), axis=axis)


TRANSLATORS: dict[str, Translator] = {
    "Convolution": _convolution,
    "GroupConvolution": _convolution,
    "ConvolutionBackpropData": _transposed_convolution,
    "MaxPool": _max_pool,
    "AvgPool": _mean_pool,
    "Interpolate": _resize,
    "Swish": _swish,
    "MatMul": _matrix_product,
    "TopK": _largest,
    "Convert": _cast,
    "ShapeOf": _shape,
    "Reshape": _reshape,
    "Slice": _slice,
    "Broadcast": lambda w, n, i: w.add("Expand", [i[0], _int64(w, n, 1, i[1])]),
    "Concat": lambda w, n, i: w.add("Concat", i, axis=n.get_attributes()["axis"]),
    "Softmax": lambda w, n, i: w.add("Softmax", i, axis=n.get_attributes()["axis"]),
    "Gelu": _gelu,
    "Elu": lambda w, n, i: w.add("Elu", i, alpha=n.get_attributes()["alpha"]),
    "Clamp": lambda w, n, i: w.add(
        "Clip", [i[0], *(w.constant(np.float32(n.get_attributes()[k])) for k in ("min", "max"))]
    ),
    "HardSigmoid": lambda w, n, i: w.add(
        "HardSigmoid", i[:1], alpha=float(_fixed(n, 1)), beta=float(_fixed(n, 2))
    ),
    "BatchNormInference": lambda w, n, i: w.add(
        "BatchNormalization", i, epsilon=n.get_attributes()["epsilon"]
    ),
    "MVN": _normalise,
    "ScaledDotProductAttention": _attention,
    "ReduceMean": functools.partial(_reduce, "ReduceMean"),
    "ReduceMax": functools.partial(_reduce, "ReduceMax"),
    "Transpose": lambda w, n, i: w.add("Transpose", i[:1], perm=_fixed(n, 1).tolist()),
    "Gather": lambda w, n, i: w.add("Gather", i[:2], axis=int(_fixed(n, 2))),
    "VariadicSplit": _split,
    "Split": _split,
    "Pad": lambda w, n, i: w.add(
        "Pad",
        [i[0], w.constant(np.concatenate([_fixed(n, 1), _fixed(n, 2)]).astype(np.int64)), *i[3:]],
        mode=n.get_attributes()["pad_mode"].lower(),
    ),
}
