"""Compare face networks, and choose their confidences, on pictures that none was trained on.

    WATCHPOST_DATA=... python -m training.score_faces WORK shipped=app/models/weights/yunet.xml \
        trained=WORK/faces_04000.pt

The faces are those of ``label_faces``, so these numbers only choose; what is reported is counted on
faces labelled by hand (``python -m bench leaks``). A face leaks when the boxes, with the blur's
margin, cover less than nine tenths of it. A box is false when it lies on no face, sure or unsure.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from tqdm import tqdm

from app.models.faces import HUGE, LARGE, decode
from training.boxes import Array, area, intersection
from training.export_faces import SOURCE, read_yunet
from training.face_copies import Mix, Sample, quarter_turned, resized, sides, tilted, worsened
from training.face_samples import SampleSource, read_picture
from training.images import data_root
from training.label_faces import LabelledPicture, read_labels
from training.network import Compiled
from training.train_faces import VALIDATION_FOLDS, as_batch, load_trained
from training.yunet import into_openvino

LOWEST = 0.03
MARGIN, ENOUGH, ON_A_FACE = 0.25, 0.9, 0.1
GRID = (np.arange(16) + 0.5) / 16
CLASSES = ((5, 12), (12, 24), (24, 10_000))
CROWDS = 120
PADDING = 96
WIDE = 960
NO_MIX = Mix(tilted=0, quarter_turned=0, mask=0, dark=0, grey=0, blurred=0, noisy=0, compressed=0)
DARK, BLURRED = Mix(**{**vars(NO_MIX), "dark": 1.0}), Mix(**{**vars(NO_MIX), "blurred": 1.0})


@dataclass(frozen=True)
class Bounds:
    """The confidences that a box needs: in general, from LARGE, and from HUGE pixels on."""

    small: float = 0.15
    large: float = 0.2
    huge: float = 0.4

    def enough(self, boxes: Array, scores: Array) -> NDArray[np.bool_]:
        """Return which boxes (N, 4) are confident enough."""
        side = sides(boxes)
        needed = np.select([side >= HUGE, side >= LARGE], [self.huge, self.large], self.small)
        return np.asarray(scores >= np.maximum(needed, self.small))


@dataclass(frozen=True)
class Frame:
    """What a network saw in one sample, and how much of each face the single boxes cover.

    Attributes:
        group: near duplicates share it, and a crowd the one of any picture.
        covers: (faces, boxes, points) whether a point of a face lies in a box.
        stray: (boxes,) whether a box lies on no face.
    """

    group: int
    boxes: Array
    scores: Array
    face_sides: Array
    covers: NDArray[np.bool_]
    stray: NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    """Leaks and faces of each size class, false boxes and large ones among them, a frame."""

    leaks: tuple[int, ...]
    faces: tuple[int, ...]
    stray: float
    large: float


def copies(pictures: Sequence[LabelledPicture], root: Path) -> dict[str, Iterable[Sample]]:
    """Return the sets of samples that are scored."""

    def stills() -> Iterator[Sample]:
        return (read_picture(root, picture) for picture in pictures)

    source = SampleSource(root, pictures, seed=1, mix=NO_MIX)
    rng = np.random.default_rng(2)
    return {
        "as they are": stills(),
        "wide": (resized(s, WIDE / max(s.image.shape[:2])) for s in stills()),
        "crowds": (source.crowd() for _ in range(CROWDS)),
        "turned by 90°": (quarter_turned(s) for s in stills()),
        "turned by 30°": (tilted(s, 30) for s in stills()),
        "dark": (Sample(worsened(s.image, rng, DARK), s.faces, s.unsure) for s in stills()),
        "blurred": (Sample(worsened(s.image, rng, BLURRED), s.faces, s.unsure) for s in stills()),
    }


def look(network: Compiled, sample: Sample, group: int) -> Frame:
    """Detect the faces of a sample."""
    height, width = sample.image.shape[:2]
    pads = (0, -height % PADDING), (0, -width % PADDING), (0, 0)
    padded = Sample(np.pad(sample.image, pads), sample.faces, sample.unsure)
    outputs = network(as_batch([padded]).contiguous().numpy())
    boxes, scores = decode([output[0] for output in outputs], LOWEST)
    x = sample.faces[:, 0:1] + (sample.faces[:, 2:3] - sample.faces[:, 0:1]) * GRID
    y = sample.faces[:, 1:2] + (sample.faces[:, 3:4] - sample.faces[:, 1:2]) * GRID
    margin = np.tile((boxes[:, 2:] - boxes[:, :2]) * MARGIN, 2) * [-1, -1, 1, 1]
    grown = boxes + margin
    in_x = (x[:, None] >= grown[:, 0, None]) & (x[:, None] <= grown[:, 2, None])
    in_y = (y[:, None] >= grown[:, 1, None]) & (y[:, None] <= grown[:, 3, None])
    covers = (in_y[..., :, None] & in_x[..., None, :]).reshape(*in_x.shape[:2], GRID.size**2)
    known = np.concatenate([sample.faces, sample.unsure])
    smaller = np.minimum(area(boxes)[:, None], area(known)[None])
    stray = (intersection(boxes, known) < ON_A_FACE * smaller).all(1)
    return Frame(group, boxes, scores, sides(sample.faces), covers, np.asarray(stray))


def leaking(frame: Frame, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which faces leak if only these boxes are covered."""
    return np.asarray(frame.covers[:, kept].any(1).mean(1) < ENOUGH)


