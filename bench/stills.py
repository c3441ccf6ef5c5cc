"""The smoking rule on still images: how many smokers it reports, and why it misses the others.

Each image of ``$WATCHPOST_DATA/cigarettes_val`` is shown to a stream's analysis as if held in an
unsteady hand: every frame is shifted and enlarged slightly. Cigarettes were labelled by people; an
image without one must cause no event.
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

INFERENCES = 8
STEP_S = 0.25
UNSTEADY = 0.03
TIMEOUT_S = 60.0
REPORTED, NO_PERSON, NO_CIGARETTE, TOO_FEW, NOT_HELD = (
    "reported",
    "missed: no person detected",
    "missed: no cigarette detected",
    "missed: detected in too few frames, or with too low confidence",
    "missed: detected, but not near a person",
)

Image = npt.NDArray[np.uint8]


def run() -> None:
    """Print the outcomes of all images, with and without a cigarette."""
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        print("stills are not measured: set WATCHPOST_DATA to the folder with cigarettes_val/")
        return
    settings = ObjectSettings(timeout_s=TIMEOUT_S)
    objects, network = load_objects(settings), load_faces()
    faces = FaceDetector(network, min_confidence=FaceSettings().keep_confidence)
    analyzers = AnalyzerFactory(settings, read_rule_settings(), objects)
    outcomes: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    folder = Path(data) / "cigarettes_val"
    for path in tqdm(sorted((folder / "images").iterdir()), "stills", leave=False, disable=None):
        smoked = bool((folder / "labels" / f"{path.stem}.txt").read_text(encoding="utf-8").strip())
        image = cv2.imread(str(path))
        if image is not None:
            outcomes[smoked][analyse(np.asarray(image, np.uint8), analyzers, faces)] += 1
    objects.close()
    network.close()
    head = ["", "with a cigarette", "without"]
    rows = [
        (outcome, *(f"{outcomes[s][outcome]} of {outcomes[s].total()}" for s in (True, False)))
        for outcome in (REPORTED, NO_PERSON, NO_CIGARETTE, TOO_FEW, NOT_HELD)
    ]
    show("Smoking events on still images", head, rows)


def analyse(image: Image, analyzers: AnalyzerFactory, faces: FaceDetector) -> str:
    """Return the outcome of one image (H, W, 3), BGR."""
    tracker = FaceTracker(
        start_confidence=FaceSettings().min_confidence, hold_s=FaceSettings().hold_s
    )
    analysis = analyzers.create(StreamSpec("still", "file:", analytics={"smoking": {}}))
    assert analysis is not None
    rng = np.random.default_rng(0)
    frames_with_people = frames_with_cigarettes = 0
    near = False
    for number in range(INFERENCES):
        now, frame = number * STEP_S, _unsteady(image, rng)
        size = frame.width, frame.height
        pending = analysis.submit(now, functools.partial(to_rgb, frame))
        if pending is None:
            continue
        small = to_rgb(frame, FaceSettings().width)
        found = faces.submit(small).detections(TIMEOUT_S, size)
        crop, resized = functools.partial(part_to_rgb, frame), functools.partial(to_rgb, frame)
        pixels = FramePixels(size, crop, resized, now)
        tracks, rule_events = analysis.process(pending, tracker.update(found, now), pixels, size)
        if any(rule_event.type == "smoking_started" for rule_event in rule_events):
            return REPORTED
        people = [t for t in tracks if t.label == "person" and t.age_s == 0]
        cigarettes = [t for t in tracks if t.label == "cigarette" and t.age_s == 0]
        frames_with_people += bool(people)
        frames_with_cigarettes += bool(cigarettes)
        near |= any(_overlap(person, cigarette) for person in people for cigarette in cigarettes)
    if not frames_with_cigarettes:
        return NO_CIGARETTE if frames_with_people else NO_PERSON
    if not frames_with_people:
        return NO_PERSON
    return TOO_FEW if near else NOT_HELD


def _overlap(person: Track, cigarette: Track) -> bool:
    x = (cigarette.box.x1 + cigarette.box.x2) / 2
    y = (cigarette.box.y1 + cigarette.box.y2) / 2
    return person.box.x1 <= x <= person.box.x2 and person.box.y1 <= y <= person.box.y2


def _unsteady(image: Image, rng: np.random.Generator) -> VideoFrame:
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    zoom = 1 + UNSTEADY * rng.random()
    dx, dy = (-rng.random(2) * (zoom - 1) * (width, height)).tolist()
    matrix = np.array([[zoom, 0, dx], [0, zoom, dy]], np.float32)
    moved = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return VideoFrame.from_ndarray(np.asarray(moved, np.uint8), format="bgr24").reformat(
        format="yuv420p"
    )
