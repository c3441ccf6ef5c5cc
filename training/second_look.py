"""The second look: people's upper bodies, cut from the full-resolution frame and enlarged."""

from __future__ import annotations

from training.boxes import CIGARETTE, PERSON, Boxes, non_max, upper_body
from training.network import TIGHT_NMS_IOU, Image, Network

MIN_PERSON = 0.3
MIN_GAIN = 1.25
"""A crop is looked at when it shows the person at least so much larger than the whole frame did."""


def second_look(
    whole: Boxes, image: Image, frame_scale: float, close: Network, min_confidence: float
) -> Boxes:
    """Add to `whole`, the detections of a frame, the cigarettes that `close` sees in its crops.

    `frame_scale` is by how much the first look shrank the frame.
    """
    height, width = image.shape[:2]
    parts = [whole]
    people = whole.only(PERSON)
    for person in people[people.scores >= MIN_PERSON].xyxy:
        x1, y1, x2, y2 = upper_body(person, width, height)
        if close.size / max(x2 - x1, y2 - y1) < MIN_GAIN * frame_scale:
            continue
        seen = close.detect(image[y1:y2, x1:x2], min_confidence).only(CIGARETTE)
        parts.append(seen.shifted(x1, y1))
    found = Boxes.join(*parts)
    cigarettes = non_max(found.only(CIGARETTE), TIGHT_NMS_IOU)
    return Boxes.join(found[found.labels != CIGARETTE], cigarettes)
