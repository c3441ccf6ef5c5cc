"""Initial weights of the branch: an earlier network on YOLOv8n's first layers.

    python -m training.start $WATCHPOST_DATA/weights/yolov8n.pt \
        $WATCHPOST_DATA/weights/first_recipe.pt WORK/start.pt

The first layers are YOLOv8n's, bit for bit, as both branches share them (see join.py); all others
are the earlier network's. Its class rows of faces and cigarettes are kept; the row of plates is
initialised with that of stop signs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn
from ultralytics.nn.tasks import load_checkpoint

from training.boxes import NEW_CLASSES

SHARED = 3
"""Layers 0..2 are shared by both branches and stay frozen. They work on the largest maps, so
sharing them saves most, and extract edges and colours, so it costs least: on YOLOv8n's first 3
layers the earlier network detects cigarettes as well as on its own (AP 0.80), on its first 5 worse
(0.77), on all 10 much worse (0.72, which training did not make up for)."""
ROW_FROM = {"plate": "stop sign"}


def branch(coco: Path, earlier: Path, out: Path) -> None:
    """Write the branch as an Ultralytics checkpoint with only the new classes."""
    base, _ = load_checkpoint(coco)
    model, checkpoint = load_checkpoint(earlier)
    model = model.float()
    model.model[:SHARED].load_state_dict(base.float().model[:SHARED].state_dict())
    index = {name: i for i, name in model.names.items()}
    rows = [index[ROW_FROM.get(name, name)] for name in NEW_CLASSES]
    head = model.model[-1]
    for scale in head.cv3:
        last = scale[-1]
        scale[-1] = nn.Conv2d(last.in_channels, len(rows), 1)
        scale[-1].load_state_dict({"weight": last.weight[rows], "bias": last.bias[rows]})
    head.nc = model.nc = model.yaml["nc"] = len(rows)
    head.no = len(rows) + 4 * head.reg_max
    model.names = dict(enumerate(NEW_CLASSES))
    model.args = checkpoint["train_args"]
    torch.save({**checkpoint, "model": model.half(), "ema": None, "optimizer": None}, out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("coco", type=Path, help="yolov8n.pt")
    parser.add_argument("earlier", type=Path, help="a YOLOv8n trained on the new classes")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    branch(args.coco, args.earlier, args.out)


if __name__ == "__main__":
    main()
