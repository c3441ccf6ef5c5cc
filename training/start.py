"""The branch to start from: YOLOv8n's backbone, an earlier network's neck and head.

    python -m training.start $WATCHPOST_DATA/weights/yolov8n.pt \
        $WATCHPOST_DATA/weights/first_recipe.pt WORK/start.pt

The backbone is YOLOv8n's bit for bit, as the COCO branch needs it (see join.py). The rows of faces
and cigarettes are the earlier network's, and a plate begins as a stop sign.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel, load_checkpoint

from training.boxes import NEW_CLASSES

SHAPE = Path(__file__).with_name("two_scales.yaml")
BACKBONE = 10
"""Layers 0..9 are the backbone."""
ROW_FROM = {"plate": "stop sign"}


def branch(coco: Path, earlier: Path, out: Path) -> None:
    """Write the branch as an Ultralytics checkpoint of the new classes alone."""
    base, _ = load_checkpoint(coco)
    other, checkpoint = load_checkpoint(earlier)
    model = DetectionModel({"scale": "n", **yaml_of(SHAPE)}, nc=len(other.names), verbose=False)
    head = len(model.model) - 1
    theirs = {name: value.float() for name, value in other.state_dict().items()}
    weights = {}
    for name in model.state_dict():
        layer = int(name.split(".")[1])
        twin = name.replace(f"model.{head}.", f"model.{len(other.model) - 1}.")
        weights[name] = base.float().state_dict()[name] if layer < BACKBONE else theirs[twin]
    model.load_state_dict(weights)
    index = {name: i for i, name in other.names.items()}
    rows = [index[ROW_FROM.get(name, name)] for name in NEW_CLASSES]
    for scale in model.model[-1].cv3:
        last = scale[-1]
        scale[-1] = nn.Conv2d(last.in_channels, len(rows), 1)
        scale[-1].load_state_dict({"weight": last.weight[rows], "bias": last.bias[rows]})
    model.model[-1].nc = model.nc = model.yaml["nc"] = len(rows)
    model.model[-1].no = len(rows) + 4 * model.model[-1].reg_max
    model.names = dict(enumerate(NEW_CLASSES))
    model.args = checkpoint["train_args"]
    torch.save({**checkpoint, "model": model.half(), "ema": None, "optimizer": None}, out)


def yaml_of(path: Path) -> dict[str, object]:
    """A network's description."""
    import yaml

    described: dict[str, object] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return described


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("coco", type=Path, help="yolov8n.pt")
    parser.add_argument("earlier", type=Path, help="a YOLOv8n that knows new classes")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    branch(args.coco, args.earlier, args.out)


if __name__ == "__main__":
    main()
