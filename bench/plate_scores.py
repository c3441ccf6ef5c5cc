"""Scores of plate reading: accuracy by fold, what is found, false plates, calibration, time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app import plate_text
from app.types import Box
from bench.table import show

BINS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)
SURE = 0.9
AS_IT_IS = "as it is"
OTHER_PLATES: dict[str, list[list[float]]] = json.loads(
    Path(__file__).with_name("other_plates.json").read_text(encoding="utf-8")
)
"""Plates of other vehicles, which labels leave out: those that were told and then looked at."""


class PhotoResult(NamedTuple):
    """The result of one photo.

    Attributes:
        kind: ``us``, ``eu``, ``br`` or ``crops``.
        copy: how it was made worse; see ``bench.plate_copies``.
        box: where its plate is, as x1, y1, x2, y2.
        ms: how long it took to read; ``plain_ms`` the same for RapidOCR.
    """

    name: str
    kind: str
    fold: int
    copy: str
    truth: str
    box: list[float]
    texts: list[str]
    confidences: list[float]
    boxes: list[list[float]]
    ms: float
    plain_ms: float

    @property
    def first(self) -> str:
        """The first text, or an empty one."""
        return self.texts[0] if self.texts else ""

    @property
    def confidence(self) -> float:
        """The confidence of the first text."""
        return self.confidences[0] if self.confidences else 0.0

    @property
    def strict(self) -> bool:
        """Whether the first text is exactly right."""
        return self.first == self.truth

    @property
    def alike(self) -> bool:
        """Whether the first text is right, look-alike characters taken as equal."""
        return plate_text.shape(self.first) == plate_text.shape(self.truth)

    @property
    def found(self) -> bool:
        """Whether there is a result where the plate is, readable or not."""
        return any(_overlap(Box(*box), Box(*self.box)) for box in self.boxes)

    @property
    def has_extra(self) -> bool:
        """Whether there is a result where no plate is; in copies, of another vehicle's, too."""
        if self.kind == "crops":
            return len(self.texts) > 1
        known = [self.box, *(OTHER_PLATES.get(self.name, []) if self.copy == AS_IT_IS else [])]
        return any(not any(_overlap(Box(*box), Box(*one)) for one in known) for box in self.boxes)


def _overlap(box: Box, truth: Box) -> bool:
    width = min(box.x2, truth.x2) - max(box.x1, truth.x1)
    height = min(box.y2, truth.y2) - max(box.y1, truth.y1)
    shared = max(0.0, width) * max(0.0, height)
    return shared > 0.3 * min(box.width * box.height, truth.width * truth.height)


def report(results: Sequence[PhotoResult], folds: int) -> None:
    """Print everything about some results."""
    plain = [result for result in results if result.copy == AS_IT_IS]
    _accuracy(plain, folds)
    if len(plain) < len(results):
        _copies(results)
    for name, own in (
        ("photos and crops as they are", plain),
        ("with copies", results if len(plain) < len(results) else []),
        ("with copies, fold 3", [r for r in results if r.fold == folds - 1]),
    ):
        if own:
            reliability(name, own)
    _times(plain)
    print("\nmisses (truth, read, confidence):")
    for result in plain:
        if not result.alike:
            read = [f"{t} {c:.2f}" for t, c in zip(result.texts, result.confidences, strict=True)]
            print(f"  {result.fold} {result.name} {result.truth} {read}")


def _accuracy(results: Sequence[PhotoResult], folds: int) -> None:
    rows = []
    for kind in sorted({result.kind for result in results}):
        own = [result for result in results if result.kind == kind]
        by_fold = [share([r.alike for r in own if r.fold == fold]) for fold in range(folds)]
        rows.append(
            [
                kind,
                str(len(own)),
                share([r.alike for r in own]),
                " ".join(by_fold),
                share([r.strict for r in own]),
                share([r.found for r in own]),
                f"{sum(r.has_extra for r in own)}",
            ]
        )
    head = ["photos", "n", "look-alikes equal", "by fold", "strict", "found", "with no plate"]
    show("Accuracy of plate reading", head, rows)


def _copies(results: Sequence[PhotoResult]) -> None:
    rows = []
    for copy in dict.fromkeys(result.copy for result in results):
        own = [r for r in results if r.copy == copy and r.kind != "crops"]
        if own:
            wrong = sum(r.confidence >= SURE and not r.alike for r in own)
            rows.append(
                [
                    copy,
                    str(len(own)),
                    share([r.found for r in own]),
                    share([r.alike for r in own]),
                    str(wrong),
                    f"{sum(r.has_extra for r in own)}",
                ]
            )
    head = ["copies", "n", "found", "right", f"wrong at {SURE}", "with no plate"]
    show("Copies made worse", head, rows)


def reliability(name: str, results: Sequence[PhotoResult]) -> None:
    """Print a row for each bin of confidence, and the expected calibration error."""
    results = [result for result in results if result.first]
    confidences = np.array([result.confidence for result in results])
    correct = np.array([result.alike for result in results])
    rows, error = [], 0.0
    for low, high in itertools.pairwise(BINS):
        inside = (confidences >= low) & (confidences < high)
        if inside.any():
            mean, right = float(confidences[inside].mean()), float(correct[inside].mean())
            error += abs(mean - right) * inside.mean()
            label = f"{low:.2f} to {min(high, 1):.2f}"
            rows.append([label, str(inside.sum()), f"{mean:.2f}", f"{100 * right:.1f} %"])
    sure = confidences >= SURE
    rows.append([f"{SURE} or more", str(sure.sum()), "", share(list(correct[sure]))])
    rows.append(["expected calibration error", "", f"{error:.3f}", ""])
    head = ["confidence", "n", "mean confidence", "accuracy"]
    show(f"Calibration, {name}", head, rows)


def _times(results: Sequence[PhotoResult]) -> None:
    warm = results[10:]
    if not warm:
        return

    def line(name: str, of: Callable[[PhotoResult], float], own: Iterable[PhotoResult]) -> None:
        p50, p95 = np.percentile([of(result) for result in own], [50, 95])
        print(f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms ({p95 / max(p50, 1e-9):.1f} times)")

    print()
    for name, whole in (("photos", True), ("crops", False)):
        own = [result for result in warm if (result.kind != "crops") == whole]
        if own:
            line(f"time of {name}", lambda result: result.ms, own)
            if own[0].plain_ms > 1:
                line("  plain RapidOCR", lambda result: result.plain_ms, own)


def share(flags: Sequence[bool]) -> str:
    """A share as a percentage."""
    return f"{100 * float(np.mean(flags)):.1f} %" if len(flags) else "-"
