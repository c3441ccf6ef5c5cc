"""Fit what tells plates from other text, and what a reading's confidence means.

    WATCHPOST_DATA=… python -m training.plate_ranking lines FOLDER
    WATCHPOST_DATA=… python -m training.plate_ranking collect FOLDER --out FOLDER/found.json
    python -m training.plate_ranking fit FOLDER/found.json

FOLDER has a recogniser for each fold, ``plate_text0.xml`` to ``3``, that was not trained on it.
All are logistic regressions, fitted on folds 0 to 2 and scored on fold 3.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app import plate_text
from app.config import ObjectSettings
from app.models.objects import load_objects
from app.models.plates.candidates import canvas_of, crop_lines, is_legible
from app.models.plates.evidence import FoundPlate, features
from app.models.plates.line_candidates import LineCandidates, choice_features
from app.models.plates.networks import PlateNetworks, load_plates
from app.models.plates.recogniser import Recogniser
from app.models.plates.text_lines import TextLineDetector
from app.models.plates.tuning import DEFAULT_TUNING
from app.models.plates.voting import PlateLineReader, confidence_features
from bench.plate_copies import COPIES
from bench.plates import Readers, copies_of, with_network
from training.plate_lines import FOLDS, Photo, image_of, photos

Floats = npt.NDArray[np.float64]
STEPS, RIDGE = 50, 1e-2


class Choice(NamedTuple):
    """The lines of one plate, of which one is the number.

    Attributes:
        features: of each line, as ``app.models.plates.line_candidates`` has them.
        right: which of them is the number; -1 if none is.
    """

    fold: int
    kind: str
    features: list[tuple[float, ...]]
    right: int


class Row(NamedTuple):
    """Something that was found in a photo.

    Attributes:
        is_plate: it is where the photo's plate is; for a plate alone, it reads nearly like it.
        is_right: its text is right.
        evidence: the features of ``app.models.plates.evidence``.
        confidence: the features of a reading's confidence; empty without a text.
    """

    fold: int
    kind: str
    copy: str
    text: str
    is_plate: bool
    is_right: bool
    evidence: Sequence[float]
    confidence: Sequence[float]


def collect_choices(weights: Path) -> list[Choice]:
    """Return the lines of all plates."""
    rows = []
    networks: dict[int, PlateNetworks] = {}
    for photo in with_network(photos(Path(os.environ["WATCHPOST_DATA"])), weights):
        if photo.fold not in networks:
            file = weights / f"plate_text{photo.fold}.xml"
            networks[photo.fold] = load_plates(recogniser=file)
        own = networks[photo.fold]
        detector, reader = TextLineDetector(own.lines), PlateLineReader(Recogniser(own.text))
        among, image = LineCandidates(reader, DEFAULT_TUNING), image_of(photo.path)
        if photo.box is None:
            found = detector.lines(image, canvas_of(image, DEFAULT_TUNING.longest_side))
            lines = [line for line in found if is_legible(line)]
        else:
            lines = crop_lines(image, [photo.box], detector)[0]
        single = among.of_lines(lines, reader.quick_votes(image, lines) if lines else [])
        every = among.with_pairs(single)
        texts = [plate_text.shape(one.decision.text) for one in every]
        wanted = plate_text.shape(photo.text)
        right = texts.index(wanted) if wanted in texts else -1
        features = [choice_features(one, every) for one in every]
        rows.append(Choice(photo.fold, photo.kind, features, right))
    for own in networks.values():
        own.close()
    return rows


def fit_choice(rows: list[Choice]) -> None:
    """Fit a conditional logit: which of a plate's lines is its number."""
    data = [
        (row.fold, np.array(row.features), row.right)
        for row in rows
        if row.right >= 0 and len(row.features) > 1
    ]
    chosen = [(values, right) for fold, values, right in data if fold < FOLDS - 1]
    found = np.zeros(chosen[0][0].shape[1])
    for _ in range(STEPS):
        slope, curve = -RIDGE * found, RIDGE * np.eye(len(found))
        for values, right in chosen:
            p = np.exp(values @ found - (values @ found).max())
            p /= p.sum()
            mean = p @ values
            slope = slope + values[right] - mean
            curve = curve + (values * p[:, None]).T @ values - np.outer(mean, mean)
        found = found + np.clip(np.linalg.solve(curve, slope), -1, 1)
    print(f"choice: {tuple(round(float(w), 3) for w in found)} of {len(chosen)}")
    for part, last in (("folds 0 to 2", False), ("fold 3", True)):
        own = [(v, right) for fold, v, right in data if (fold == FOLDS - 1) == last]
        hit = np.mean([int((v @ found).argmax()) == right for v, right in own])
        print(f"  {part}: right {hit:.3f} of {len(own)}")
    print(f"  no line is right: {sum(row.right < 0 for row in rows)} of {len(rows)}")


