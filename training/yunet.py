"""YuNet as a torch network, with the weights of its OpenVINO model, and back.

Batch normalisation is folded into the convolutions of the published file, and stays so. A layer is
named as in that file: ``Conv_22`` there is ``conv_22`` here. The landmarks (Conv_72 to Conv_77) are
left out.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as opset
from torch import Tensor, nn
from torch.nn import functional

KINDS = ("Convolution", "GroupConvolution")
BACKBONE = (
    ((2, 3),),
    ((6, 7), (9, 10), (12, 13), (15, 16)),
    ((19, 20), (22, 23)),
    ((26, 27), (29, 30)),
    ((33, 34), (36, 37)),
)
"""Pairs of pointwise and depthwise convolutions; a group, but for the first, begins by pooling."""
NECK = ((51, 52), (45, 46), (39, 40))
CLASS, BOX, FACE = ((54, 56, 58), (60, 62, 64), (66, 68, 70))
"""For each stride, the first convolution of its head; the second has the next number."""


class YuNet(nn.Module):
    """YuNet's network without landmarks.

    Takes (B, 3, H, W) RGB in 0..255, sides multiples of 32; returns for each stride a map
    (B, 6, H / stride, W / stride): logits of class and face, the centre's offset (x, y) and the
    logarithm of the size (width, height), in strides.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        names = sorted({key.rsplit(".", 1)[0] for key in weights})
        for name in names:
            self.add_module(name, _convolution(name, weights[f"{name}.weight"]))
        self.load_state_dict(weights)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = functional.relu(self.conv(0, image))
        maps = []
        for number, pairs in enumerate(BACKBONE):
            x = functional.max_pool2d(x, 2) if number else x
            for pair in pairs:
                x = self.unit(pair, x)
            maps.append(x)
        fine, middle, coarse = maps[-3:]
        coarse = self.unit(NECK[2], coarse)
        middle = self.unit(NECK[1], middle + functional.interpolate(coarse, scale_factor=2))
        fine = self.unit(NECK[0], fine + functional.interpolate(middle, scale_factor=2))
        heads = zip((fine, middle, coarse), CLASS, FACE, BOX, strict=True)
        return [
            torch.cat([self.conv(n + 1, self.conv(n, x)) for n in numbers], 1)
            for x, *numbers in heads
        ]

    def conv(self, number: int, x: Tensor) -> Tensor:
        """Apply the convolution of this number."""
        result: Tensor = self.get_submodule(f"conv_{number}")(x)
        return result

    def unit(self, pair: tuple[int, int], x: Tensor) -> Tensor:
        """Apply a pointwise and a depthwise convolution."""
        return functional.relu(self.conv(pair[1], self.conv(pair[0], x)))


def _convolution(name: str, weight: Tensor) -> nn.Conv2d:
    """Return an empty convolution for weights (out, in / groups, k, k)."""
    out, inside, size = weight.shape[:3]
    groups = out if inside == 1 and out > 1 else 1
    stride = 2 if name == "conv_0" else 1
    return nn.Conv2d(inside * groups, out, size, stride, size // 2, groups=groups)


def from_openvino(model: ov.Model) -> YuNet:
    """Load the network from its OpenVINO model, as ``export_faces`` makes it."""
    weights = {}
    for name, (convolution, bias) in _layers(model).items():
        for part, constant in (("weight", _constant(convolution, 1)), ("bias", _constant(bias, 1))):
            weights[f"{name}.{part}"] = torch.from_numpy(np.array(constant.data))
    return YuNet(weights)


def into_openvino(network: YuNet, model: ov.Model) -> None:
    """Put the network's weights into an OpenVINO model of it."""
    state = network.state_dict()
    for name, (convolution, bias) in _layers(model).items():
        for part, node in (("weight", convolution), ("bias", bias)):
            old = _constant(node, 1)
            new = opset.constant(state[f"{name}.{part}"].numpy().reshape(old.data.shape))
            for target in list(old.output(0).get_target_inputs()):
                target.replace_source_output(new.output(0))
    model.validate_nodes_and_infer_types()


def _layers(model: ov.Model) -> dict[str, tuple[ov.Node, ov.Node]]:
    """Return each convolution by its name here, and the addition of its bias."""
    layers = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() in KINDS:
            (after,) = (
                target.get_node()
                for target in node.output(0).get_target_inputs()
                if target.get_node().get_type_name() == "Add"
            )
            number = node.get_friendly_name().split("/")[0].removeprefix("Conv_")
            layers[f"conv_{number}"] = node, after
    return layers


def _constant(node: ov.Node, port: int) -> ov.Node:
    """Return the constant from which an input was made, by reshaping alone."""
    value = node.input_value(port).get_node()
    while value.get_type_name() == "Reshape":
        value = value.input_value(0).get_node()
    return value


def decoded(values: Tensor, stride: int) -> Tensor:
    """Return the boxes (B, rows * columns, 4) of a map (B, 6, rows, columns), in pixels."""
    rows, columns = values.shape[2:]
    centre = values[:, 2:4] + cells(rows, columns)
    half = values[:, 4:6].clamp(max=8).exp() / 2
    return (torch.cat([centre - half, centre + half], 1) * stride).flatten(2).transpose(1, 2)


def cells(rows: int, columns: int) -> Tensor:
    """Return each cell's position (2, rows, columns) as x, y."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([x, y]).float()
