"""Score networks on images that were never trained on, and write one Markdown table.

    WATCHPOST_DATA=... python -m training.evaluate WORK --network new=out/watchpost.xml \
        --network first_recipe=.../first_recipe.pt --out scores.md

Cigarettes and plates were labelled by people, everything else by teacher networks: COCO's classes
by YOLOv8s, faces by CenterFace at full resolution. Boxes of which the teachers are unsure count
neither as missed nor as false.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from app.models.letterbox import padded
from app.models.tta import CROP_SIDE
from training.boxes import BAGS, CIGARETTE, CLASSES, FACE, PERSON, PLATE, Boxes
from training.faces import CenterFace
from training.images import HELD_OUT_CLIPS, read_image, yolo_labels
from training.multi_pass import detect_with_tta, refine_crops
from training.network import Image, Network
from training.scores import Scored, score

LOWEST = 0.01
"""Minimum confidence of detections for average precision."""
THRESHOLD = 0.3
MIN_FACE = 12
"""Shorter side in pixels of the smallest face that must be found."""
SURE_FACE = 0.5
WIDE_VIEW = (1920, 1080)
CROP_SIZE = 384
NO_SMOKER = ("plaza_crowd_720p", "dashcam_plates", "left_bag_outdoor", "faces_walking")

Row = tuple[str, Callable[["Results"], float]]


@dataclass(frozen=True)
class Sample:
    """An image for scoring: the file, and its sure and unsure labels in pixels."""

    path: Path
    truth: Boxes
    unsure: Boxes

    @property
    def image(self) -> Image:
        """The pixels, (H, W, 3) BGR."""
        return read_image(self.path)


def read_samples(work: Path, split: str) -> list[Sample]:
    """Read the images of one split; none if the folder is missing."""
    samples = []
    for path in sorted((work / "images" / split).glob("*.jpg")):
        height, width = read_image(path).shape[:2]
        sure, unsure = (
            read_boxes(work / kind / split / f"{path.stem}.txt", width, height)
            for kind in ("labels", "unsure")
        )
        samples.append(Sample(path, sure, unsure))
    return samples


def read_boxes(path: Path, width: int, height: int) -> Boxes:
    """Read a label file as boxes in pixels."""
    labels, corners = yolo_labels(path, width, height)
    ones = np.ones(len(labels), np.float32)
    return Boxes(corners.astype(np.float32), np.array(labels, int), ones)


@dataclass
class EvaluationSet:
    """All images on which networks are scored, read once."""

    work: Path
    clips: list[Sample] = field(init=False)
    val: list[Sample] = field(init=False)
    cigarettes: list[Sample] = field(init=False)

    def __post_init__(self) -> None:
        self.val = read_samples(self.work, "val")
        self.cigarettes = read_samples(self.work, "cigarettes_val")
        names = [clip.split(".")[0] for clip in HELD_OUT_CLIPS]
        self.clips = [s for name in names for s in read_samples(self.work, name)]

    @cached_property
    def faces(self) -> list[Boxes]:
        """CenterFace's confident faces of at least `MIN_FACE` pixels in the frames of the clips."""
        teacher = CenterFace()
        found = [teacher.detect(s.image, SURE_FACE) for s in self.clips]
        return [b[(b.xyxy[:, 2:] - b.xyxy[:, :2]).min(1, initial=1e9) >= MIN_FACE] for b in found]


class Results:
    """One network's detections on the whole evaluation set."""

    def __init__(self, name: str, path: Path, size: int, data: EvaluationSet) -> None:
        print(f"{name} at {size}", flush=True)
        self.name, self.data = name, data
        self.network, self.crop_network = Network(path, size), Network(path, CROP_SIZE)
        self.tta_network = Network(path, padded(CROP_SIDE * size))
        self.classes = set(self.network.to_class.tolist())
        self.clips = [self.network.detect(s.image, LOWEST) for s in data.clips]
        self.val = [self.network.detect(s.image, LOWEST) for s in data.val]
        self.cigarettes = [self.network.detect(s.image, LOWEST) for s in data.cigarettes]

    @cached_property
    def two_passes(self) -> list[Boxes]:
        """Cigarettes in the cigarette images after the second pass on crops."""
        return [self.refine(s.image, b) for s, b in self.pairs]

    @cached_property
    def tta(self) -> list[Boxes]:
        """Cigarettes in the cigarette images with test-time augmentation."""
        return [self.augment(s.image, b) for s, b in self.pairs]

    @property
    def pairs(self) -> list[tuple[Sample, Boxes]]:
        """The cigarette images with the detections of the first pass."""
        return list(zip(self.data.cigarettes, self.cigarettes, strict=True))

    def refine(self, image: Image, found: Boxes) -> Boxes:
        """Add the second pass's cigarettes to the detections of the first pass."""
        scale = self.network.size / max(image.shape[:2])
        return refine_crops(found, image, scale, self.crop_network, LOWEST)

    def augment(self, image: Image, found: Boxes) -> Boxes:
        """Fuse the first pass with the other passes of test-time augmentation."""
        return detect_with_tta(found, image, self.network, self.tta_network, LOWEST)

    @cached_property
    def wide(self) -> tuple[list[Boxes], list[Boxes], list[Boxes], list[Boxes]]:
        """Cigarettes in wide views of every second cigarette image: labels, detections of one
        pass, of two passes, and with test-time augmentation."""
        truth, one_pass, two_passes, tta = [], [], [], []
        for sample in self.data.cigarettes[::2]:
            view, labels = wide_view(sample)
            found = self.network.detect(view, LOWEST)
            truth.append(labels.only(CIGARETTE))
            one_pass.append(found.only(CIGARETTE))
            two_passes.append(self.refine(view, found).only(CIGARETTE))
            tta.append(self.augment(view, found))
        return truth, one_pass, two_passes, tta

    def knows(self, *labels: int) -> bool:
        """Whether the network detects all of these classes."""
        return self.classes.issuperset(labels)


