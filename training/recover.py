"""Recover the added branch from the shipped network, for when its checkpoint is lost.

    python -m training.recover app/models/weights/watchpost.xml WORK/start.pt WORK/branch.pt

`WORK/start.pt` is what `training.start` wrote: its architecture and first layers are kept, all
other layers get the weights in the network file. These are rounded to INT8, with a scale per
channel, and biases are corrected for that; in floating point they score 0.844 (cigarette AP at IoU
0.25), where the lost checkpoint had 0.841. The result has no batch normalisation layers any more:
they are fused into the convolutions.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from ultralytics.nn.tasks import load_checkpoint

from training.network import checkpoint

LAYER = re.compile(r"__module\.branch\.(.+)/aten::_convolution/Convolution")


def recover(network: Path, start: Path, out: Path) -> None:
    """Write the branch of a network file as an Ultralytics checkpoint."""
    module, _ = checkpoint(start)
    parameters = dict(module.named_parameters())
    for node in ov.Core().read_model(network).get_ordered_ops():
        layer = LAYER.fullmatch(node.get_friendly_name())
        if layer is None:
            continue
        values = {f"{layer[1]}.weight": stored(node.input_value(1))}
        (following,) = node.output(0).get_target_inputs()
        if following.get_node().get_type_name() == "Add":
            values[f"{layer[1]}.bias"] = stored(following.get_node().input_value(1)).reshape(-1)
        with torch.no_grad():
            for name, value in values.items():
                parameters[name].copy_(torch.from_numpy(value))
    _, content = load_checkpoint(start)
    torch.save({**content, "model": module.half(), "ema": None, "optimizer": None}, out)


def stored(value: ov.Output) -> NDArray[np.float32]:
    """Return a constant: stored as it is, as FP16, or as INT8 with a factor per channel."""
    node = value.get_node()
    if node.get_type_name() == "Constant":
        return np.array(node.data, np.float32)
    if node.get_type_name() == "Convert":
        return stored(node.input_value(0))
    if node.get_type_name() == "Multiply":
        return stored(node.input_value(0)) * stored(node.input_value(1))
    raise ValueError(f"{node.get_friendly_name()} is not a constant")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path, help="the shipped network (.xml)")
    parser.add_argument("start", type=Path, help="the branch as training.start wrote it (.pt)")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    recover(args.network, args.start, args.out)


if __name__ == "__main__":
    main()
