"""Events that the rules report for clips, against the ground truth.

Each clip runs through a stream's analysis like a live stream: with the same rate of inferences
and the same networks, but as fast as the machine can. In clips without ground truth below nothing
happens: every event is a false alarm. Staged clips are in ``bench/staged.py``.
"""

from __future__ import annotations

import functools
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av
from tqdm import tqdm

from app.analytics.analyzer import AnalyzerFactory
from app.analytics.face_tracker import FaceTracker
from app.analytics.rules import RULES, FramePixels, read_rule_settings
from app.config import FaceSettings, ObjectSettings
from app.models.faces import FaceDetector, load_faces
from app.models.objects import load_objects
from app.pipeline.scale import part_to_rgb, to_rgb
from app.types import Box, StreamSpec, Track
from bench import staged
from bench.table import show
from bench.truth import HEAD, SCORE_HEAD, Reported, Truth, Verdict, judge, score

SUFFIXES = (".mp4", ".avi", ".gif")
TIMEOUT_S = 60.0
SAME_IOU = 0.3

TRUTHS = {
    # A man puts a bag down at 12 s, stands by it until 19 s, is out of view from 22 s, and passes
    # far behind it from 28 s on.
    "left_bag_outdoor.avi": [
        Truth("bag_placed", 12.4, 20, "the man"),
        Truth("bag_unattended", 20, 27, "the man"),
        Truth("bag_abandoned", 22, 30, "the man"),
    ],
    # The cigarette is visible at 0 to 3 s, hardly at 9 to 12 s, and again from 17 s on.
    "smoker_webcam.mp4": [Truth("smoking_started", 0, 3), Truth("smoking_ended", 12, 30)],
}
# For each person that a truth names: a time, and the box at that time.
PEOPLE_OF = {"left_bag_outdoor.avi": [(11.0, "the man", Box(338, 286, 417, 475))]}


class ClipFrame(NamedTuple):
    """One frame of a clip, and the boxes of the people in it, as far as known."""

    at: float
    image: av.VideoFrame
    people: Mapping[str, Box]


class ClipResult(NamedTuple):
    """The results of the analysis of a clip.

    Attributes:
        events: reported events.
        names: names of people by track id.
        counts: object counts after each inference.
    """

    events: list[Reported]
    names: dict[int, str]
    counts: list[Mapping[str, int]]


class ClipAnalyzer:
    """Runs clips through the networks and rules of a stream, one after the other."""

    def __init__(self, settings: ObjectSettings | None = None) -> None:
        weights = os.environ.get("WATCHPOST_OBJECTS__WEIGHTS")
        settings = settings or ObjectSettings(weights=weights, timeout_s=TIMEOUT_S, max_wait=1)
        self._objects, self._network = load_objects(settings), load_faces()
        self._faces = FaceDetector(self._network, min_confidence=FaceSettings().keep_confidence)
        self._analyzers = AnalyzerFactory(settings, read_rule_settings(), self._objects)

    def run(self, frames: Iterator[ClipFrame], rules: Sequence[str] = ("bags",)) -> ClipResult:
        """Analyse these frames at their own timestamps."""
        settings = FaceSettings()
        tracker = FaceTracker(start_confidence=settings.min_confidence, hold_s=settings.hold_s)
        enabled: dict[str, dict[str, object]] = {name: {} for name in rules if name in RULES}
        analysis = self._analyzers.create(StreamSpec("clip", "file:", analytics=enabled))
        assert analysis is not None
        result = ClipResult([], {}, [])
        at = 0.0
        for at, image, people in frames:
            size = (image.width, image.height)
            pending = analysis.submit(at, functools.partial(to_rgb, image))
            if pending is None:
                continue
            found = self._faces.submit(to_rgb(image, settings.width)).detections(TIMEOUT_S, size)
            crop, resized = functools.partial(part_to_rgb, image), functools.partial(to_rgb, image)
            pixels = FramePixels(size, crop, resized, at)
            tracks, rule_events = analysis.process(pending, tracker.update(found, at), pixels, size)
            _name_tracks(result.names, tracks, people)
            result.events.extend(Reported(at, rule_event) for rule_event in rule_events)
            result.counts.append(analysis.counts)
        result.events.extend(Reported(at, rule_event) for rule_event in analysis.end())
        return result

    def close(self) -> None:
        """End the threads of the networks."""
        self._objects.close()
        self._network.close()