def wide_view(sample: Sample) -> tuple[Image, Boxes]:
    """Place an image, at its own size, at a random position on a grey 1920x1080 canvas."""
    image = sample.image
    width, height = WIDE_VIEW
    rng = np.random.default_rng(sum(sample.path.stem.encode()))
    view = np.full((height, width, 3), 114, np.uint8)
    left = int(rng.integers(0, width - image.shape[1] + 1))
    top = int(rng.integers(0, height - image.shape[0] + 1))
    view[top : top + image.shape[0], left : left + image.shape[1]] = image
    return view, sample.truth.shifted(left, top)


def scored(
    found: Sequence[Boxes], samples: Sequence[Sample], min_iou: float, *labels: int
) -> Scored:
    """Score these classes as if they were one."""
    return score(
        [b.only(*labels) for b in found],
        [s.truth.only(*labels) for s in samples],
        [s.unsure.only(*labels) for s in samples],
        min_iou,
    )


def face_recall(results: Results, min_iou: float, threshold: float) -> float:
    """Return the share of CenterFace's faces in the clips that the network finds."""
    nothing = [b[:0] for b in results.clips]
    faces = [b.only(FACE) for b in results.clips]
    return score(faces, results.data.faces, nothing, min_iou).recall(threshold)


def plates(results: Results, source: str) -> Scored:
    """Score plates at IoU 0.5 on the held-out photos, or dash-cam images."""
    is_dashcam = [s.path.stem.startswith("plate_boxes") for s in results.data.val]
    has_plate = [len(s.truth.only(PLATE)) > 0 for s in results.data.val]
    wanted = [p and d == (source == "dashcam") for p, d in zip(has_plate, is_dashcam, strict=True)]
    found = [b for b, w in zip(results.val, wanted, strict=True) if w]
    samples = [s for s, w in zip(results.data.val, wanted, strict=True) if w]
    return scored(found, samples, 0.5, PLATE)


def wide_recall(results: Results, column: int, threshold: float) -> float:
    """Return the recall of cigarettes at IoU 0.25 in the wide views; see ``Results.wide``."""
    truth = results.wide[0]
    return score(results.wide[column], truth, [b[:0] for b in truth], 0.25).recall(threshold)


def false_alarms(results: Results, threshold: float) -> float:
    """Return the cigarettes detected per 100 frames of the clips in which nobody smokes."""
    without_smokers = [
        b
        for b, s in zip(results.clips, results.data.clips, strict=True)
        if s.path.parent.name in NO_SMOKER
    ]
    alarms = sum(int((b.only(CIGARETTE).scores >= threshold).sum()) for b in without_smokers)
    return 100 * alarms / len(without_smokers)


def cigarette_rows(threshold: float) -> list[Row]:
    """Scores on `cigarettes_val` and in wide views, and false alarms where nobody smokes."""

    def of(results: Results, min_iou: float, found: Sequence[Boxes] | None = None) -> Scored:
        detections = results.cigarettes if found is None else found
        return scored(detections, results.data.cigarettes, min_iou, CIGARETTE)

    rows = [
        ("AP at IoU 0.25", lambda r: of(r, 0.25).average_precision),
        ("AP at IoU 0.5", lambda r: of(r, 0.5).average_precision),
        ("AP at IoU 0.25, TTA", lambda r: of(r, 0.25, r.tta).average_precision),
        ("AP at IoU 0.5, TTA", lambda r: of(r, 0.5, r.tta).average_precision),
        ("AP at IoU 0.25, two passes", lambda r: of(r, 0.25, r.two_passes).average_precision),
        ("precision at threshold", lambda r: of(r, 0.25).precision(threshold)),
        ("recall at threshold", lambda r: of(r, 0.25).recall(threshold)),
        ("precision, TTA", lambda r: of(r, 0.25, r.tta).precision(threshold)),
        ("recall, TTA", lambda r: of(r, 0.25, r.tta).recall(threshold)),
        ("precision, two passes", lambda r: of(r, 0.25, r.two_passes).precision(threshold)),
        ("recall, two passes", lambda r: of(r, 0.25, r.two_passes).recall(threshold)),
        ("threshold for precision 0.85", lambda r: of(r, 0.25).threshold_for(0.85)),
        ("recall there", lambda r: of(r, 0.25).recall(of(r, 0.25).threshold_for(0.85))),
        ("wide view: recall, one pass", lambda r: wide_recall(r, 1, threshold)),
        ("wide view: recall, two passes", lambda r: wide_recall(r, 2, threshold)),
        ("wide view: recall, TTA", lambda r: wide_recall(r, 3, threshold)),
        ("false alarms per 100 frames", lambda r: false_alarms(r, threshold)),
    ]
    return [(f"cigarette: {text}", only_if(CIGARETTE, value)) for text, value in rows]


