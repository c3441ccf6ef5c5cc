"""Learning without forgetting: a loss that keeps what a teacher knows while others are learned.

Li & Hoiem, "Learning without Forgetting" (ECCV 2016; PAMI 2018): the old network's answers to the
new pictures are targets for the old classes. For a detector the answers are dense (Shmelkov et al.,
"Incremental Learning of Object Detectors without Catastrophic Forgetting", ICCV 2017): here every
anchor's class probabilities and box distribution. No picture needs a label of an old class, and
what the teacher half sees (a bag at 0.1) counts as much as it deserves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from ultralytics.utils.loss import v8DetectionLoss
from ultralytics.utils.tal import make_anchors

from training.boxes import COCO_CLASSES
from training.network import checkpoint, trace

KEPT = len(COCO_CLASSES)
"""The first classes are the teacher's; the rest are new and learned from labels."""
KEPT_GAIN, DISTRIBUTION_GAIN = 1.0, 1.5
"""Of the kept classes' probabilities and of their boxes; Ultralytics has cls 0.5 and dfl 1.5."""
RARE = {
    "backpack": 3.0,
    "handbag": 3.0,
    "suitcase": 3.0,
    "motorcycle": 2.0,
    "bus": 2.0,
    "truck": 2.0,
}
SEES = 0.05
"""Probability from which the teacher's box at an anchor means anything."""


class RawAnswers(torch.nn.Module):
    """A network's answers before decoding: box bins and class logits, (B, C, A) each."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Of (B, 3, H, W) in 0..1."""
        raw = self.network(images)[1]
        return raw["boxes"], raw["scores"]


class Teacher:
    """A network's raw answers, by OpenVINO, at the student's anchors."""

    def __init__(self, path: Path, shape: tuple[int, int, int, int], threads: int) -> None:
        network, names = checkpoint(path)
        model = trace(RawAnswers(network), names)
        index = {name: i for i, name in names.items()}
        self.rows = [index[name] for name in COCO_CLASSES]
        model.reshape(list(shape))
        config = {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        self.run = ov.Core().compile_model(model, "CPU", config)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, A, KEPT) probabilities and (B, A, 4 * bins) box logits for (B, 3, H, W) in 0..1."""
        boxes, scores = self.run(images.numpy()).values()
        chosen = np.ascontiguousarray(scores[:, self.rows])
        return (
            torch.from_numpy(chosen).sigmoid().transpose(1, 2),
            torch.from_numpy(boxes.copy()).transpose(1, 2),
        )


class RetainingLoss(v8DetectionLoss):  # type: ignore[misc]
    """Ultralytics' loss for the new classes, the teacher's answers for the kept ones.

    All labels, old classes' too, compete for anchors (task-aligned assignment), so that a face
    does not take the anchors of its person. Where an anchor belongs to a new class with score s,
    the teacher's probabilities count as p · (1 - s): one anchor has one box.
    """

    def __init__(self, model: Any, teacher: Teacher) -> None:
        super().__init__(model)
        self.teacher = teacher
        self.loss_names = ("box_loss", "cls_loss", "dfl_loss", "kept_loss", "kept_box_loss")
        self.row_gain = torch.tensor([RARE.get(name, 1.0) for name in COCO_CLASSES])

    def loss(
        self, preds: dict[str, Tensor], batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The five terms (5,) times the batch size, and each for the log."""
        distances = preds["boxes"].permute(0, 2, 1).contiguous()
        logits = preds["scores"].permute(0, 2, 1).contiguous()
        anchors, strides = make_anchors(preds["feats"], self.stride, 0.5)
        size = torch.tensor(preds["feats"][0].shape[2:], dtype=logits.dtype) * self.stride[0]
        decoded = self.bbox_decode(anchors, distances)
        targets, boxes = self.assign(logits, decoded, anchors, strides, size, batch)
        new = targets[..., KEPT:]
        taken = new.sum(-1)
        total = new.sum().clamp_(min=1)
        box, dfl = self.bbox_loss(
            distances,
            decoded,
            anchors,
            boxes / strides,
            new,
            total,
            taken > 0,
            size,
            strides,
        )
        cls = self.bce(logits[..., KEPT:], new).sum() / total
        kept, kept_box = self.retained(logits[..., :KEPT], distances, taken, batch["img"])
        terms = torch.stack(
            [
                self.hyp.box * box,
                self.hyp.cls * cls,
                self.hyp.dfl * dfl,
                KEPT_GAIN * kept,
                DISTRIBUTION_GAIN * kept_box,
            ]
        )
        items = dict(zip(self.loss_names, terms.detach(), strict=True))
        return terms * logits.shape[0], items

    def assign(
        self,
        logits: Tensor,
        decoded: Tensor,
        anchors: Tensor,
        strides: Tensor,
        size: Tensor,
        batch: dict[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """(B, A, classes) target scores and (B, A, 4) target boxes in pixels."""
        columns = (batch["batch_idx"].view(-1, 1), batch["cls"].view(-1, 1), batch["bboxes"])
        labels = self.preprocess(torch.cat(columns, 1), logits.shape[0], size[[1, 0, 1, 0]])
        classes, boxes = labels.split((1, 4), 2)
        _, target_boxes, scores, _, _ = self.assigner(
            logits.detach().sigmoid(),
            decoded.detach() * strides,
            anchors * strides,
            classes,
            boxes,
            boxes.sum(2, keepdim=True).gt_(0.0),
        )
        return scores.to(logits.dtype), target_boxes

    def retained(
        self, logits: Tensor, distances: Tensor, taken: Tensor, images: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How far the kept classes are from the teacher: probabilities, and boxes where it sees.

        Both are Kullback-Leibler divergences, zero for the teacher itself.
        """
        probability, teacher_distances = self.teacher(images)
        free = 1 - taken
        target = probability * free[..., None]
        entropy = F.binary_cross_entropy(target, target, reduction="none")
        divergence = (self.bce(logits, target) - entropy) * self.row_gain
        weight = target.amax(-1)
        total = weight.sum().clamp_(min=1)
        seen = weight > SEES
        bins = (-1, 4, self.reg_max)
        wanted = teacher_distances[seen].view(bins).log_softmax(-1)
        given = distances[seen].view(bins).log_softmax(-1)
        box = F.kl_div(given, wanted, reduction="none", log_target=True).sum(-1).mean(-1)
        return divergence.sum() / total, (box * weight[seen]).sum() / total