def _name_tracks(names: dict[int, str], tracks: Sequence[Track], people: Mapping[str, Box]) -> None:
    """Assign each new track to the person it overlaps."""
    for track in tracks:
        if track.label == "person" and track.track_id not in names and track.age_s == 0:
            iou, name = max(((track.box.iou(b), n) for n, b in people.items()), default=(0.0, ""))
            if iou >= SAME_IOU:
                names[track.track_id] = name


def run() -> None:
    """Print the results of all clips, then of the staged ones."""
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        print("clips are not measured: set WATCHPOST_DATA to the folder with the clips in videos/")
        return
    analyzer = ClipAnalyzer()
    rows: list[list[str]] = []
    counted: list[list[str]] = []
    verdicts: list[Verdict] = []
    for clip in sorted(p for p in (Path(data) / "videos").iterdir() if p.suffix in SUFFIXES):
        result = analyzer.run(_recorded(clip), ("bags", "smoking"))
        verdicts += (judged := judge(TRUTHS.get(clip.name, []), result.events, result.names))
        rows += [verdict.row(clip.name) for verdict in judged] or [
            [clip.name, *[""] * 4, "correct"]
        ]
        counted.append(_counted(clip.name, result))
    analyzer.close()
    show("Events in the clips", HEAD, rows)
    show("People and bags in the clips", COUNT_HEAD, counted)
    show("Events in the clips, totals", SCORE_HEAD, score(verdicts))
    run_staged()


def run_staged() -> None:
    """Print the results of the staged clips alone."""
    if reason := staged.missing():
        print(f"\nstaged clips are not measured: {reason}")
        return
    analyzer = ClipAnalyzer()
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    for scenario in tqdm(staged.SCENARIOS, "staged", leave=False, disable=None):
        result = analyzer.run(staged_frames(scenario))
        verdicts += (judged := judge(scenario.truths, result.events, result.names))
        rows += [verdict.row(scenario.name) for verdict in judged] or [
            [scenario.name, *[""] * 4, "correct"]
        ]
    analyzer.close()
    show("Events in staged clips", HEAD, rows)
    show("Events in staged clips, totals", SCORE_HEAD, score(verdicts))


def staged_frames(scenario: staged.Scenario) -> Iterator[ClipFrame]:
    """Yield the frames of a staged clip."""
    for frame in staged.frames(scenario):
        image = av.VideoFrame.from_ndarray(frame.rgb, format="rgb24")
        yield ClipFrame(frame.at, image, frame.people)


def _recorded(clip: Path) -> Iterator[ClipFrame]:
    known = PEOPLE_OF.get(clip.name, [])
    with av.open(str(clip)) as container:
        for image in tqdm(container.decode(video=0), clip.name, leave=False, disable=None):
            at = image.time or 0.0
            people = {name: box for when, name, box in known if abs(at - when) < 0.3}
            yield ClipFrame(at, image, people)


COUNT_HEAD = ["clip", "inferences", "max. people", "max. bags", "mean bags", "mean owned bags"]


def _counted(clip: str, result: ClipResult) -> list[str]:
    counts = result.counts or [{}]

    def values(kind: str) -> list[int]:
        return [count.get(kind, 0) for count in counts]

    return [
        clip,
        str(len(result.counts)),
        str(max(values("person"))),
        str(max(values("bag"))),
        f"{statistics.mean(values('bag')):.1f}",
        f"{statistics.mean(values('owned_bag')):.1f}",
    ]
