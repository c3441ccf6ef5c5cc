"""Face leaks: labelled faces that the blur does not hide, alone and through a stream's pipeline.

The faces are those of ``face_labels.json``, labelled by hand. A face leaks in a frame when less
than ``ENOUGH`` of its box is painted over by ``conceal``; a track leaks when its face does in any
labelled frame. Measured three ways:

    alone      each labelled frame by itself, as if it were the first of a stream
    pipeline   the clips played to each labelled frame, with motion detection and tracking
    copies     the frames turned, darkened and blurred, each by itself

    WATCHPOST_DATA=... python -m bench leaks
"""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt
from av import VideoFrame

from app.analytics.face_scanner import FaceScanner
from app.analytics.face_tracker import FaceTracker
from app.config import FaceSettings
from app.models.batching import BatchingRunner
from app.models.faces import FaceDetector, load_faces
from app.models.openvino_runtime import OpenVinoNetwork
from app.pipeline.blur import SOLID_YUV, conceal
from app.pipeline.scale import to_output, to_rgb
from app.types import Box, StreamSpec
from bench.face_labels import Face, LabelledImage, labelled_images
from bench.table import show
from bench.yunet import OUTPUTS, YuNetDetector

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

ENOUGH = 0.9  # of a face's area
ON_A_FACE = 0.1  # of the smaller box; a detection that overlaps labels by less lies on no face
SIZES = (6, 12, 24)  # pixels of the network's input, the shorter side of a box
LEAD_S = 10.0  # a clip is played from this long before a labelled frame
TIMEOUT_S = 60.0
MARGIN = StreamSpec("leaks", "file:").blur_margin
GRID = (np.arange(16) + 0.5) / 16
WHITE = 235


class Candidate(NamedTuple):
    """A face detector to measure.

    Attributes:
        load: makes it; called once.
        settings: its width and thresholds.
    """

    load: Callable[[FaceSettings], FaceDetector]
    settings: FaceSettings = FaceSettings()


class Sighting(NamedTuple):
    """A labelled face in one frame, and how much of its area was covered.

    Attributes:
        size: its shorter side in pixels of the network's input.
    """

    source: str
    kind: str
    size: float
    track: int | None
    covered: float

    @property
    def leaks(self) -> bool:
        return self.covered < ENOUGH


class Outcome(NamedTuple):
    """What became of the faces of some frames.

    Attributes:
        stray: detections that lie on no face.
    """

    sightings: list[Sighting]
    frames: int
    stray: int


# ── one frame ────────────────────────────────────────────────────────────────────────────────


