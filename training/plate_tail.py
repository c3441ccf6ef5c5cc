"""The last layers of ``plate_text``, trained here: a torch module that begins as PP-OCRv6's own.

PP-OCRv6's recogniser has a backbone of convolutions, which stays as it is, and a neck of two
attention blocks (SVTR: Du et al., 2022) that mixes the columns of a line. The neck is trained
further, with an answer of 37 classes in place of 18,710; beside it are two convolutions over time
on the backbone's own features, and a second answer: whether the line is the number of a plate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from app.models.plates.ctc import ALPHABET

BACKBONE, NECK, HEADS, WIDE, REACH = 384, 120, 8, 192, 5
CLASSES = 1 + len(ALPHABET)
FIRST_OP = "AveragePool"
"""The last operation of the backbone in the ONNX file."""


class Answer(NamedTuple):
    """Scores (N, T, 37) before the softmax, and the log-odds (N,) of being a plate's number."""

    scores: Tensor
    is_number: Tensor


class Attention(nn.Module):
    """One block of the neck: self-attention over the columns, then two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.LayerNorm(NECK)
        self.mixed = nn.Linear(NECK, 3 * NECK)
        self.joined = nn.Linear(NECK, NECK)
        self.between = nn.LayerNorm(NECK)
        self.widen = nn.Linear(NECK, 2 * NECK)
        self.narrow = nn.Linear(2 * NECK, NECK)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        n, t = x.shape[0], x.shape[1]
        heads = self.mixed(self.before(x)).reshape(n, t, 3, HEADS, NECK // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        share = torch.softmax(query @ key.transpose(-1, -2) * (NECK // HEADS) ** -0.5, -1)
        seen = (share @ value).transpose(1, 2).reshape(n, t, NECK)
        x = x + self.drop(self.joined(seen))
        wide: Tensor = self.widen(self.between(x))
        out: Tensor = x + self.drop(self.narrow(wide * torch.sigmoid(wide)))
        return out


class Tail(nn.Module):
    """From the backbone's features (N, 384, T) to an ``Answer``."""

    def __init__(self) -> None:
        super().__init__()
        self.short = nn.Conv1d(BACKBONE, NECK, 1)
        self.enter = nn.Conv1d(BACKBONE, NECK, 1)
        self.near = nn.Conv1d(NECK, NECK, 7, padding=3, groups=NECK)
        self.blocks = nn.ModuleList([Attention(), Attention()])
        self.last = nn.LayerNorm(NECK)
        self.answer = nn.Linear(NECK, CLASSES)
        self.wide = nn.Conv1d(BACKBONE, WIDE, REACH, padding=REACH // 2)
        self.more = nn.Linear(WIDE, CLASSES)
        self.number = nn.Sequential(nn.Linear(2 * WIDE, 64), nn.SiLU(), nn.Linear(64, 1))
        self.drop = nn.Dropout(0.2)
        nn.init.zeros_(self.more.weight)
        nn.init.zeros_(self.more.bias)

    def forward(self, x: Tensor) -> Answer:
        swish = nn.functional.silu
        x = self.drop(x)
        short, inner = swish(self.short(x)), swish(self.enter(x))
        inner = (inner + swish(self.near(inner))).transpose(1, 2)
        for block in self.blocks:
            inner = block(inner)
        wide = swish(self.wide(x))
        seen = self.last(inner) + short.transpose(1, 2)
        scores = self.answer(seen) + self.more(self.drop(wide.transpose(1, 2)))
        both = torch.cat([wide.mean(2), wide.amax(2)], 1)
        return Answer(scores, self.number(self.drop(both))[:, 0])


def from_original(file: Path, characters: dict[int, int]) -> Tail:
    """Create a tail with the weights of PP-OCRv6's neck.

    Args:
        file: the original ONNX file.
        characters: for each of the 37 classes, its column in the original answer.
    """
    weights = iter(_weights(file))
    tail = Tail()
    for conv in (tail.short, tail.enter, tail.near):
        _set_folded(conv, [next(weights) for _ in range(5)])
    for block in tail.blocks:
        for layer in (block.before, block.mixed, block.joined, block.between):
            _set(layer, next(weights), next(weights))
        for layer in (block.widen, block.narrow):
            _set(layer, next(weights), next(weights))
    _set(tail.last, next(weights), next(weights))
    columns = [characters[c] for c in range(CLASSES)]
    _set(tail.answer, next(weights)[:, columns], next(weights)[columns])
    return tail.eval()


def _weights(file: Path) -> list[npt.NDArray[np.float32]]:
    """The weights after the backbone, in the order of the graph."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(file)).graph
    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    first = next(i for i, node in enumerate(graph.node) if node.op_type == FIRST_OP)
    return [
        values[name]
        for node in graph.node[first:]
        if node.op_type in ("Conv", "BatchNormalization", "MatMul", "Add", "Mul")
        for name in node.input
        if name in values and values[name].dtype == np.float32 and values[name].size >= NECK
    ]


def _set(layer: Any, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.T.copy() if weight.ndim == 2 else weight.copy()))
        layer.bias.copy_(torch.from_numpy(bias.copy()))


def _set_folded(conv: Any, weights: list[npt.NDArray[np.float32]]) -> None:
    """Set a convolution to one followed by batch normalisation."""
    kernel, scale, shift, mean, variance = weights
    factor = scale / np.sqrt(variance + 1e-5)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(kernel[:, :, 0] * factor[:, None, None]))
        conv.bias.copy_(torch.from_numpy(shift - mean * factor))
