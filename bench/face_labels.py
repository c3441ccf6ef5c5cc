"""Faces that people labelled by hand, in ``face_labels.json`` beside this file.

The pictures themselves are not in the project: ``source`` is relative to ``$WATCHPOST_DATA``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from app.types import Box

LABELS = Path(__file__).with_name("face_labels.json")
KINDS = ("front", "side", "covered")


class Face(NamedTuple):
    """A labelled face.

    Attributes:
        box: forehead to chin and ear to ear, in pixels of the source.
        kind: ``front`` shows both eyes, ``side`` one or a profile; of ``covered`` faces half or
            more is hidden.
        track: numbers the people of one clip; None where the next labelled frame is far.
    """

    box: Box
    kind: str
    track: int | None = None


class LabelledImage(NamedTuple):
    """A frame of a clip, or a still, with all its faces.

    Attributes:
        source: a file, relative to the folder with the data.
        frame: its number in the clip, from 0.
        size: width and height in pixels.
    """

    source: str
    frame: int
    size: tuple[int, int]
    faces: tuple[Face, ...]


def labelled_images(path: Path = LABELS) -> list[LabelledImage]:
    """Read the labels. Raises ValueError for a kind or a box that cannot be."""
    written = json.loads(path.read_text(encoding="utf-8"))
    return [_image(entry) for entry in written["images"]]


def _image(entry: Mapping[str, Any]) -> LabelledImage:
    size = entry["width"], entry["height"]
    faces = tuple(
        Face(Box(*map(float, face["box"])), face["kind"], face.get("track"))
        for face in entry["faces"]
    )
    for face in faces:
        box = face.box
        inside = 0 <= box.x1 < box.x2 <= size[0] and 0 <= box.y1 < box.y2 <= size[1]
        if face.kind not in KINDS or not inside:
            raise ValueError(f"{entry['source']}, frame {entry['frame']}: not a label: {face}")
    return LabelledImage(entry["source"], entry["frame"], size, faces)
