"""Whether the smoking rule tells who smokes on stills, and where the others are lost.

Each picture of ``$WATCHPOST_DATA/cigarettes_val`` is held before a stream's analysis as an unsteady
hand would hold it: every look sees it a little moved and enlarged. People drew its cigarettes; a
picture without one must not be told about.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from av import VideoFrame
from tqdm import tqdm

from app.analytics.analyzer import AnalyzerFactory
from app.analytics.face_tracker import FaceTracker
from app.analytics.rules import FramePixels, read_rule_settings
from app.config import FaceSettings, ObjectSettings
from app.models.faces import FaceDetector, load_faces
from app.models.objects import load_objects
from app.pipeline.scale import part_to_rgb, to_rgb
from app.types import StreamSpec, Track
from bench.table import show

LOOKS = 8
STEP_S = 0.25
UNSTEADY = 0.03
PATIENCE_S = 60.0
TOLD, NO_PERSON, NO_CIGARETTE, TOO_FEW, NOT_HELD = (
    "told",
    "lost: no person was seen",
    "lost: no cigarette was seen",
    "lost: seen in too few looks, or too unsurely",
    "lost: seen, but not with anybody",
)

Image = npt.NDArray[np.uint8]


def run() -> None:
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        print("stills: set WATCHPOST_DATA to the folder that has cigarettes_val/.")
        return
    settings = ObjectSettings(timeout_s=PATIENCE_S)
    objects, network = load_objects(settings), load_faces()
    faces = FaceDetector(network, min_confidence=FaceSettings().keep_confidence)
    analyzers = AnalyzerFactory(settings, read_rule_settings(), objects)
    outcomes: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    folder = Path(data) / "cigarettes_val"
    for path in tqdm(sorted((folder / "images").iterdir()), "stills", leave=False, disable=None):
        smoked = bool((folder / "labels" / f"{path.stem}.txt").read_text(encoding="utf-8").strip())
        image = cv2.imread(str(path))
        if image is not None:
            outcomes[smoked][hold_up(np.asarray(image, np.uint8), analyzers, faces)] += 1
    objects.close()
    network.close()
    head = ["", "with a cigarette", "without"]
    rows = [
        (outcome, *(f"{outcomes[s][outcome]} of {outcomes[s].total()}" for s in (True, False)))
        for outcome in (TOLD, NO_PERSON, NO_CIGARETTE, TOO_FEW, NOT_HELD)
    ]
    show("smoking told on stills", head, rows)


def hold_up(image: Image, analyzers: AnalyzerFactory, faces: FaceDetector) -> str:
    """What becomes of one picture (H, W, 3), BGR."""
    tracker = FaceTracker(
        start_confidence=FaceSettings().min_confidence, hold_s=FaceSettings().hold_s
    )
    analysis = analyzers.create(StreamSpec("still", "file:", analytics={"smoking": {}}))
    assert analysis is not None
    chance = np.random.default_rng(0)
    seen_people = looks = 0
    tied = False
    for number in range(LOOKS):
        now, frame = number * STEP_S, _unsteady(image, chance)
        size = frame.width, frame.height
        look = analysis.submit(now, functools.partial(to_rgb, frame))
        if look is None:
            continue
        small = to_rgb(frame, FaceSettings().width)
        found = faces.submit(small).detections(PATIENCE_S, size)
        cut, see = functools.partial(part_to_rgb, frame), functools.partial(to_rgb, frame)
        seen = FramePixels(size, cut, see, now)
        tracks, rule_events = analysis.process(look, tracker.update(found, now), seen, size)
        if any(rule_event.type == "smoking_started" for rule_event in rule_events):
            return TOLD
        people = [t for t in tracks if t.label == "person" and t.age_s == 0]
        cigarettes = [t for t in tracks if t.label == "cigarette" and t.age_s == 0]
        seen_people += bool(people)
        looks += bool(cigarettes)
        tied |= any(_overlap(person, cigarette) for person in people for cigarette in cigarettes)
    if not looks:
        return NO_CIGARETTE if seen_people else NO_PERSON
    if not seen_people:
        return NO_PERSON
    return TOO_FEW if tied else NOT_HELD


def _overlap(person: Track, cigarette: Track) -> bool:
    x = (cigarette.box.x1 + cigarette.box.x2) / 2
    y = (cigarette.box.y1 + cigarette.box.y2) / 2
    return person.box.x1 <= x <= person.box.x2 and person.box.y1 <= y <= person.box.y2


def _unsteady(image: Image, chance: np.random.Generator) -> VideoFrame:
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    zoom = 1 + UNSTEADY * chance.random()
    dx, dy = (-chance.random(2) * (zoom - 1) * (width, height)).tolist()
    matrix = np.array([[zoom, 0, dx], [0, zoom, dy]], np.float32)
    moved = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return VideoFrame.from_ndarray(np.asarray(moved, np.uint8), format="bgr24").reformat(
        format="yuv420p"
    )