def object_rows() -> list[Row]:
    """AP at IoU 0.5 against YOLOv8s on the frames of the held-out clips."""

    def ap(*labels: int) -> Callable[[Results], float]:
        return lambda r: scored(r.clips, r.data.clips, 0.5, *labels).average_precision

    singles: list[Row] = [
        (f"clips: {CLASSES[i]} AP at IoU 0.5", only_if(i, ap(i))) for i in range(FACE)
    ]
    return [*singles, ("clips: any bag AP at IoU 0.5", ap(*BAGS))]


def face_and_plate_rows(threshold: float) -> list[Row]:
    """Recall of faces against CenterFace, and scores of plates against people's labels."""

    def faces(min_iou: float, at: float) -> Callable[[Results], float]:
        return only_if(FACE, lambda r: face_recall(r, min_iou, at))

    def plate_rows(source: str, text: str) -> list[Row]:
        rows = [
            ("recall (IoU 0.5, threshold)", lambda r: plates(r, source).recall(threshold)),
            ("recall (IoU 0.5, confidence 0.1)", lambda r: plates(r, source).recall(0.1)),
            ("precision at threshold", lambda r: plates(r, source).precision(threshold)),
            ("AP at IoU 0.5", lambda r: plates(r, source).average_precision),
        ]
        return [(f"{text}: plate {what}", only_if(PLATE, value)) for what, value in rows]

    return [
        (f"clips: face ≥ {MIN_FACE} px recall (IoU 0.5, threshold)", faces(0.5, threshold)),
        (f"clips: face ≥ {MIN_FACE} px recall (IoU 0.3, threshold)", faces(0.3, threshold)),
        (f"clips: face ≥ {MIN_FACE} px recall (IoU 0.3, confidence 0.1)", faces(0.3, 0.1)),
        *plate_rows("photos", "photos"),
        *plate_rows("dashcam", "dash cam"),
    ]


def validation_rows() -> list[Row]:
    """AP at IoU 0.5 on the validation split, and of persons and faces in `cigarettes_val`."""

    def val(label: int) -> Callable[[Results], float]:
        return only_if(label, lambda r: scored(r.val, r.data.val, 0.5, label).average_precision)

    def portraits(label: int) -> Callable[[Results], float]:
        return only_if(
            label,
            lambda r: scored(r.cigarettes, r.data.cigarettes, 0.5, label).average_precision,
        )

    return [
        *((f"val: {name} AP at IoU 0.5", val(i)) for i, name in enumerate(CLASSES)),
        *((f"cigarettes_val: {CLASSES[i]} AP at IoU 0.5", portraits(i)) for i in (PERSON, FACE)),
    ]


def only_if(label: int, value: Callable[[Results], float]) -> Callable[[Results], float]:
    """Return the value for networks with this class, NaN for the others."""
    return lambda r: value(r) if r.knows(label) else float("nan")


def table(results: Sequence[Results], rows: Sequence[Row]) -> str:
    """Format a Markdown table with a row per score and a column per network."""
    lines = [
        "| score | " + " | ".join(r.name for r in results) + " |",
        "|---|" + "---:|" * len(results),
    ]
    for text, value in rows:
        cells = (value(r) for r in results)
        shown = " | ".join("–" if np.isnan(v) else f"{v:.3f}" for v in cells)
        lines.append(f"| {text} | {shown} |")
    return "\n".join(lines) + "\n"


def evaluate(work: Path, networks: dict[str, Path], size: int, threshold: float) -> str:
    """Return the whole table for these networks."""
    data = EvaluationSet(work)
    results = [Results(name, path, size, data) for name, path in networks.items()]
    rows = (
        cigarette_rows(threshold)
        + object_rows()
        + face_and_plate_rows(threshold)
        + validation_rows()
    )
    counts = f"{len(data.cigarettes)} cigarette images, {len(data.clips)} frames of held-out "
    counts += f"clips, {len(data.val)} images of the validation split"
    return f"Input {size}, threshold {threshold}, {counts}.\n\n" + table(results, rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="the folder that training.prepare filled")
    parser.add_argument("--network", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--size", type=int, default=640, help="longer side in pixels")
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    networks = {n: Path(p) for n, p in (pair.split("=", 1) for pair in args.network)}
    text = evaluate(args.work, networks, args.size, args.threshold)
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
