"""Contact sheets of the worst misses and false alarms of each class, for visual inspection.

    python -m training.sheets WORK NETWORK OUT

A miss is a label without a detection above 0.05; the largest come first. A false alarm is a
detection that matches no label, sure or unsure; the most confident come first. Labels are green,
detections red, and each tile shows the surroundings.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.boxes import CIGARETTE, CLASSES, FACE, PLATE, Boxes, area
from training.evaluate import LOWEST, Sample, read_samples
from training.images import HELD_OUT_CLIPS
from training.network import Image, Network
from training.scores import assign, on_unsure

TILE = 200
COLUMNS = 8
ROWS = 5
ALL_BUT_GIVEN = tuple(range(FACE + 1))
LABELLED_IN = {
    "val": tuple(range(len(CLASSES))),
    "cigarettes_val": (*ALL_BUT_GIVEN, CIGARETTE),
    **{clip.split(".")[0]: ALL_BUT_GIVEN for clip in HELD_OUT_CLIPS},
}
"""The classes that are labelled in each split."""
NOT_FOUND = 0.05
GREEN, RED = (0, 200, 0), (0, 0, 255)


@dataclass(frozen=True)
class Mistake:
    """A miss or a false alarm; those with the largest `weight` come first."""

    sample: Sample
    found: Boxes
    label: int
    box: np.ndarray
    weight: float


def mistakes_in(sample: Sample, found: Boxes, label: int) -> tuple[list[Mistake], list[Mistake]]:
    """Return the misses and false alarms of one class in one image."""
    truth, seen = sample.truth.only(label).xyxy, found.only(label)
    hit = assign(seen, truth, 0.25)
    missed = np.setdiff1d(np.arange(len(truth)), hit[seen.scores >= NOT_FOUND])
    wrong = np.flatnonzero((hit < 0) & ~on_unsure(seen.xyxy, sample.unsure.only(label).xyxy))
    misses = [Mistake(sample, found, label, truth[i], float(area(truth[i]))) for i in missed]
    alarms = [Mistake(sample, found, label, seen.xyxy[i], float(seen.scores[i])) for i in wrong]
    return misses, alarms


def tile(mistake: Mistake) -> Image:
    """Draw the surroundings of a mistake, (TILE, TILE, 3)."""
    image = mistake.sample.image
    centre = (mistake.box[:2] + mistake.box[2:]) / 2
    side = max(2.5 * float((mistake.box[2:] - mistake.box[:2]).max()), 64.0)
    scale = TILE / side
    shift = np.array([TILE / 2, TILE / 2]) - centre * scale
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    canvas = cv2.warpAffine(image, matrix, (TILE, TILE), borderValue=(60, 60, 60))
    certain = mistake.found[mistake.found.scores >= NOT_FOUND]
    for boxes, colour in ((mistake.sample.truth, GREEN), (certain, RED)):
        for box in boxes.only(mistake.label).xyxy:
            x1, y1, x2, y2 = (box * scale + np.tile(shift, 2)).astype(int).tolist()
            cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, 1)
    note = f"{mistake.weight:.2f}" if mistake.weight <= 1 else f"{mistake.weight**0.5:.0f} px"
    cv2.putText(canvas, note, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 255, 255), 1)
    return np.asarray(canvas, np.uint8)


def sheet(mistakes: list[Mistake]) -> Image:
    """Arrange the worst mistakes in a grid, at most two per image."""
    chosen: list[Mistake] = []
    for mistake in sorted(mistakes, key=lambda m: -m.weight):
        if sum(m.sample.path == mistake.sample.path for m in chosen) < 2:
            chosen.append(mistake)
    tiles = [tile(m) for m in chosen[: COLUMNS * ROWS]]
    blank = np.zeros((TILE, TILE, 3), np.uint8)
    tiles += [blank] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)


def draw_sheets(work: Path, network: Network, out: Path) -> None:
    """Write OUT/misses_CLASS.png and OUT/alarms_CLASS.png."""
    out.mkdir(parents=True, exist_ok=True)
    misses: dict[int, list[Mistake]] = {i: [] for i in range(len(CLASSES))}
    alarms: dict[int, list[Mistake]] = {i: [] for i in range(len(CLASSES))}
    for split, labels in LABELLED_IN.items():
        for sample in read_samples(work, split):
            found = network.detect(sample.image, LOWEST)
            for label in labels:
                missed, wrong = mistakes_in(sample, found, label)
                if label != PLATE or len(sample.truth.only(PLATE)):
                    misses[label] += missed
                    alarms[label] += wrong
    for kind, by_class in (("misses", misses), ("alarms", alarms)):
        for label, mistakes in by_class.items():
            print(f"{kind} of {CLASSES[label]}: {len(mistakes)}")
            if mistakes:
                cv2.imwrite(str(out / f"{kind}_{CLASSES[label]}.png"), sheet(mistakes))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="the folder that training.prepare filled")
    parser.add_argument("network", type=Path, help=".pt or .xml")
    parser.add_argument("out", type=Path, help="folder for the sheets")
    parser.add_argument("--size", type=int, default=640, help="longer side in pixels")
    args = parser.parse_args()
    draw_sheets(args.work, Network(args.network, args.size), args.out)


if __name__ == "__main__":
    main()
