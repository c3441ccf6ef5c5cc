"""Make the two text networks of plate reading from those in RapidOCR's wheel.

    pip download --no-deps rapidocr && python -m training.text rapidocr-*.whl app/models/weights

Nothing is trained here. The detector is unchanged; of the recogniser's 18,710 characters only
those that occur on plates are kept, with letters of the same shape in upper and lower case merged:
with a tenth of the weights it can no longer confuse an O with a circle or a Chinese character.
Both take RGB values of 0 to 255; the originals' normalisation becomes part of the graph.
"""

from __future__ import annotations

import argparse
import string
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.preprocess import PrePostProcessor

DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
LICENCE = "Apache-2.0"
PLATE = string.digits + string.ascii_uppercase
GAPS = " -.·•—–|:_*'\"`,~"
"""Separators: the recogniser may read them, but the plate's text does not contain them."""
SAME_SHAPE = {
    **{c: c.upper() for c in "cosuvwxzkpijl"},
    **dict(zip("ÄÖÜÅØÉÈ", "AOUAOEE", strict=True)),
}


def folding(characters: list[str]) -> tuple[list[int], np.ndarray]:
    """Return the recogniser's columns to keep, and the matrix that sums them to blank and
    ``PLATE``."""
    target = {c: 1 + i for i, c in enumerate(PLATE)}
    target |= {c: target[upper] for c, upper in SAME_SHAPE.items()}
    target |= dict.fromkeys(GAPS, 0)
    columns = [0, *(1 + i for i, c in enumerate(characters) if c in target), 1 + len(characters)]
    fold = np.zeros((len(columns), 1 + len(PLATE)), np.float32)
    for row, column in enumerate(columns):
        known = 0 < column <= len(characters)
        fold[row, target[characters[column - 1]] if known else 0] = 1
    return columns, fold


def cut(model: ov.Model) -> ov.Model:
    """Reduce the recogniser's output to probabilities (N, T, 37) of blank, 0-9 and A-Z."""
    characters = str(model.get_rt_info(["framework"]).value["character"]).splitlines()
    columns, fold = folding(characters)
    softmax = model.outputs[0].get_node().input_value(0).get_node()
    add = softmax.input_value(0).get_node()
    while add.get_type_name() != "Add":
        add = add.input_value(0).get_node()
    product = add.input_value(0).get_node()
    weights = product.input_value(1).get_node().data[:, columns]
    bias = add.input_value(1).get_node().data[columns]
    logits = ops.add(ops.matmul(product.input_value(0), weights, False, False), bias)
    folded = ops.matmul(ops.softmax(logits, -1), fold, False, False)
    return ov.Model([folded.output(0)], model.get_parameters(), "plate_text")


def normalised(model: ov.Model) -> ov.Model:
    """Make the network take RGB of 0 to 255 instead of BGR of -1 to 1."""
    steps = PrePostProcessor(model)
    steps.input().tensor().set_layout(ov.Layout("NCHW")).set_element_type(ov.Type.f32)
    steps.input().preprocess().reverse_channels().mean(127.5).scale(127.5)
    steps.input().model().set_layout(ov.Layout("NCHW"))
    return steps.build()


def save(model: ov.Model, path: Path, source: str) -> None:
    """Write the network with its licence and source inside."""
    model.set_rt_info(LICENCE, ["model_info", "license"])
    model.set_rt_info(source, ["model_info", "source"])
    ov.save_model(model, path, compress_to_fp16=True)
    size = sum(p.stat().st_size for p in (path, path.with_suffix(".bin"))) / 1e6
    print(f"{path.name}: {size:.1f} MB")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    core = ov.Core()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(arguments.wheel) as wheel:
        for name, out in ((DETECTOR, "text_lines"), (RECOGNISER, "plate_text")):
            file = wheel.extract(f"rapidocr/models/{name}", folder)
            model = core.read_model(file)
            model = cut(model) if name == RECOGNISER else model
            source = f"{name} of {arguments.wheel.name}"
            save(normalised(model), arguments.out / f"{out}.xml", source)


if __name__ == "__main__":
    main()
