"""Choose the confidences that the face network's boxes need, on folds of pictures.

    WATCHPOST_DATA=... python -m training.choose_faces WORK app/models/weights/yunet.xml --all

The cost is the share of faces that leak, in percent, plus BOX_COSTS for each false box in a frame,
as a mean over copies. What is least on four of five folds is scored on the fifth, so that the
score is not flattered by the choice. ``--all`` takes all labelled pictures, for a network that was
trained on none of them.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.export_faces import SOURCE
from training.images import data_root
from training.label_faces import read_labels
from training.score_faces import Bounds, Frame, copies, leaking, load, see_all
from training.train_faces import VALIDATION_FOLDS

SMALL = (0.08, 0.1, 0.12, 0.15, 0.18, 0.2, 0.25, 0.3)
BIG = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
GRID = [
    Bounds(*bounds)
    for bounds in itertools.product(SMALL, BIG, BIG)
    if list(bounds) == sorted(bounds)
]
BOX_COSTS = (0.5, 1, 2)
FOLDS = 5
SETS = ("as they are", "wide", "crowds", "dark", "blurred")


class Counts(NamedTuple):
    """What was counted in one set, by fold: (FOLDS, bounds) and (FOLDS, 1)."""

    leaks: NDArray[np.float64]
    false_boxes: NDArray[np.float64]
    faces: NDArray[np.float64]
    frames: NDArray[np.float64]

    def cost(self, folds: Sequence[int], box_cost: float) -> NDArray[np.float64]:
        """Return the cost (bounds,) on these folds."""
        leaks, false_boxes, faces, frames = (values[list(folds)].sum(0) for values in self)
        return np.asarray(100 * leaks / faces + box_cost * false_boxes / frames)


def count(frames: Sequence[Frame]) -> Counts:
    """Count leaks and false boxes at all bounds."""
    counts = Counts(*(np.zeros((FOLDS, columns)) for columns in (len(GRID), len(GRID), 1, 1)))
    for frame in frames:
        fold = frame.group % FOLDS
        counts.faces[fold] += len(frame.face_sides)
        counts.frames[fold] += 1
        known: dict[bytes, int] = {}
        for number, bounds in enumerate(GRID):
            kept = bounds.enough(frame.boxes, frame.scores)
            if kept.tobytes() not in known:
                known[kept.tobytes()] = int(leaking(frame, kept).sum())
            counts.leaks[fold, number] += known[kept.tobytes()]
            counts.false_boxes[fold, number] += (kept & frame.stray).sum()
    return counts


def choose(sets: Iterable[Counts], box_cost: float) -> tuple[Bounds, float]:
    """Return the bounds of least cost on all folds, and the mean cost on folds left out."""
    known = list(sets)

    def cost(folds: Sequence[int]) -> NDArray[np.float64]:
        return np.asarray(np.mean([counts.cost(folds, box_cost) for counts in known], 0))

    unseen = []
    for fold in range(FOLDS):
        best = cost([other for other in range(FOLDS) if other != fold]).argmin()
        unseen.append(cost([fold])[best])
    return GRID[int(cost(range(FOLDS)).argmin())], float(np.mean(unseen))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("network", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--most", type=int, default=400, help="number of pictures")
    arguments = parser.parse_args()
    root = data_root()
    labels = read_labels(arguments.work)
    labels = [p for p in labels if arguments.all or p.fold in VALIDATION_FOLDS][: arguments.most]
    network = load(arguments.network, root / "weights" / SOURCE)
    sets = {name: samples for name, samples in copies(labels, root).items() if name in SETS}
    seen = see_all(network, sets, [picture.group for picture in labels])
    found = {name: count(frames) for name, frames in seen.items()}
    for box_cost in BOX_COSTS:
        bounds, unseen = choose(found.values(), box_cost)
        print(f"{bounds} if a false box costs {box_cost} % of leaks; {unseen:.2f} on unseen folds")
        for name, counts in found.items():
            for label, at in (("today", Bounds()), ("chosen", bounds)):
                leaks, false_boxes, faces, frames = (values.sum(0) for values in counts)
                number = GRID.index(at)
                row = f"{leaks[number]:.0f} of {faces[0]:.0f} leak"
                print(f"{name:>14} {label:>7}: {row}, {false_boxes[number] / frames[0]:.2f} false")


if __name__ == "__main__":
    main()
