"""Who is who: persons keep their number when their track breaks or they come back.

A track ends when its person is hidden for long or leaves the view. Whoever appears is compared
with those who are gone: by the colours of their clothes, and by whether they could have got
there in the time. It is a guess, and its confidence is part of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from app.models.crop_refiner import CropWindow, Cut
from app.types import Box, Track

Colours = npt.NDArray[np.float32]

SAME_COLOURS = 0.72  # Bhattacharyya coefficient, 1 for equal histograms
REMEMBER_S = 300.0
HEIGHTS_PER_S = 2.5  # how fast a person may cross the view
NEAR_HEIGHTS = 1.0
COLOURS_EVERY_S = 1.0
LEARN_RATE = 0.3
BINS = (12, 6)  # hue, saturation
SIDE = (24, 24)


@dataclass(slots=True)
class KnownPerson:
    """Somebody, through as many tracks as it takes.

    Attributes:
        confidence: that the current track is this person; 1 while no track broke.
    """

    person_id: int
    track_id: int
    box: Box
    seen_at: float
    colours: Colours
    coloured_at: float = 0.0
    confidence: float = 1.0


class PersonReidentifier:
    """The persons of one camera; not shared between threads."""

    def __init__(self) -> None:
        self._known: dict[int, KnownPerson] = {}
        self._by_track: dict[int, KnownPerson] = {}

    def update(
        self, tracks: Sequence[Track], cut: Cut, size: tuple[int, int], scale: float, now: float
    ) -> list[KnownPerson]:
        """The persons that are really seen now.

        Args:
            tracks: persons in pixels of the picture; those that were not seen are left out.
            cut: gives a part of the frame.
            size: width and height of the frame.
            scale: from pixels of the picture to pixels of the frame.
        """
        self._forget(now)
        # A track that is only expected somewhere may be the one that broke.
        visible = {track.track_id for track in tracks if track.age_s == 0}
        seen: list[KnownPerson] = []
        for track in tracks:
            if track.age_s > 0:
                continue
            person = self._by_track.get(track.track_id)
            if person is None or now - person.coloured_at >= COLOURS_EVERY_S:
                colours = _colours(track.box.scaled(scale, scale), cut, size)
                if person is None:
                    person = self._recognise(track, colours, visible, now)
                    self._by_track[track.track_id] = person
                person.colours += LEARN_RATE * (colours - person.colours)
                person.coloured_at = now
            person.box, person.seen_at = track.box, now
            seen.append(person)
        return seen

    def _recognise(
        self, track: Track, colours: Colours, visible: set[int], now: float
    ) -> KnownPerson:
        best: tuple[float, KnownPerson] | None = None
        for person in self._known.values():
            if person.track_id in visible or not _could_be_there(person, track.box, now):
                continue
            likeness = _likeness(person.colours, colours)
            if likeness >= SAME_COLOURS and (best is None or likeness > best[0]):
                best = (likeness, person)
        if best is None:
            person = KnownPerson(track.track_id, track.track_id, track.box, now, colours)
            self._known[person.person_id] = person
            return person
        likeness, person = best
        self._by_track.pop(person.track_id, None)
        person.track_id = track.track_id
        person.confidence = round(person.confidence * likeness, 3)
        return person

    def _forget(self, now: float) -> None:
        for person in list(self._known.values()):
            if now - person.seen_at > REMEMBER_S:
                del self._known[person.person_id]
                self._by_track.pop(person.track_id, None)


def _could_be_there(person: KnownPerson, box: Box, now: float) -> bool:
    """Whether the way from where somebody was lost can be walked in the time since."""
    height = max(person.box.height, box.height, 1.0)
    way = math.dist(_feet(person.box), _feet(box)) / height
    return way <= NEAR_HEIGHTS + HEIGHTS_PER_S * (now - person.seen_at)


def _feet(box: Box) -> tuple[float, float]:
    return (box.x1 + box.x2) / 2, box.y2


def _colours(box: Box, cut: Cut, size: tuple[int, int]) -> Colours:
    """Hue and saturation of the chest and of the legs, (2, 12, 6), each of sum 1."""
    middle = box.grown(0)._replace(x1=box.x1 + 0.2 * box.width, x2=box.x2 - 0.2 * box.width)
    parts = ((0.15, 0.5), (0.5, 0.9))
    return np.stack(
        [
            _histogram(
                middle._replace(y1=box.y1 + top * box.height, y2=box.y1 + bottom * box.height),
                cut,
                size,
            )
            for top, bottom in parts
        ]
    )


def _histogram(box: Box, cut: Cut, size: tuple[int, int]) -> Colours:
    left, top = max(0, int(box.x1)), max(0, int(box.y1))
    right, bottom = min(size[0], int(box.x2) + 1), min(size[1], int(box.y2) + 1)
    if right - left < 2 or bottom - top < 2:
        return np.full(BINS, 1 / (BINS[0] * BINS[1]), np.float32)
    patch = cv2.resize(
        cut(CropWindow(left, top, right, bottom)), SIDE, interpolation=cv2.INTER_AREA
    )
    hsv = cv2.cvtColor(patch, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1], None, list(BINS), [0, 180, 0, 256])
    return np.asarray(counts / max(1.0, float(counts.sum())), np.float32)


def _likeness(one: Colours, other: Colours) -> float:
    """Mean Bhattacharyya coefficient of the parts, 0 to 1."""
    return float(np.sqrt(one * other).sum() / len(one))
