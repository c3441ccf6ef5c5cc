"""What the rules tell about the clips, against what happens in them.

Each clip goes through a stream's analysis as a live stream would: the same looks a second and the
same networks, only as fast as the machine can. Clips without a truth below have none: whatever is
told about them is a false alarm. Staged clips are ``bench/staged.py``'s.
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
from bench.truth import HEAD, SCORE_HEAD, Told, Truth, Verdict, judge, score

SUFFIXES = (".mp4", ".avi", ".gif")
PATIENCE_S = 60.0
SAME_IOU = 0.3

TRUTHS = {
    # A man sets a bag down at 12 s, stands over it until 19 s, is out of the picture from 22 s,
    # and passes far behind it from 28 s on.
    "left_bag_outdoor.avi": [
        Truth("bag_placed", 12.4, 20, "the man"),
        Truth("bag_unattended", 20, 27, "the man"),
        Truth("bag_abandoned", 22, 30, "the man"),
    ],
    # The cigarette shows at 0 to 3 s, hardly at 9 to 12 s, and from 17 s on.
    "smoker_webcam.mp4": [Truth("smoking_started", 0, 3), Truth("smoking_ended", 12, 30)],
}
# Where people whom a truth names are, once.
PEOPLE_OF = {"left_bag_outdoor.avi": [(11.0, "the man", Box(338, 286, 417, 475))]}


class Picture(NamedTuple):
    """One picture of a clip, and who is where in it, as far as that is known."""

    at: float
    image: av.VideoFrame
    people: Mapping[str, Box]


class Seeing(NamedTuple):
    """What came of watching a clip.

    Attributes:
        names: the people by their ids.
        counts: after each look.
    """

    told: list[Told]
    names: dict[int, str]
    counts: list[Mapping[str, int]]


class Watcher:
    """The networks, and one clip after the other through them."""

    def __init__(self, settings: ObjectSettings | None = None) -> None:
        weights = os.environ.get("WATCHPOST_OBJECTS__WEIGHTS")
        settings = settings or ObjectSettings(weights=weights, timeout_s=PATIENCE_S, max_wait=1)
        self._objects, self._network = load_objects(settings), load_faces()
        self._faces = FaceDetector(self._network, min_confidence=FaceSettings().keep_confidence)
        self._analyzers = AnalyzerFactory(settings, read_rule_settings(), self._objects)

    def watch(self, pictures: Iterator[Picture], rules: Sequence[str] = ("bags",)) -> Seeing:
        """What the analysis finds in these pictures, taken at their own times."""
        settings = FaceSettings()
        tracker = FaceTracker(start_confidence=settings.min_confidence, hold_s=settings.hold_s)
        asked: dict[str, dict[str, object]] = {name: {} for name in rules if name in RULES}
        analysis = self._analyzers.create(StreamSpec("clip", "file:", analytics=asked))
        assert analysis is not None
        seeing = Seeing([], {}, [])
        at = 0.0
        for at, image, people in pictures:
            size = (image.width, image.height)
            look = analysis.submit(at, functools.partial(to_rgb, image))
            if look is None:
                continue
            found = self._faces.submit(to_rgb(image, settings.width)).detections(PATIENCE_S, size)
            cut, see = functools.partial(part_to_rgb, image), functools.partial(to_rgb, image)
            seen = FramePixels(size, cut, see, at)
            tracks, rule_events = analysis.process(look, tracker.update(found, at), seen, size)
            _name(seeing.names, tracks, people)
            seeing.told.extend(Told(at, rule_event) for rule_event in rule_events)
            seeing.counts.append(analysis.counts)
        seeing.told.extend(Told(at, rule_event) for rule_event in analysis.end())
        return seeing

    def close(self) -> None:
        self._objects.close()
        self._network.close()


def _name(names: dict[int, str], tracks: Sequence[Track], people: Mapping[str, Box]) -> None:
    """Note whose each new track is."""
    for track in tracks:
        if track.label == "person" and track.track_id not in names and track.age_s == 0:
            iou, name = max(((track.box.iou(b), n) for n, b in people.items()), default=(0.0, ""))
            if iou >= SAME_IOU:
                names[track.track_id] = name


def run() -> None:
    """All clips, then the staged ones."""
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        print("clips: set WATCHPOST_DATA to the folder that has the clips in videos/.")
        return
    watcher = Watcher()
    rows: list[list[str]] = []
    counted: list[list[str]] = []
    verdicts: list[Verdict] = []
    for clip in sorted(p for p in (Path(data) / "videos").iterdir() if p.suffix in SUFFIXES):
        seeing = watcher.watch(_recorded(clip), ("bags", "smoking"))
        verdicts += (judged := judge(TRUTHS.get(clip.name, []), seeing.told, seeing.names))
        rows += [verdict.row(clip.name) for verdict in judged] or [[clip.name, *[""] * 4, "right"]]
        counted.append(_counted(clip.name, seeing))
    watcher.close()
    show("events in the clips", HEAD, rows)
    show("people and bags in the clips", COUNT_HEAD, counted)
    show("events in the clips, in sum", SCORE_HEAD, score(verdicts))
    run_staged()


def run_staged() -> None:
    """The staged clips alone."""
    if reason := staged.missing():
        print(f"\nstaged clips are not shown: {reason}")
        return
    watcher = Watcher()
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    for play in tqdm(staged.PLAYS, "staged", leave=False, disable=None):
        seeing = watcher.watch(acted(play))
        verdicts += (judged := judge(play.truths, seeing.told, seeing.names))
        rows += [verdict.row(play.name) for verdict in judged] or [[play.name, *[""] * 4, "right"]]
    watcher.close()
    show("events in staged clips", HEAD, rows)
    show("events in staged clips, in sum", SCORE_HEAD, score(verdicts))


def acted(play: staged.Play) -> Iterator[Picture]:
    """The pictures of a staged clip."""
    for shot in staged.shots(play):
        yield Picture(shot.at, av.VideoFrame.from_ndarray(shot.rgb, format="rgb24"), shot.people)


def _recorded(clip: Path) -> Iterator[Picture]:
    known = PEOPLE_OF.get(clip.name, [])
    with av.open(str(clip)) as container:
        for image in tqdm(container.decode(video=0), clip.name, leave=False, disable=None):
            at = image.time or 0.0
            people = {name: box for when, name, box in known if abs(at - when) < 0.3}
            yield Picture(at, image, people)


COUNT_HEAD = ["clip", "looks", "most people", "most bags", "bags, mean", "owned, mean"]


def _counted(clip: str, seeing: Seeing) -> list[str]:
    counts = seeing.counts or [{}]

    def values(kind: str) -> list[int]:
        return [count.get(kind, 0) for count in counts]

    return [
        clip,
        str(len(seeing.counts)),
        str(max(values("person"))),
        str(max(values("bag"))),
        f"{statistics.mean(values('bag')):.1f}",
        f"{statistics.mean(values('owned_bag')):.1f}",
    ]
