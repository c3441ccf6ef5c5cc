"""One network of two branches: the unchanged YOLOv8n, and a trained branch beside it.

Both share YOLOv8n's first layers (see start.py), which are never trained, so COCO's classes are
detected exactly as by YOLOv8n: nothing is forgotten. After these layers the added branch is a
separate YOLOv8n. Training beside a frozen network: Rusu et al., "Progressive Neural Networks"
(2016); Zhang et al., "Side-Tuning" (ECCV 2020).

The output is (B, 4 + 11, A): YOLOv8n's anchors, then the branch's, each with zeros for the classes
of the other. So a person and a face at the same position do not compete for one box.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from training.boxes import CLASSES, COCO_CLASSES, NEW_CLASSES
from training.network import checkpoint
from training.start import SHARED

CIGARETTE_SCALE = 1.1
"""Factor by which the branch's cigarette boxes are enlarged: people label cigarettes loosely, and
a box that is a little too large overlaps more often. Chosen on the validation split (AP at IoU
0.25: 0.841 to 0.859, at 0.5: 0.644 to 0.651)."""


class Joined(nn.Module):
    """YOLOv8n and the branch on the same first layers; (B, 3, H, W) RGB in 0..1 to (B, 15, A)."""

    names: ClassVar[dict[int, str]] = dict(enumerate(CLASSES))

    def __init__(self, coco: Path, branch: Path) -> None:
        super().__init__()
        self.coco, coco_names = checkpoint(coco)
        self.branch, names = checkpoint(branch)
        if list(names.values()) != list(NEW_CLASSES):
            raise ValueError(f"{branch} has unexpected classes: {list(names.values())}")
        require_same_start(self.coco, self.branch)
        keep_rows(self.coco, [list(coco_names.values()).index(name) for name in COCO_CLASSES])
        for network in (self.coco, self.branch):
            head = network.model[-1]
            head.export, head.dynamic, head.format = True, True, "openvino"

    def forward(self, images: Tensor) -> Tensor:
        """Return the anchors of both branches."""
        shared = run(self.coco.model[:SHARED], [images])
        old = run(self.coco.model[SHARED:], shared)[-1]
        new = run(self.branch.model[SHARED:], shared)[-1]
        old = nn.functional.pad(old, (0, 0, 0, len(NEW_CLASSES)))
        centre, extent, scores = new.split((2, 2, len(NEW_CLASSES)), 1)
        is_cigarette = scores.argmax(1, keepdim=True) == NEW_CLASSES.index("cigarette")
        extent = torch.where(is_cigarette, extent * CIGARETTE_SCALE, extent)
        scores = nn.functional.pad(scores, (0, 0, len(COCO_CLASSES), 0))
        return torch.cat([old, torch.cat([centre, extent, scores], 1)], 2)


def run(layers: Any, outputs: list[Any]) -> list[Any]:
    """Run layers and append their outputs; `outputs` starts with the image, then layer 0's.

    A layer's `f` lists its inputs: layer numbers, or -1 for the previous layer.
    """
    outputs = list(outputs)
    for layer in layers:
        sources = layer.f if isinstance(layer.f, list) else [layer.f]
        inputs = [outputs[-1] if i == -1 else outputs[i + 1] for i in sources]
        outputs.append(layer(inputs if isinstance(layer.f, list) else inputs[0]))
    return outputs


def keep_rows(network: Any, rows: list[int]) -> None:
    """Remove all classes except these from a detection head."""
    head = network.model[-1]
    for scale in head.cv3:
        last = scale[-1]
        scale[-1] = nn.Conv2d(last.in_channels, len(rows), 1)
        scale[-1].load_state_dict({"weight": last.weight[rows], "bias": last.bias[rows]})
    head.nc, head.no = len(rows), len(rows) + 4 * head.reg_max


def require_same_start(one: Any, other: Any) -> None:
    """Raise ValueError unless the shared layers are equal in both networks.

    Both were fused in the same way, so equal weights mean equal layers.
    """
    mine, theirs = one.model[:SHARED].state_dict(), other.model[:SHARED].state_dict()
    changed = [name for name, value in mine.items() if not torch.equal(value, theirs[name])]
    if changed:
        raise ValueError(f"the shared layers of the branch were trained: {changed[0]}")
