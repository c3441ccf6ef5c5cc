"""Fit one class's row of the head again, everything else frozen: logistic regression.

    python -m training.refit WORK BLENDED.pt OUT.pt --label plate

Blending pulls the features away from a row that only one of the two networks has. The inputs of the
last classification layer are collected for the training pictures that show the class and as many
that do not; the target of an anchor is the overlap of its own box with the label that it hits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from ultralytics.nn.tasks import load_checkpoint

from training.boxes import CLASSES, iou
from training.evaluate import read_boxes
from training.network import letterbox
from training.pictures import read_image

SIZE = 576
HIT_IOU = 0.5
LIKED = 200
ONE_IN = 8
"""Anchors kept without a hit: those that the old row likes most, and one in eight of the others,
which then counts eightfold, so that the row learns how rare the class is."""
STEPS = 60


def collect(
    network: torch.nn.Module, work: Path, files: list[str], label: int
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Collect, for each of the head's levels, features (N, C), targets and weights (N,)."""
    head = network.model[-1]
    features: list[Tensor] = []
    hooks = [
        branch[-1].register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
        for branch in head.cv3
    ]
    kept: list[list[tuple[Tensor, Tensor, Tensor]]] = [[] for _ in head.cv3]
    for file in files:
        image = read_image(work / file)
        height, width = image.shape[:2]
        blob, scale = letterbox(image, SIZE)
        features.clear()
        with torch.no_grad():
            output = network(torch.from_numpy(blob))[0][0].numpy()
        name = Path(file).stem
        labels = read_boxes(work / "labels/train" / f"{name}.txt", width, height).only(label)
        centre, extent = output[:2].T, output[2:4].T
        predicted = np.concatenate([centre - extent / 2, centre + extent / 2], 1)
        overlap = iou(predicted.astype(np.float32), labels.xyxy * np.float32(scale))
        best = overlap.max(1, initial=0)
        target = torch.from_numpy(np.where(best >= HIT_IOU, best, 0).astype(np.float32))
        liked = torch.from_numpy(output[4 + label])
        start = 0
        for level, feature in enumerate(features):
            flat = feature[0].flatten(1).T
            end = start + len(flat)
            weight = torch.where(torch.rand(len(flat)) < 1 / ONE_IN, float(ONE_IN), 0.0)
            weight[liked[start:end].topk(min(LIKED, len(flat))).indices] = 1
            weight[target[start:end] > 0] = 1
            chosen = weight > 0
            kept[level].append((flat[chosen], target[start:end][chosen], weight[chosen]))
            start = end
    for hook in hooks:
        hook.remove()
    return [tuple(map(torch.cat, zip(*level, strict=True))) for level in kept]


def fit(
    features: Tensor, targets: Tensor, weights: Tensor, row: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """(C,) row and () bias by weighted logistic regression, kept near where they start."""
    w, b = row.clone().requires_grad_(), bias.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([w, b], lr=0.5, max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = features @ w + b
        misfit = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, targets, weights, reduction="sum"
        )
        total = misfit / targets.sum().clamp(min=1) + 1e-3 * (w - row).square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return w.detach(), b.detach()


def refit(work: Path, weights: Path, out: Path, label: int) -> None:
    """Write the weights with the row of `label` fitted again."""
    network, checkpoint = load_checkpoint(weights)
    network = network.float().eval()
    listed = sorted(set((work / "train.txt").read_text().split()))
    shows = [f for f in listed if has_label(work, f, label)]
    others = [f for f in listed if f not in set(shows)]
    chosen = np.random.default_rng(0).choice(others, min(len(shows) // 2, len(others)), False)
    torch.manual_seed(0)
    levels = collect(network, work, [*shows, *chosen], label)
    for branch, (features, targets, weights_of) in zip(network.model[-1].cv3, levels, strict=True):
        last = branch[-1]
        with torch.no_grad():
            row = last.weight[label, :, 0, 0].clone(), last.bias[label].clone()
        weight, bias = fit(features, targets, weights_of, *row)
        with torch.no_grad():
            last.weight[label, :, 0, 0], last.bias[label] = weight, bias
        print(f"{len(targets)} anchors, {int((targets > 0).sum())} hits")
    torch.save({**checkpoint, "model": network.half(), "ema": None, "optimizer": None}, out)


def has_label(work: Path, file: str, label: int) -> bool:
    """Whether a training picture shows the class."""
    text = (work / "labels/train" / f"{Path(file).stem}.txt").read_text()
    return any(line.split()[0] == str(label) for line in text.splitlines())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="the folder that training.prepare filled")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--label", choices=CLASSES, default="plate")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    refit(args.work, args.weights, args.out, CLASSES.index(args.label))


if __name__ == "__main__":
    main()
