"""Turn YuNet, as its authors publish it, into the network that finds faces to blur.

Nothing is trained and no number is changed. The result is an OpenVINO IR with one output per
stride (8, 16, 32) of shape [N, H/stride, W/stride, 5]: the confidence sqrt(class * objectness),
then the offset of the centre (x, y) and the logarithm of the size (width, height), all in units of
the stride. Landmarks are removed, as they are not used, and the input is RGB instead of BGR.

    WATCHPOST_DATA=... python -m training.export_faces --out app/models/weights/yunet.xml

Source: Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector (2023), the file
``yunet_s_dynamic.onnx`` of libfacedetection.train.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as opset

STRIDES = (8, 16, 32)
SOURCE = "yunet_s_dynamic.onnx"


def read_yunet(path: Path) -> ov.Model:
    """Read the published ONNX file as the network that is described above."""
    model = ov.Core().read_model(path)
    outputs = {output.any_name: output.get_node() for output in model.outputs}
    results = []
    for stride in STRIDES:
        kind, face, box = (
            _as_map(outputs[f"{name}_{stride}"].input_value(0)) for name in ("cls", "obj", "bbox")
        )
        confidence = opset.sqrt(opset.multiply(kind, face))
        joined = opset.concat([confidence, box], 3)
        joined.output(0).set_names({f"faces_{stride}"})
        results.append(opset.result(joined))
    found = ov.Model(results, model.get_parameters(), "yunet")
    _take_rgb(found)
    found.validate_nodes_and_infer_types()
    return found


def _as_map(value: ov.Output) -> ov.Output:
    """Go back from a list of places (N, H * W, C) to the map (N, H, W, C) that it was made of."""
    node = value.get_node()
    if node.get_type_name() == "Reshape":
        return node.input_value(0)
    if node.get_type_name() == "Sigmoid":
        return opset.sigmoid(_as_map(node.input_value(0))).output(0)
    raise ValueError(f"{node.get_friendly_name()} is a {node.get_type_name()}")


def _take_rgb(model: ov.Model) -> None:
    """Exchange the first and the third channel in the weights of the first convolution."""
    first = next(n for n in model.get_ordered_ops() if n.get_type_name() == "Convolution")
    weights = first.input_value(1).get_node().data
    assert weights.shape[1] == 3, weights.shape
    swapped = opset.constant(np.ascontiguousarray(weights[:, ::-1]))
    first.input(1).replace_source_output(swapped.output(0))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("yunet.xml"))
    arguments = parser.parse_args()
    model = read_yunet(Path(os.environ["WATCHPOST_DATA"]) / "weights" / SOURCE)
    ov.save_model(model, arguments.out, compress_to_fp16=False)
    print(model)


if __name__ == "__main__":
    main()
