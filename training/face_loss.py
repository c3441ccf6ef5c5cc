"""YuNet's loss: which cells answer for which face (SimOTA), and how wrong they are.

Ge et al.: YOLOX (2021), section 2.1, as YuNet's authors use it: the face logit of every cell, the
class logit and the box of the cells that are assigned to a face.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.export_faces import STRIDES
from training.yunet import cells, decoded

CENTRE_RADIUS = 2.5  # strides; cells this near to a face's centre may answer for it
CANDIDATES = 10  # a face gets as many cells as the overlaps of its best ones add up to
IOU_WEIGHT = 3.0
BOX_WEIGHT = 5.0
FAR = 1e5


class Truth(NamedTuple):
    """Faces (N, 4) of one sample in pixels, and boxes (M, 4) in which cells are not judged."""

    faces: Tensor
    unsure: Tensor


class Cells(NamedTuple):
    """All cells of all strides: centre (N, 2) in pixels, stride (N,)."""

    points: Tensor
    strides: Tensor


def all_cells(maps: list[Tensor]) -> Cells:
    """Return the cells of the maps (B, 6, rows, columns)."""
    points, strides = [], []
    for values, stride in zip(maps, STRIDES, strict=True):
        places = cells(*values.shape[2:]).flatten(1).T * stride
        points.append(places)
        strides.append(torch.full((len(places),), float(stride)))
    return Cells(torch.cat(points), torch.cat(strides))


def face_loss(maps: list[Tensor], truths: list[Truth]) -> Tensor:
    """Return the loss of a batch of maps (B, 6, rows, columns), one for each stride."""
    places = all_cells(maps)
    logits = torch.cat([values[:, :2].flatten(2) for values in maps], 2)
    boxes = torch.cat([decoded(v, s) for v, s in zip(maps, STRIDES, strict=True)], 1)
    total, positives = logits.new_zeros(()), 0
    for (kind, face), box, truth in zip(logits, boxes, truths, strict=True):
        cell, owner, overlap = assign(places, kind.detach(), face.detach(), box.detach(), truth)
        target = torch.zeros_like(face)
        target[cell] = 1.0
        judged = ~_inside(places.points, truth.unsure).any(1)
        judged[cell] = True
        wrong = functional.binary_cross_entropy_with_logits(face, target, reduction="none")
        total = total + wrong[judged].sum()
        total = total + functional.binary_cross_entropy_with_logits(
            kind[cell], overlap, reduction="sum"
        )
        total = total + BOX_WEIGHT * eiou_loss(box[cell], truth.faces[owner]).sum()
        positives += len(cell)
    return total / max(positives, 1)


@torch.no_grad()
def assign(
    places: Cells, kind: Tensor, face: Tensor, boxes: Tensor, truth: Truth
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cells that answer for a face, the number of that face, and their overlap.

    Args:
        kind: logits (N,), as is ``face``; ``boxes`` (N, 4) in pixels.
    """
    faces = truth.faces
    if not len(faces):
        nothing = torch.zeros(0, dtype=torch.long)
        return nothing, nothing, torch.zeros(0)
    points, strides = places
    middle = (faces[:, :2] + faces[:, 2:]) / 2
    near = (points[:, None] - middle).abs().amax(2) < CENTRE_RADIUS * strides[:, None]
    inside = _inside(points, faces)
    usable = torch.nonzero((near | inside).any(1))[:, 0]
    overlap = pairwise_iou(boxes[usable], faces)
    score = (kind[usable].sigmoid() * face[usable].sigmoid()).sqrt().clamp(1e-6, 1)
    cost = -score.log()[:, None] - IOU_WEIGHT * (overlap + 1e-8).log()
    cost = cost + FAR * ~(near & inside)[usable]
    wanted = overlap.topk(min(CANDIDATES, len(usable)), 0).values.sum(0).long().clamp(min=1)
    cheapest = cost.topk(min(CANDIDATES, len(usable)), 0, largest=False).values
    taken = cost <= cheapest.gather(0, wanted[None] - 1)
    taken &= cost == torch.where(taken, cost, torch.inf).amin(1, keepdim=True)
    cell, owner = torch.nonzero(taken, as_tuple=True)
    return usable[cell], owner, overlap[cell, owner]


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Return which points (N, 2) lie in which boxes (M, 4), as (N, M)."""
    return ((points[:, None] > boxes[:, :2]) & (points[:, None] < boxes[:, 2:])).all(2)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (N, M) of two sets of boxes."""
    low = torch.maximum(a[:, None, :2], b[:, :2])
    high = torch.minimum(a[:, None, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    areas = (a[:, 2:] - a[:, :2]).prod(1)[:, None] + (b[:, 2:] - b[:, :2]).prod(1)
    return shared / (areas - shared).clamp(min=1e-6)


def eiou_loss(a: Tensor, b: Tensor) -> Tensor:
    """Return 1 - EIoU (N,) of pairs of boxes. Zhang et al.: Focal and Efficient IoU Loss (2021)."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    iou = shared / (size_a.prod(1) + size_b.prod(1) - shared).clamp(min=1e-6)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    hull = hull.clamp(min=1e-6)
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(1)
    stretched = ((size_a - size_b) / hull).square().sum(1)
    return 1 - iou + apart / hull.square().sum(1) + stretched