def collect(weights: Path, every: int) -> list[Row]:
    """Return everything that is found in the photos and their copies."""
    objects = load_objects(ObjectSettings())
    readers, rows = Readers(objects, weights), list[Row]()
    chosen = with_network(photos(Path(os.environ["WATCHPOST_DATA"])), weights)
    with readers.stack:
        readers.stack.callback(objects.close)
        for number, photo in enumerate(chosen):
            kinds = list(COPIES) if number % every == 0 else ["as it is"]
            for kind, copy in copies_of(photo, kinds):
                size = copy.image.shape[1], copy.image.shape[0]
                for plate in readers.of(photo.fold).find(copy.image):
                    shared = plate.box.intersection(copy.box)
                    inside = shared > 0.3 * min(plate.box.area, copy.box.area)
                    rows.append(_row(photo, kind, plate, inside, size))
    return rows


def _row(photo: Photo, kind: str, plate: FoundPlate, inside: bool, size: tuple[int, int]) -> Row:
    text = plate.number.decision.text if plate.number else ""
    wanted, read = plate_text.shape(photo.text), plate_text.shape(text)
    is_right = wanted == read
    if photo.box is None:
        inside = is_right or plate_text.one_edit_apart(wanted, read)
    told: tuple[float, ...] = ()
    if plate.number is not None and text:
        told = confidence_features(plate.number.decision)
    own = features(plate, size)
    return Row(photo.fold, photo.kind, kind, text, inside, is_right, own, told)


def logistic(values: Floats, truth: Floats, weights: Floats) -> Floats:
    """Fit a logistic regression by Newton's method; the first column is 1."""
    found = np.zeros(values.shape[1])
    ridge = RIDGE * np.eye(values.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(values @ found, -30, 30)))
        slope = values.T @ (weights * (truth - p)) - ridge @ found
        curve = (values * (weights * p * (1 - p))[:, None]).T @ values + ridge
        found = found + np.linalg.solve(curve, slope)
    return found


def fit(rows: list[Row]) -> None:
    """Fit both regressions, and print their weights and scores."""
    _fit_one("evidence", [(r, r.evidence, r.is_plate) for r in rows])
    _fit_one("confidence", [(r, r.confidence, r.is_right) for r in rows if r.text and r.is_plate])


def _fit_one(name: str, data: list[tuple[Row, Sequence[float], bool]]) -> None:
    values = np.array([v for _, v, _ in data], float)
    truth = np.array([t for _, _, t in data], float)
    folds = np.array([row.fold for row, _, _ in data])
    plain = np.array([row.copy == "as it is" for row, _, _ in data])
    weights = np.where(plain, 1.0, 0.5)
    chosen = folds < FOLDS - 1
    found = logistic(values[chosen], truth[chosen], weights[chosen])
    print(f"{name}: {tuple(round(float(w), 3) for w in found)} of {len(truth)}")
    for part, own in (("folds 0 to 2", chosen), ("fold 3", ~chosen)):
        for about, some in (("as they are", own & plain), ("all", own)):
            p = 1 / (1 + np.exp(-values[some] @ found))
            loss = -np.mean(np.log(np.where(truth[some] > 0, p, 1 - p) + 1e-9))
            right = np.mean((p > 0.5) == truth[some])
            sure = p >= 0.9
            text = f"  {part}, {about}: n {some.sum()}, log loss {loss:.3f}, right {right:.3f}, "
            print(text + f"at 0.9 {truth[some][sure].mean():.3f} of {sure.sum()}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["lines", "collect", "fit"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--every", type=int, default=3, help="copies of every Nth photo")
    chosen = parser.parse_args()
    if chosen.what == "lines":
        fit_choice(collect_choices(chosen.path))
    elif chosen.what == "collect":
        chosen.out.write_text(json.dumps(collect(chosen.path, chosen.every)), encoding="utf-8")
    else:
        fit([Row(*row) for row in json.loads(chosen.path.read_text())])


if __name__ == "__main__":
    main()
