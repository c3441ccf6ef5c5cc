"""The network to start from: between YOLOv8n and an earlier network of ours, with our classes.

    python -m training.start $WATCHPOST_DATA/weights/yolov8n.pt \
        $WATCHPOST_DATA/weights/first_recipe.pt WORK/start.pt --share 0.4

Both share a start, so weights between theirs still see (Wortsman et al., "Robust fine-tuning of
zero-shot models", CVPR 2022). The rows of COCO's classes are YOLOv8n's own, those of new classes
the earlier network's, and a plate begins as a stop sign.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.nn.tasks import load_checkpoint

from training.boxes import CLASSES, COCO_CLASSES

ROW_FROM = {"plate": "stop sign"}


def between(coco: Path, earlier: Path, out: Path, share: float) -> None:
    """Write an Ultralytics checkpoint whose weights are `share` of the way to `earlier`."""
    base, checkpoint = load_checkpoint(coco)
    other, _ = load_checkpoint(earlier)
    base, other = base.float(), other.float()
    rows = class_rows(base, other)
    theirs = other.state_dict()
    mixed = {
        name: torch.lerp(value, theirs[name], share) if value.is_floating_point() else value
        for name, value in base.state_dict().items()
    }
    base.load_state_dict(mixed)
    head = base.model[-1]
    for branch, (weight, bias) in zip(head.cv3, rows, strict=True):
        branch[-1] = nn.Conv2d(weight.shape[1], len(CLASSES), 1)
        branch[-1].load_state_dict({"weight": weight, "bias": bias})
    head.nc = base.nc = base.yaml["nc"] = len(CLASSES)
    head.no = len(CLASSES) + 4 * head.reg_max
    base.names = dict(enumerate(CLASSES))
    torch.save({**checkpoint, "model": base.half(), "ema": None, "optimizer": None}, out)


def class_rows(base: Any, other: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Of each scale: our classes' rows (classes, C, 1, 1) and biases, from whoever knows them."""
    index = [{name: i for i, name in network.names.items()} for network in (base, other)]
    rows = []
    for branches in zip(base.model[-1].cv3, other.model[-1].cv3, strict=True):
        weight, bias = [], []
        for name in CLASSES:
            source = ROW_FROM.get(name, name)
            which = 0 if name in COCO_CLASSES or name in ROW_FROM else 1
            last = branches[which][-1]
            weight.append(last.weight[index[which][source]].detach().clone())
            bias.append(last.bias[index[which][source]].detach().clone())
        rows.append((torch.stack(weight), torch.stack(bias)))
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("coco", type=Path, help="yolov8n.pt")
    parser.add_argument("earlier", type=Path, help="a YOLOv8n that knows new classes")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--share", type=float, default=0.4, help="the earlier network's share, 0..1"
    )
    args = parser.parse_args()
    between(args.coco, args.earlier, args.out, args.share)


if __name__ == "__main__":
    main()
