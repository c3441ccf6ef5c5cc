"""What the rules tell about the clips, against what happens in them.

Each clip goes through a stream's analysis as a live stream would: the same looks a second and the
same networks, only as fast as the machine can. Clips without a truth below have none: whatever is
told about them is a false alarm.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import NamedTuple

import av
from tqdm import tqdm

from app.config import FaceSettings, ObjectSettings, Settings
from app.models.faces import FaceDetector, load_faces
from app.models.objects import load_objects
from app.pipeline.analysis import Analyst
from app.pipeline.rules import RULES, Seen
from app.pipeline.scale import part_to_rgb, to_rgb
from app.pipeline.tracker import Tracker
from app.types import Finding, StreamSpec
from bench.table import show

SUFFIXES = (".mp4", ".avi", ".gif")
PATIENCE_S = 60.0


class Truth(NamedTuple):
    """Something that happens, and when it should be told, in seconds of the clip."""

    type: str
    earliest: float
    latest: float


TRUTHS = {
    # A man sets a bag down at 12 s, stands over it until 19 s, is out of the picture from 22 s,
    # and passes far behind it from 28 s on.
    "left_bag_outdoor.avi": [
        Truth("bag_placed", 12, 20),
        Truth("bag_unattended", 20, 27),
        Truth("bag_abandoned", 22, 30),
    ],
    # The cigarette shows at 0 to 3 s, hardly at 9 to 12 s, and from 17 s on.
    "smoker_webcam.mp4": [Truth("smoking_started", 0, 3), Truth("smoking_ended", 12, 30)],
}


def run() -> None:
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        print("clips: set WATCHPOST_DATA to the folder that has the clips in videos/.")
        return
    weights = os.environ.get("WATCHPOST_OBJECTS__WEIGHTS")
    settings = ObjectSettings(weights=weights, timeout_s=PATIENCE_S)
    objects, network = load_objects(settings), load_faces()
    faces = FaceDetector(network, min_confidence=FaceSettings().keep_confidence)
    analyst = Analyst(settings, Settings().rules(), objects)
    rows: list[list[str]] = []
    for clip in sorted(p for p in (Path(data) / "videos").iterdir() if p.suffix in SUFFIXES):
        rows += compare(clip.name, watch(clip, analyst, faces))
    objects.close()
    network.close()
    show("events in the clips", ["clip", "event", "should be at", "told at", "verdict"], rows)


def compare(clip: str, told: list[tuple[float, Finding]]) -> list[list[str]]:
    """Rows of what was told and should be, in its order."""
    rows: list[list[str]] = []
    left = list(told)
    for truth in TRUTHS.get(clip, []):
        window = f"{truth.earliest:g} to {truth.latest:g} s"
        match = next((pair for pair in left if pair[1].type == truth.type), None)
        if match is None:
            rows.append([clip, truth.type, window, "never", "missed"])
            continue
        left.remove(match)
        fits = truth.earliest <= match[0] <= truth.latest
        rows.append([clip, truth.type, window, f"{match[0]:.1f} s", "right" if fits else "late"])
    rows += [[clip, f.type, "", f"{at:.1f} s", "false alarm"] for at, f in left]
    return rows or [[clip, "", "", "", "right: nothing"]]


def watch(clip: Path, analyst: Analyst, faces: FaceDetector) -> list[tuple[float, Finding]]:
    """What one clip's analysis finds, with the time in the clip."""
    settings = FaceSettings()
    tracker = Tracker(start_confidence=settings.min_confidence, hold_s=settings.hold_s)
    rules = {name: {} for name in RULES if name in ("bags", "smoking")}
    analysis = analyst.analysis(StreamSpec("clip", "file:", analytics=rules))
    assert analysis is not None
    told: list[tuple[float, Finding]] = []
    now = 0.0
    with av.open(str(clip)) as container:
        for image in tqdm(container.decode(video=0), clip.name, leave=False, disable=None):
            now, size = image.time or 0.0, (image.width, image.height)
            look = analysis.ask(now, functools.partial(to_rgb, image))
            if look is None:
                continue
            found = faces.look(to_rgb(image, settings.width)).detections(PATIENCE_S, size)
            cut, see = functools.partial(part_to_rgb, image), functools.partial(to_rgb, image)
            seen = Seen(size, cut, see, now)
            _, findings = analysis.understand(look, tracker.update(found, now), seen, size)
            told += [(now, finding) for finding in findings]
    return told + [(now, finding) for finding in analysis.end()]
