"""The second look over a frame for scoring: which parts, and what is one, is the server's code."""

from __future__ import annotations

from app.models.overlap import merged
from app.models.second_look import MIN_PERSON, windows
from app.types import Box, Detection
from training.boxes import CIGARETTE, CLASSES, PERSON, Boxes
from training.network import Image, Network


def second_look(
    whole: Boxes, image: Image, frame_scale: float, close: Network, min_confidence: float
) -> Boxes:
    """Add to `whole`, the detections of a frame, the cigarettes that `close` sees in its crops.

    `frame_scale` is by how much the first look shrank the frame.
    """
    size = image.shape[1], image.shape[0]
    people = whole.only(PERSON)
    parts = windows(
        [Box(*map(float, person)) for person in people[people.scores >= MIN_PERSON].xyxy],
        size,
        seen_longest=round(frame_scale * max(size)),
        close_size=close.size,
    )
    found = [whole]
    for x1, y1, x2, y2 in parts:
        seen = close.detect(image[y1:y2, x1:x2], min_confidence)
        found.append(seen.only(CIGARETTE).shifted(x1, y1))
    everything = Boxes.join(*found)
    others = everything[everything.labels != CIGARETTE]
    return Boxes.join(others, _once(everything.only(CIGARETTE)))


def _once(cigarettes: Boxes) -> Boxes:
    pairs = zip(cigarettes.xyxy, cigarettes.scores, strict=True)
    kept = merged(
        [Detection(CLASSES[CIGARETTE], float(s), Box(*map(float, box))) for box, s in pairs]
    )
    return Boxes.of([d.box for d in kept], CIGARETTE, [d.confidence for d in kept])