def score(frames: Sequence[Frame], bounds: Bounds) -> Score:
    """Count leaks and false boxes at these confidences."""
    leaks, faces = np.zeros(len(CLASSES), int), np.zeros(len(CLASSES), int)
    stray = large = 0
    for frame in frames:
        kept = bounds.enough(frame.boxes, frame.scores)
        leak = leaking(frame, kept)
        for number, (low, high) in enumerate(CLASSES):
            here = (frame.face_sides >= low) & (frame.face_sides < high)
            faces[number] += here.sum()
            leaks[number] += (here & leak).sum()
        false = kept & frame.stray
        stray += int(false.sum())
        large += int((false & (sides(frame.boxes) >= LARGE)).sum())
    count = max(len(frames), 1)
    return Score(tuple(leaks.tolist()), tuple(faces.tolist()), stray / count, large / count)


def load(path: Path, published: Path) -> Compiled:
    """Load a network from OpenVINO's or torch's file."""
    model = read_yunet(published) if path.suffix == ".pt" else ov.Core().read_model(path)
    if path.suffix == ".pt":
        into_openvino(load_trained(path), model)
    return Compiled(model, threads=1)


def see_all(
    network: Compiled, sets: Mapping[str, Iterable[Sample]], groups: Sequence[int]
) -> dict[str, list[Frame]]:
    """Detect in all samples of all sets, made of pictures of these groups."""
    return {
        name: [
            look(network, sample, groups[number % len(groups)])
            for number, sample in enumerate(tqdm(samples, name, leave=False, disable=None))
        ]
        for name, samples in sets.items()
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("networks", nargs="+", help="NAME=FILE")
    parser.add_argument("--at", type=float, nargs=3, action="append", metavar=("S", "L", "H"))
    parser.add_argument("--most", type=int, default=250, help="number of pictures")
    arguments = parser.parse_args()
    root = data_root()
    labels = [p for p in read_labels(arguments.work) if p.fold in VALIDATION_FOLDS]
    labels = labels[: arguments.most]
    for entry in arguments.networks:
        name, file = entry.split("=", 1)
        network = load(Path(file), root / "weights" / SOURCE)
        seen = see_all(network, copies(labels, root), [p.group for p in labels])
        for at in arguments.at or [(0.15, 0.2, 0.4)]:
            print(f"\n{name} at {at}")
            for copy, frames in seen.items():
                result = score(frames, Bounds(*at))
                counts = zip(result.leaks, result.faces, strict=True)
                row = "".join(f"{f'{leaks} of {faces}':>14}" for leaks, faces in counts)
                print(f"{copy:>14}{row}{result.stray:8.2f}{result.large:8.2f}")


if __name__ == "__main__":
    main()
