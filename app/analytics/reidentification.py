"""Re-identification: a person keeps their id when their track breaks or they come back.

A track ends when its person is hidden for long or leaves the view. A person who appears is
compared with those who are gone: by the colours of their clothes, and by whether they could have
walked there in the time since. This is a guess, and comes with a confidence.
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
MAX_SPEED = 2.5  # of a person, in body heights a second
SLACK_HEIGHTS = 1.0  # body heights by which two positions may differ anyway
COLOURS_EVERY_S = 1.0
LEARN_RATE = 0.3
BINS = (12, 6)  # hue, saturation
SIDE = (24, 24)


@dataclass(slots=True)
class KnownPerson:
    """One person, over all their tracks.

    Attributes:
        person_id: the id of their first track.
        track_id: the current track.
        colours: histograms of their clothes, as ``_colours`` gives them.
        coloured_at: when those were last updated.
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
        self, tracks: Sequence[Track], crop: Cut, size: tuple[int, int], scale: float, now: float
    ) -> list[KnownPerson]:
        """The persons who were detected in this frame.

        Args:
            tracks: of persons, in pixels of the image; those without a detection are left out.
            crop: gives a part of the frame at full resolution.
            size: width and height of the frame.
            scale: from pixels of the image to pixels of the frame.
        """
        self._forget(now)
        # A track that is only predicted may be the one that broke.
        visible = {track.track_id for track in tracks if track.age_s == 0}
        seen: list[KnownPerson] = []
        for track in tracks:
            if track.age_s > 0:
                continue
            person = self._by_track.get(track.track_id)
            if person is None or now - person.coloured_at >= COLOURS_EVERY_S:
                colours = _colours(track.box.scaled(scale, scale), crop, size)
                if person is None:
                    person = self._identify(track, colours, visible, now)
                    self._by_track[track.track_id] = person
                person.colours += LEARN_RATE * (colours - person.colours)
                person.coloured_at = now
            person.box, person.seen_at = track.box, now
            seen.append(person)
        return seen

    def _identify(
        self, track: Track, colours: Colours, visible: set[int], now: float
    ) -> KnownPerson:
        """The person of a new track: the most similar of those who are gone, or a new one."""
        best: tuple[float, KnownPerson] | None = None
        for person in self._known.values():
            if person.track_id in visible or not _could_be_there(person, track.box, now):
                continue
            similarity = _similarity(person.colours, colours)
            if similarity >= SAME_COLOURS and (best is None or similarity > best[0]):
                best = (similarity, person)
        if best is None:
            person = KnownPerson(track.track_id, track.track_id, track.box, now, colours)
            self._known[person.person_id] = person
            return person
        similarity, person = best
        self._by_track.pop(person.track_id, None)
        person.track_id = track.track_id
        person.confidence = round(person.confidence * similarity, 3)
        return person

    def _forget(self, now: float) -> None:
        for person in list(self._known.values()):
            if now - person.seen_at > REMEMBER_S:
                del self._known[person.person_id]
                self._by_track.pop(person.track_id, None)


def _could_be_there(person: KnownPerson, box: Box, now: float) -> bool:
    """Whether a person can have walked from where they were last seen to this box."""
    height = max(person.box.height, box.height, 1.0)
    distance = math.dist(person.box.foot, box.foot) / height
    return distance <= SLACK_HEIGHTS + MAX_SPEED * (now - person.seen_at)


def _colours(box: Box, crop: Cut, size: tuple[int, int]) -> Colours:
    """Hue and saturation of the chest and of the legs, (2, 12, 6), each of sum 1."""
    middle = box._replace(x1=box.x1 + 0.2 * box.width, x2=box.x2 - 0.2 * box.width)
    parts = ((0.15, 0.5), (0.5, 0.9))
    return np.stack(
        [
            _histogram(
                middle._replace(y1=box.y1 + top * box.height, y2=box.y1 + bottom * box.height),
                crop,
                size,
            )
            for top, bottom in parts
        ]
    )


def _histogram(box: Box, crop: Cut, size: tuple[int, int]) -> Colours:
    left, top, right, bottom = box.pixels(size)
    if right - left < 2 or bottom - top < 2:
        return np.full(BINS, 1 / (BINS[0] * BINS[1]), np.float32)
    patch = cv2.resize(
        crop(CropWindow(left, top, right, bottom)), SIDE, interpolation=cv2.INTER_AREA
    )
    hsv = cv2.cvtColor(patch, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1], None, list(BINS), [0, 180, 0, 256])
    return np.asarray(counts / max(1.0, float(counts.sum())), np.float32)


def _similarity(one: Colours, other: Colours) -> float:
    """Mean Bhattacharyya coefficient of the parts, 0 to 1."""
    return float(np.sqrt(one * other).sum() / len(one))
