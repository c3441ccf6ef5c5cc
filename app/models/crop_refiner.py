"""Second detection pass: crops of people, cut from the full-resolution frame and enlarged.

In a wide view a cigarette is a few pixels, and fewer still once the frame is scaled down for the
network; a handbag is not many more. The part of the frame around a person's head, arms and hands,
or around the whole person, is detected again at up to its full resolution.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from app.models.nms import merged
from app.types import BAG_LABELS, Box, Detection

if TYPE_CHECKING:
    from app.models.detections import PendingDetections
    from app.models.letterbox import Image
    from app.models.objects import ObjectDetector

PERSON, CIGARETTE = "person", "cigarette"
MIN_PERSON = 0.3
MIN_GAIN = 1.25
"""A crop is used only if it enlarges the person by at least this factor over the whole frame."""
WIDTHS, HEIGHTS, ABOVE = 1.3, 0.55, 0.08
BODY, BODY_SIDE = 1.25, 256
"""A whole person needs less detail than a hand: side of the square in heights, and in pixels."""


class CropWindow(NamedTuple):
    """A part of a frame in whole pixels, right and bottom edge exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.x2 - self.x1, self.y2 - self.y1


Cut = Callable[[CropWindow], "Image"]
"""Gives that part of the full-resolution frame as (H, W, 3) RGB."""


def upper_body(person: Box, size: tuple[int, int]) -> CropWindow:
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
    return CropWindow(round(left), round(top), round(right), round(bottom))


def whole_body(person: Box, size: tuple[int, int]) -> CropWindow:
    """The square around a person and what they carry, moved inside the frame.

    Args:
        size: width and height of the frame.
    """
    side = BODY * max(person.width, person.height)
    return around((person.x1 + person.x2) / 2, (person.y1 + person.y2) / 2, side, size)


def around(x: float, y: float, side: float, size: tuple[int, int]) -> CropWindow:
    """The square of that side around a point, moved inside a frame of this width and height."""
    width, height = size
    left, top = _within(x - side / 2, width - side), _within(y - side / 2, height - side)
    right, bottom = min(left + side, width), min(top + side, height)
    return CropWindow(round(left), round(top), round(right), round(bottom))


def crop_windows(
    people: Sequence[Box],
    size: tuple[int, int],
    *,
    seen_longest: int,
    close_size: int,
    most: int | None = None,
    turn: int = 0,
    part_of: Callable[[Box, tuple[int, int]], CropWindow] = upper_body,
) -> list[CropWindow]:
    """The parts of a frame that are worth a second pass, the largest people first.

    Args:
        size: width and height of the frame at full resolution.
        seen_longest: longer side of the frame in the first pass.
        close_size: side of the square that a part is enlarged to.
        most: at most this many; None for all.
        turn: with more people than ``most`` each turn takes the next ones.
        part_of: which part of a person.
    """
    least_gain = MIN_GAIN * seen_longest / max(size)
    ordered = sorted(people, key=lambda box: (-box.width * box.height, box))
    parts = [part for box in ordered if min((part := part_of(box, size)).size) > 0]
    worth = [part for part in parts if close_size / max(part.size) >= least_gain]
    if most is None or len(worth) <= most:
        return worth
    first = turn * most % len(worth)
    return (worth + worth)[first : first + most]


def join(
    whole: Sequence[Detection],
    close: Sequence[Detection],
    labels: Iterable[str] = (CIGARETTE,),
) -> list[Detection]:
    """The whole frame's detections, with those of the given labels from both passes, each once."""
    wanted = frozenset(labels)
    joined = [detection for detection in whole if detection.label not in wanted]
    for label in sorted(wanted):
        joined += merged([d for d in (*whole, *close) if d.label == label])
    return joined


class _CropKind(NamedTuple):
    """Which part of people is cropped for which labels.

    Attributes:
        side: of the square that it is enlarged to; None for the network's own.
    """

    labels: frozenset[str]
    of: Callable[[Box, tuple[int, int]], CropWindow]
    side: int | None


PARTS = (
    _CropKind(frozenset({CIGARETTE}), upper_body, None),
    _CropKind(frozenset(BAG_LABELS), whole_body, BODY_SIDE),
)


class PendingCrops:
    """The requested crops of one frame."""

    def __init__(
        self,
        whole: Sequence[Detection],
        pending: Sequence[tuple[CropWindow, PendingDetections]],
        labels: Iterable[str],
    ) -> None:
        self._whole = whole
        self._pending = pending
        self._labels = frozenset(labels)

    def detections(self, timeout_s: float) -> list[Detection]:
        """Wait for the crops; the detections of both passes, in pixels of the frame as it came.

        Raises:
            DetectorError: when the network fails, or has not answered in time.
        """
        close = [
            Detection(found.label, found.confidence, found.box.moved(part.x1, part.y1))
            for part, answer in self._pending
            for found in answer.detections(timeout_s, part.size)
        ]
        return join(self._whole, close, self._labels)


class CropRefiner:
    """Runs a second pass on the people in one stream's frames; not shared between threads.

    Args:
        detector: the shared network of the first pass.
        most: crops of each kind in one frame; the next frame continues with the next people.
        labels: what to search for.
    """

    def __init__(
        self,
        detector: ObjectDetector,
        *,
        most: int | None,
        labels: Iterable[str] = (CIGARETTE,),
    ) -> None:
        self._detector = detector
        self._most = most
        self._labels = frozenset(labels) & frozenset(detector.labels)
        self._turn = 0

    def submit(self, whole: Sequence[Detection], size: tuple[int, int], cut: Cut) -> PendingCrops:
        """Request the crops around the people of a frame.

        Args:
            whole: the detections of the first pass, in pixels of the frame at full resolution.
            size: width and height of that frame.
            cut: gives a part of it.

        Raises:
            DetectorError: when the network is overloaded.
        """
        people = [d.box for d in whole if d.label == PERSON and d.confidence >= MIN_PERSON]
        pending: list[tuple[CropWindow, PendingDetections]] = []
        for part in PARTS:
            if part.labels & self._labels:
                pending += self._submit_crops(part, people, size, cut)
        self._turn += 1
        return PendingCrops(whole, pending, self._labels)

    def _submit_crops(
        self, part: _CropKind, people: Sequence[Box], size: tuple[int, int], cut: Cut
    ) -> list[tuple[CropWindow, PendingDetections]]:
        submit, side = self._detector.submit_crop, self._detector.close_size
        if part.side is not None and part.side < side:
            submit, side = functools.partial(submit, side=part.side), part.side
        found = crop_windows(
            people,
            size,
            seen_longest=self._detector.longest,
            close_size=side,
            most=self._most,
            turn=self._turn,
            part_of=part.of,
        )
        return [(window, submit(cut(window))) for window in found]


def _within(value: float, most: float) -> float:
    return min(max(value, 0.0), max(most, 0.0))
