"""Face leaks: labelled faces that the blur does not hide, alone and through a stream's pipeline.

The faces are those of ``face_labels.json``, labelled by hand. A face leaks in a frame when less
than nine tenths of its box are painted over by ``conceal``; a track leaks when its face does in any
labelled frame. Measured three ways:

    alone      each labelled frame by itself, as if it were the first of a stream
    pipeline   the clips played to each labelled frame, with motion detection and tracking
    copies     the frames turned, darkened and blurred, each by itself

    WATCHPOST_DATA=... python -m bench leaks
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av import VideoFrame

from app.analytics.face_scanner import FaceScanner
from app.analytics.face_tracker import FaceTracker
from app.budget import LEVELS
from app.config import FaceSettings
from app.models.faces import FaceDetector, load_faces
from app.pipeline.blur import SOLID_YUV, conceal
from app.pipeline.scale import ScaledFrame, to_output, to_rgb
from app.types import Box, StreamSpec
from bench.copies import COPIES, Copy, Points
from bench.face_labels import Face, LabelledImage, labelled_images
from bench.leak_tables import Outcome, Sighting, ratio, table_alone, table_pipeline
from bench.table import show

Image = npt.NDArray[np.uint8]

ON_A_FACE = 0.1  # of the smaller box; a detection that overlaps labels by less lies on no face
VISIBLE = 0.9  # a face of which less is inside a turned frame does not count
LEAD_S = 10.0  # a clip is played from this long before a labelled frame
TIMEOUT_S = 60.0
MARGIN = StreamSpec("leaks", "file:").blur_margin
GRID = (np.arange(16) + 0.5) / 16
WHITE = 235


Look = Callable[[LabelledImage, VideoFrame, Sequence[Box], Sequence[Face]], None]
"""Is shown each frame with the boxes that are blurred and the faces that leak."""


class FaceVariant(NamedTuple):
    """A face detector to measure.

    Attributes:
        load: makes it; called once.
        settings: its width and thresholds.
        gap_s: for how long faces may move under their covers, as on a busy machine.
    """

    load: Callable[[FaceSettings], FaceDetector]
    settings: FaceSettings = FaceSettings()
    gap_s: float = 0.0


# ── one frame ────────────────────────────────────────────────────────────────────────────────


def output_size(image: VideoFrame) -> tuple[int, int]:
    """Return the size (width, height) of the frame that is blurred."""
    small = to_output(image, 1.0)
    return small.width, small.height


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


def within(points: Points, size: tuple[int, int]) -> Points:
    """Return the points (N, 2) that lie in an image of this size (width, height)."""
    return points[((points >= 0) & (points < size)).all(1)]


def share_painted(points: Points, mask: npt.NDArray[np.bool_]) -> float:
    """Return the share of points (N, 2) inside the image that lie on painted pixels."""
    x, y = within(points, (mask.shape[1], mask.shape[0])).astype(int).T
    return float(mask[y, x].mean())


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

    def __init__(self, width: int, look: Look | None = None) -> None:
        self._width = width
        self._look = look
        self.outcome = Outcome()

    def see(
        self,
        labels: LabelledImage,
        image: VideoFrame,
        boxes: Sequence[Box],
        move: Callable[[Points], Points] | None = None,
    ) -> None:
        """Score a frame whose ``boxes`` will be blurred; ``move`` takes labels to a copy."""
        size = output_size(image)
        mask = painted(size, boxes)
        scale = min(1.0, self._width / max(image.width, image.height))
        leaking = []
        for face in labels.faces:
            points = inner_points(face) if move is None else move(inner_points(face))
            if len(within(points, size)) < VISIBLE * len(points):
                continue
            side = min(face.box.width, face.box.height) * scale
            covered = share_painted(points, mask)
            sighting = Sighting(labels.source, face.kind, side, face.track, covered)
            self.outcome.sightings.append(sighting)
            if sighting.leaks:
                leaking.append(face)
        if move is None:
            self.outcome.stray += sum(is_stray(box, labels.faces) for box in boxes)
        self.outcome.frames += 1
        if self._look is not None:
            self._look(labels, image, boxes, leaking)


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
    copy: Callable[[Image], Copy] | None = None,
    look: Look | None = None,
) -> Outcome:
    """Score each frame, or a copy of it, as if it were the first of a stream."""
    judge = Judge(settings.width, look)
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


def through_pipeline(
    detector: FaceDetector,
    settings: FaceSettings,
    clip: Path,
    wanted: Mapping[int, LabelledImage],
    gap_s: float = 0.0,
    look: Look | None = None,
) -> Outcome:
    """Play a clip to its last labelled frame as a stream does, and score the labelled ones."""
    judge = Judge(settings.width, look)
    scanner = FaceScanner(detector, settings)
    tracker = FaceTracker(start_confidence=settings.min_confidence, hold_s=settings.hold_s)
    times = {number: at for number, _, at in frames(clip) if number in wanted}
    for number, image, at in frames(clip):
        # Tracks end where time jumps, and hardly one lives longer than this.
        if not any(-LEAD_S <= at - time <= 0 for time in times.values()):
            continue
        pending = scanner.submit(ScaledFrame(image, settings.width), at, gap_s=gap_s)
        size = output_size(image)
        tracks = tracker.update(pending.detections(TIMEOUT_S, size), at)
        if number in wanted:
            covers = [track.box for track in tracks] + pending.held_covers(size)
            judge.see(wanted[number], image, covers)
    return judge.outcome


# ── the benchmark ────────────────────────────────────────────────────────────────────────────


def shipped(settings: FaceSettings) -> FaceDetector:
    """Load the face detector of the server."""
    return FaceDetector(load_faces(), min_confidence=settings.keep_confidence)


CANDIDATES: Mapping[str, FaceVariant] = {
    "as shipped": FaceVariant(shipped),
    "on a busy machine": FaceVariant(shipped, gap_s=max(level.face_gap_s for level in LEVELS)),
    "at 0.15": FaceVariant(shipped, FaceSettings(min_confidence=0.15, keep_confidence=0.1)),
    "at 0.2": FaceVariant(shipped, FaceSettings(min_confidence=0.2, keep_confidence=0.15)),
    "at 0.3": FaceVariant(shipped, FaceSettings(min_confidence=0.3, keep_confidence=0.2)),
}


def run(candidates: Mapping[str, FaceVariant] = CANDIDATES) -> None:
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
                source: through_pipeline(
                    detector, settings[name], Path(data) / source, wanted, candidates[name].gap_s
                )
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
