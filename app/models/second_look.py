"""The second look: people's upper bodies, cut from the full-resolution frame and enlarged.

In a camera's wide view a cigarette is a few pixels, fewer still once the frame is made small for
the network. The part of the frame around a person's head, arms and hands is looked at again, as
large as its own pixels allow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from app.models.overlap import merged
from app.types import Box, Detection

if TYPE_CHECKING:
    from app.models.letterbox import Image
    from app.models.look import Look
    from app.models.objects import ObjectDetector

PERSON, CIGARETTE = "person", "cigarette"
MIN_PERSON = 0.3
MIN_GAIN = 1.25
"""A part is looked at when it shows the person at least so much larger than the whole frame did."""
WIDTHS, HEIGHTS, ABOVE = 1.3, 0.55, 0.08


class Window(NamedTuple):
    """A part of a frame in whole pixels, right and bottom edge exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.x2 - self.x1, self.y2 - self.y1


Cut = Callable[[Window], "Image"]
"""Gives that part of the full-resolution frame as (H, W, 3) RGB."""


def upper_body(person: Box, size: tuple[int, int]) -> Window:
    """The square around a person's head, arms and hands, moved inside the frame.

    Its side is 1.3 box widths or 0.55 box heights, whichever is more, and it begins a little
    above the head. At a frame's edge it may be cut off to less than a square.

    Args:
        size: width and height of the frame.
    """
    width, height = size
    side = min(max(WIDTHS * person.width, HEIGHTS * person.height), max(size))
    left = _within((person.x1 + person.x2 - side) / 2, width - side)
    top = _within(person.y1 - ABOVE * side, height - side)
    right, bottom = min(left + side, width), min(top + side, height)
    return Window(round(left), round(top), round(right), round(bottom))


def windows(
    people: Sequence[Box],
    size: tuple[int, int],
    *,
    seen_longest: int,
    close_size: int,
    most: int | None = None,
    turn: int = 0,
) -> list[Window]:
    """The parts of a frame that are worth a second look, the largest people first.

    Args:
        size: width and height of the frame at full resolution.
        seen_longest: longer side of the frame as the first look saw it.
        close_size: side of the square that a part is enlarged to.
        most: no more than so many; None for all.
        turn: with more people than ``most`` each turn takes the next ones.
    """
    least_gain = MIN_GAIN * seen_longest / max(size)
    ordered = sorted(people, key=lambda box: (-box.width * box.height, box))
    parts = [part for box in ordered if min((part := upper_body(box, size)).size) > 0]
    worth = [part for part in parts if close_size / max(part.size) >= least_gain]
    if most is None or len(worth) <= most:
        return worth
    first = turn * most % len(worth)
    return (worth + worth)[first : first + most]


def join(whole: Sequence[Detection], close: Sequence[Detection]) -> list[Detection]:
    """The whole frame's detections, with the cigarettes of both looks, each of them once."""
    others = [detection for detection in whole if detection.label != CIGARETTE]
    seen = [d for d in (*whole, *close) if d.label == CIGARETTE]
    return others + merged(seen)


class CloseLook:
    """Parts of one frame that were asked for."""

    def __init__(self, whole: Sequence[Detection], looks: Sequence[tuple[Window, Look]]) -> None:
        self._whole = whole
        self._looks = looks

    def detections(self, timeout_s: float) -> list[Detection]:
        """Wait for the parts; all that both looks saw, in pixels of the full-resolution frame.

        Raises:
            DetectorError: when the network fails, or has not answered in time.
        """
        close = [
            Detection(found.label, found.confidence, found.box.moved(part.x1, part.y1))
            for part, look in self._looks
            for found in look.detections(timeout_s, part.size)
        ]
        return join(self._whole, close)


class SecondLook:
    """Looks again at the people of one stream's frames; not shared between threads.

    Args:
        detector: the network of the first look, shared.
        most: parts looked at in one frame; the next frame goes on with the next people.
    """

    def __init__(self, detector: ObjectDetector, *, most: int | None) -> None:
        self._detector = detector
        self._most = most if CIGARETTE in detector.labels else 0
        self._turn = 0

    def look(self, whole: Sequence[Detection], size: tuple[int, int], cut: Cut) -> CloseLook:
        """Ask for what is around the people of a frame.

        Args:
            whole: what the first look saw, in pixels of the frame at full resolution.
            size: width and height of that frame.
            cut: gives a part of it.

        Raises:
            DetectorError: when the network is overloaded.
        """
        people = [d.box for d in whole if d.label == PERSON and d.confidence >= MIN_PERSON]
        parts = windows(
            people,
            size,
            seen_longest=self._detector.longest,
            close_size=self._detector.close_size,
            most=self._most,
            turn=self._turn,
        )
        self._turn += 1
        looks = [(part, self._detector.look_closely(cut(part))) for part in parts]
        return CloseLook(whole, looks)


def _within(value: float, most: float) -> float:
    return min(max(value, 0.0), max(most, 0.0))