def painted(size: tuple[int, int], boxes: Iterable[Box]) -> npt.NDArray[np.bool_]:
    """Return which pixels (H, W) of an image of this size (width, height) the blur covers."""
    blank = VideoFrame(*size, "yuv420p")
    for plane, value in zip(blank.planes, (WHITE, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    hidden = conceal(blank, boxes, "solid", MARGIN).image.planes[0]
    rows = np.frombuffer(hidden, np.uint8).reshape(-1, hidden.line_size)  # type: ignore[call-overload]
    return np.asarray(rows[:, : hidden.width] == SOLID_YUV[0])


def inner_points(face: Face) -> Points:
    """Return points (N, 2) spread evenly over a face."""
    x, y = face.box.x1 + face.box.width * GRID, face.box.y1 + face.box.height * GRID
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def share_painted(points: Points, mask: npt.NDArray[np.bool_]) -> float:
    """Return the share of points (N, 2) that lie on painted pixels."""
    x, y = points.astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    return float(mask[y[inside], x[inside]].sum() / len(points))


def is_stray(box: Box, faces: Sequence[Face]) -> bool:
    """Whether a detection lies on no labelled face."""
    return all(
        box.intersection(face.box) < ON_A_FACE * min(box.area, face.box.area) for face in faces
    )


class Judge:
    """Collects what became of the labelled faces.

    Args:
        width: the longer side of what the network sees.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self.outcome = Outcome([], 0, 0)

    def see(
        self,
        labels: LabelledImage,
        image: VideoFrame,
        boxes: Sequence[Box],
        move: Callable[[Points], Points] | None = None,
    ) -> None:
        """Score a frame whose ``boxes`` will be blurred; ``move`` takes labels to a copy."""
        size = to_output(image, 1.0)
        mask = painted((size.width, size.height), boxes)
        scale = min(1.0, self._width / max(image.width, image.height))
        for face in labels.faces:
            points = inner_points(face)
            if move is not None:
                points = move(points)
                if _share_inside(points, mask) < ENOUGH:
                    continue  # turned out of the frame
            side = min(face.box.width, face.box.height) * scale
            covered = share_painted(points, mask)
            self.outcome.sightings.append(
                Sighting(labels.source, face.kind, side, face.track, covered)
            )
        stray = 0 if move else sum(is_stray(box, labels.faces) for box in boxes)
        sightings, frames, before = self.outcome
        self.outcome = Outcome(sightings, frames + 1, before + stray)


def _share_inside(points: Points, mask: npt.NDArray[np.bool_]) -> float:
    return share_painted(points, np.ones_like(mask))


# ── all frames ───────────────────────────────────────────────────────────────────────────────


def frames(path: Path) -> Iterator[tuple[int, VideoFrame, float]]:
    """Decode a clip or a still: each frame's number, and its time in seconds."""
    with av.open(str(path)) as container:
        for number, image in enumerate(container.decode(video=0)):
            yield number, image, image.time if image.time is not None else number / 25


def by_source(labels: Iterable[LabelledImage]) -> dict[str, dict[int, LabelledImage]]:
    """Return the labels of each source by frame number."""
    sources: dict[str, dict[int, LabelledImage]] = defaultdict(dict)
    for labelled in labels:
        sources[labelled.source][labelled.frame] = labelled
    return sources


def labelled_frames(
    data: Path, labels: Iterable[LabelledImage]
) -> Iterator[tuple[LabelledImage, VideoFrame]]:
    """Decode the labelled frames. Raises ValueError when a source is not the labelled one."""
    for source, wanted in by_source(labels).items():
        for number, image, _ in frames(data / source):
            if number in wanted:
                if (image.width, image.height) != wanted[number].size:
                    raise ValueError(f"{source} is not the file that was labelled")
                yield wanted[number], image
            if number >= max(wanted):
                break


def alone(
    detector: FaceDetector,
    settings: FaceSettings,
    pictures: Iterable[tuple[LabelledImage, VideoFrame]],
    copy: Callable[[Image], tuple[Image, Callable[[Points], Points]]] | None = None,
) -> Outcome:
    """Score each frame, or a copy of it, as if it were the first of a stream."""
    judge = Judge(settings.width)
    for labels, original in pictures:
        image, move = original, None
        if copy is not None:
            drawn, move = copy(original.to_ndarray(format="rgb24"))  # type: ignore[arg-type]
            image = VideoFrame.from_ndarray(drawn, format="rgb24")
        pending = detector.submit(to_rgb(image, settings.width))
        found = pending.detections(TIMEOUT_S, output_size(image))
        sure = [face.box for face in found if face.confidence >= settings.min_confidence]
        judge.see(labels, image, sure, move)
    return judge.outcome


def output_size(image: VideoFrame) -> tuple[int, int]:
    """Return the size (width, height) of the frame that is blurred."""
    small = to_output(image, 1.0)
    return small.width, small.height


def through_pipeline(
    detector: FaceDetector, settings: FaceSettings, clip: Path, wanted: Mapping[int, LabelledImage]
) -> Outcome:
    """Play a clip to its last labelled frame as a stream does, and score the labelled ones."""
    judge = Judge(settings.width)
    scanner = FaceScanner(detector, settings)
    tracker = FaceTracker(start_confidence=settings.min_confidence, hold_s=settings.hold_s)
    times = {number: at for number, _, at in frames(clip) if number in wanted}
    for number, image, at in frames(clip):
        # Nothing in a stream remembers longer: a jump in time ends all tracks.
        if not any(-LEAD_S <= at - time <= 0 for time in times.values()):
            continue
        pending = scanner.submit(to_rgb(image, settings.width), at)
        faces = pending.detections(TIMEOUT_S, output_size(image))
        tracks = tracker.update(faces, at)
        if number in wanted:
            judge.see(wanted[number], image, [track.box for track in tracks])
    return judge.outcome


# ── copies ───────────────────────────────────────────────────────────────────────────────────


def turned(image: Image, degrees: float) -> tuple[Image, Callable[[Points], Points]]:
    """Turn an image about its centre, counter-clockwise; only 90 degrees change its size."""
    height, width = image.shape[:2]
    new = (height, width) if degrees == 90 else (width, height)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += (new[0] - width) / 2, (new[1] - height) / 2
    drawn = cv2.warpAffine(image, matrix, new)
    return np.asarray(drawn, np.uint8), lambda points: points @ matrix[:, :2].T + matrix[:, 2]


def dark(image: Image) -> tuple[Image, Callable[[Points], Points]]:
    """Leave a fifth of the light."""
    return (image * 0.2).astype(np.uint8), _unmoved


def blurred(image: Image) -> tuple[Image, Callable[[Points], Points]]:
    """Blur as a lens out of focus does, by a fixed share of the image's width."""
    sigma = image.shape[1] / 640
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8), _unmoved


def _unmoved(points: Points) -> Points:
    return points


COPIES: Mapping[str, Callable[[Image], tuple[Image, Callable[[Points], Points]]]] = {
    "turned by 30°": lambda image: turned(image, 30),
    "turned by −30°": lambda image: turned(image, -30),
    "turned by 90°": lambda image: turned(image, 90),
    "dark": dark,
    "blurred": blurred,
}


# ── tables ───────────────────────────────────────────────────────────────────────────────────


def size_class(size: float) -> str:
    """Return the class of a face by its size in pixels of the network's input."""
    for low, high in itertools.pairwise((0, *SIZES)):
        if size < high:
            return f"{low} to {high} px"
    return f"{SIZES[-1]} px and more"


def ratio(sightings: Sequence[Sighting]) -> str:
    """Return leaks of faces, and as a share."""
    leaks = sum(sighting.leaks for sighting in sightings)
    return f"{leaks} of {len(sightings)} ({leaks / len(sightings):.0%})" if sightings else "–"


def grouped(
    outcome: Outcome, group: Callable[[Sighting], Hashable]
) -> dict[Hashable, list[Sighting]]:
    """Return the sightings of each group."""
    groups: dict[Hashable, list[Sighting]] = defaultdict(list)
    for sighting in outcome.sightings:
        groups[group(sighting)].append(sighting)
    return groups


def leaking_tracks(outcomes: Iterable[Outcome]) -> tuple[int, int]:
    """Return how many tracks leak in any labelled frame, and how many there are."""
    tracks: dict[Hashable, bool] = defaultdict(bool)
    for outcome in outcomes:
        for sighting in outcome.sightings:
            if sighting.track is not None:
                tracks[sighting.source, sighting.track] |= sighting.leaks
    return sum(tracks.values()), len(tracks)


def source_name(source: str) -> str:
    """Return a clip's name, or the folder of a still."""
    first, *_, last = source.split("/")
    return last if first == "videos" else first


GROUPS: Mapping[str, Callable[[Sighting], Hashable]] = {
    "size": lambda sighting: size_class(sighting.size),
    "kind": lambda sighting: sighting.kind,
    "source": lambda sighting: source_name(sighting.source),
}


def table_alone(outcomes: Mapping[str, Outcome]) -> None:
    """Print leaks by size, kind and source, and the detections that lie on no face."""
    rows = [["all", *(ratio(outcome.sightings) for outcome in outcomes.values())]]
    for group in GROUPS.values():
        groups = [grouped(outcome, group) for outcome in outcomes.values()]
        names = sorted({name for found in groups for name in found}, key=_in_order)
        rows += [[str(name), *(ratio(found.get(name, [])) for found in groups)] for name in names]
    strays = [f"{o.stray / o.frames:.1f}" if o.frames else "–" for o in outcomes.values()]
    rows.append(["boxes on no face, a frame", *strays])
    show("Faces leaking, each labelled frame alone", ["faces", *outcomes], rows)


def _in_order(name: Hashable) -> tuple[int, str]:
    """Order size classes by size, and all else by name."""
    number, pixels, _ = str(name).partition(" ")
    return (int(number) if pixels and number.isdigit() else 0), str(name)


def table_pipeline(outcomes: Mapping[str, Mapping[str, Outcome]]) -> None:
    """Print leaks by frame and by track, for each clip and all of them."""
    clips = sorted({clip for found in outcomes.values() for clip in found})
    rows = []
    for clip in [*clips, "all"]:
        row = [source_name(clip)]
        for found in outcomes.values():
            parts = list(found.values()) if clip == "all" else [found[clip]]
            sightings = [sighting for part in parts for sighting in part.sightings]
            leaking, tracks = leaking_tracks(parts)
            stray = sum(p.stray for p in parts) / sum(p.frames for p in parts)
            row += [ratio(sightings), f"{leaking} of {tracks}", f"{stray:.1f}"]
        rows.append(row)
    head = ["clip"]
    for name in outcomes:
        head += [f"{name}: faces", "tracks", "boxes on no face, a frame"]
    show("Faces leaking through the whole pipeline", head, rows)


def yunet(settings: FaceSettings) -> FaceDetector:
    """Load the YuNet of ``$WATCHPOST_DATA/weights`` as it is."""
    path = Path(os.environ["WATCHPOST_DATA"]) / "weights" / "yunet_s_dynamic.onnx"
    runner = BatchingRunner(OpenVinoNetwork(path, outputs=OUTPUTS))
    return YuNetDetector(runner, min_confidence=settings.keep_confidence)


def shipped(settings: FaceSettings) -> FaceDetector:
    """Load the face detector of the server."""
    return FaceDetector(load_faces(), min_confidence=settings.keep_confidence)


CANDIDATES: Mapping[str, Candidate] = {
    "as shipped": Candidate(shipped),
    "YuNet at 0.15": Candidate(yunet),
    "YuNet at 0.3": Candidate(yunet, FaceSettings(min_confidence=0.3, keep_confidence=0.2)),
}


def run(candidates: Mapping[str, Candidate] = CANDIDATES) -> None:
    """Print the leaks of these detectors on all labelled frames."""
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        print("\nleaks are not measured: WATCHPOST_DATA names no folder with the labelled pictures")
        return
    labels = labelled_images()
    pictures = list(labelled_frames(Path(data), labels))
    detectors = {name: entry.load(entry.settings) for name, entry in candidates.items()}
    settings = {name: entry.settings for name, entry in candidates.items()}
    table_alone({n: alone(d, settings[n], pictures) for n, d in detectors.items()})
    clips = {s: w for s, w in by_source(labels).items() if s.startswith("videos/")}
    table_pipeline(
        {
            name: {
                source: through_pipeline(detector, settings[name], Path(data) / source, wanted)
                for source, wanted in clips.items()
            }
            for name, detector in detectors.items()
        }
    )
    rows = []
    for copy, draw in COPIES.items():
        found = (alone(d, settings[n], pictures, draw).sightings for n, d in detectors.items())
        rows.append([copy, *map(ratio, found)])
    show("Faces leaking in drawn copies, each alone", ["copies", *detectors], rows)


if __name__ == "__main__":
    run()
