"""Second detection pass: crops of people, cut from the full-resolution frame and enlarged.

In a wide view a cigarette covers a few pixels, and fewer once the frame is scaled down for the
network; a handbag covers little more. So detection runs again, at up to full resolution, on the
part of the frame around a person's head, arms and hands, or around the whole person.

Each kind of crop runs only the part of the network that detects what it is for. Cigarettes, which
the first pass does not look for, are searched for in the crops alone; where people are so large
that a crop would not enlarge them, in the whole frame.
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

PERSON, CIGARETTE, FACE = "person", "cigarette", "face"
MIN_PERSON = 0.3
MIN_GAIN = 1.25
"""A crop is used only if it enlarges the person by at least this factor over the first pass."""
WIDTHS, HEIGHTS, ABOVE = 1.3, 0.55, 0.08
BODY, BODY_SIDE = 1.25, 256
"""Side of a whole-body crop, in body heights and in input pixels. Bags need less detail than
hands."""


class CropWindow(NamedTuple):
    """A rectangle of a frame in whole pixels; the right and bottom edges are exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.x2 - self.x1, self.y2 - self.y1


Cut = Callable[[CropWindow], "Image"]
"""Returns that part of the full-resolution frame as (H, W, 3) RGB."""
Resized = Callable[[int], "Image"]
"""Returns the frame as (H, W, 3) RGB, its longer side at most this many pixels."""


def upper_body(person: Box, size: tuple[int, int]) -> CropWindow:
    """Return the square around a person's head, arms and hands, shifted into the frame.

    Its side is 1.3 box widths or 0.55 box heights, whichever is larger, and it starts slightly
    above the head. If it is larger than the frame, it is clipped and no longer a square.

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
    """Return the square around a person and what they carry, shifted into the frame.

    Args:
        size: width and height of the frame.
    """
    side = BODY * max(person.width, person.height)
    return around((person.x1 + person.x2) / 2, (person.y1 + person.y2) / 2, side, size)


def around(x: float, y: float, side: float, size: tuple[int, int]) -> CropWindow:
    """Return the square of this side around a point, shifted into a frame (width, height)."""
    width, height = size
    left, top = _within(x - side / 2, width - side), _within(y - side / 2, height - side)
    right, bottom = min(left + side, width), min(top + side, height)
    return CropWindow(round(left), round(top), round(right), round(bottom))


def crop_windows(
    people: Sequence[Box],
    size: tuple[int, int],
    *,
    first_pass_side: int,
    crop_size: int,
    max_crops: int | None = None,
    turn: int = 0,
    window_of: Callable[[Box, tuple[int, int]], CropWindow] = upper_body,
    min_gain: float = MIN_GAIN,
) -> list[CropWindow]:
    """Return the parts of a frame that deserve a second pass, the largest people first.

    Args:
        size: width and height of the frame at full resolution.
        first_pass_side: longer side of the network's input in the first pass.
        crop_size: side of the square that a crop is resized to.
        max_crops: at most this many; None for all.
        turn: with more than ``max_crops`` people, each turn takes the next ones.
        window_of: the part of a person to crop.
        min_gain: least enlargement over the first pass.
    """
    useful = _enlarging(people, size, window_of, min_gain * first_pass_side / crop_size)
    if max_crops is None or len(useful) <= max_crops:
        return useful
    first = turn * max_crops % len(useful)
    return (useful + useful)[first : first + max_crops]


def _enlarging(
    people: Sequence[Box],
    size: tuple[int, int],
    window_of: Callable[[Box, tuple[int, int]], CropWindow],
    least: float,
) -> list[CropWindow]:
    """The windows of people that are smaller than the frame by this factor, the largest first."""
    ordered = sorted(people, key=lambda box: (-box.width * box.height, box))
    windows = [window for box in ordered if min((window := window_of(box, size)).size) > 0]
    return [window for window in windows if max(size) / max(window.size) >= least]


def join(
    first_pass: Sequence[Detection],
    second_pass: Sequence[Detection],
    labels: Iterable[str] = (CIGARETTE,),
) -> list[Detection]:
    """Merge two passes: the given labels come from both, all others from the first."""
    wanted = frozenset(labels)
    joined = [detection for detection in first_pass if detection.label not in wanted]
    for label in sorted(wanted):
        joined += merged([d for d in (*first_pass, *second_pass) if d.label == label])
    return joined


class _CropKind(NamedTuple):
    """The part of a person that is cropped for a set of labels.

    Attributes:
        side: side of the square that the crop is resized to; None for the network's own.
    """

    labels: frozenset[str]
    window_of: Callable[[Box, tuple[int, int]], CropWindow]
    side: int | None


CROP_KINDS = (
    _CropKind(frozenset({CIGARETTE, FACE}), upper_body, None),
    _CropKind(frozenset(BAG_LABELS), whole_body, BODY_SIDE),
)


_Pending = list[tuple[CropWindow, "PendingDetections"]]


class PendingCrops:
    """The requested crops of one frame.

    Attributes:
        examined: the parts of the frame in which cigarettes are looked for; None for all of it.
        complete: nobody has to wait for the next frame.
    """

    def __init__(
        self,
        first_pass: Sequence[Detection],
        pending: _Pending,
        labels: Iterable[str],
        examined: Sequence[CropWindow] | None = None,
        *,
        complete: bool = True,
    ) -> None:
        self._first_pass = first_pass
        self._pending = pending
        self._labels = frozenset(labels)
        self.examined = examined
        self.complete = complete

    def detections(self, timeout_s: float) -> list[Detection]:
        """Wait for the crops and return both passes, in pixels of the original frame.

        Raises:
            DetectorError: when the network fails or times out.
        """
        second_pass = [
            Detection(found.label, found.confidence, found.box.moved(window.x1, window.y1))
            for window, pending in self._pending
            for found in pending.detections(timeout_s, window.size)
        ]
        return join(self._first_pass, second_pass, self._labels)


class CropRefiner:
    """Runs a second pass on the people in one stream's frames; not shared between threads.

    Args:
        detector: the shared network.
        max_crops: crops of each kind per frame; the next frame continues with the next people.
        labels: labels to detect.
        first_labels: those that the first pass looks for; None for all of the network.
    """

    def __init__(
        self,
        detector: ObjectDetector,
        *,
        max_crops: int | None,
        labels: Iterable[str] = (CIGARETTE,),
        first_labels: Iterable[str] | None = None,
    ) -> None:
        self._max_crops = max_crops
        self._labels = frozenset(labels) & frozenset(detector.labels)
        self._first_labels = frozenset(detector.labels if first_labels is None else first_labels)
        wanted = [kind for kind in CROP_KINDS if kind.labels & self._labels]
        self._detectors = {kind: detector.for_labels(kind.labels & self._labels) for kind in wanted}
        self._turn = 0

    def submit(
        self,
        first_pass: Sequence[Detection],
        size: tuple[int, int],
        cut: Cut,
        resized: Resized,
        *,
        enlarge: bool = True,
    ) -> PendingCrops:
        """Request the crops around the people in a frame.

        Args:
            first_pass: detections of the first pass, in pixels of the full-resolution frame.
            size: width and height of that frame.
            cut: returns a part of it.
            resized: returns all of it.
            enlarge: without it no crops are requested; what the first pass did not look for is
                looked for in the whole frame.

        Raises:
            DetectorError: when the network is overloaded.
        """
        people = [d.box for d in first_pass if d.label == PERSON and d.confidence >= MIN_PERSON]
        pending: _Pending = []
        examined: list[CropWindow] = []
        for kind, detector in self._detectors.items():
            crops = self._submit_crops(kind, detector, people, size, cut) if enlarge else []
            if not self._in_first_pass(kind):
                if people and (not enlarge or self._is_any_large(kind, detector, people, size)):
                    whole = CropWindow(0, 0, *size)
                    crops.append((whole, detector.submit(resized(detector.longest))))
                examined += [window for window, _ in crops]
            pending += crops
        self._turn += 1
        everywhere = all(self._in_first_pass(kind) for kind in self._detectors)
        return PendingCrops(
            first_pass,
            pending,
            self._labels,
            None if everywhere else examined,
            complete=self._max_crops is None or len(people) <= self._max_crops,
        )

    def _in_first_pass(self, kind: _CropKind) -> bool:
        return kind.labels & self._labels <= self._first_labels

    def _submit_crops(
        self,
        kind: _CropKind,
        detector: ObjectDetector,
        people: Sequence[Box],
        size: tuple[int, int],
        cut: Cut,
    ) -> _Pending:
        submit, side = detector.submit_crop, detector.crop_size
        if kind.side is not None and kind.side < side:
            submit, side = functools.partial(submit, side=kind.side), kind.side
        windows = crop_windows(
            people,
            size,
            first_pass_side=detector.longest,
            crop_size=side,
            max_crops=self._max_crops,
            turn=self._turn,
            window_of=kind.window_of,
            min_gain=MIN_GAIN if self._in_first_pass(kind) else 1.0,
        )
        return [(window, submit(cut(window))) for window in windows]

    def _is_any_large(
        self,
        kind: _CropKind,
        detector: ObjectDetector,
        people: Sequence[Box],
        size: tuple[int, int],
    ) -> bool:
        """Whether a crop would not enlarge some person."""
        least = detector.longest / detector.crop_size
        return len(_enlarging(people, size, kind.window_of, least)) < len(people)


def _within(value: float, upper: float) -> float:
    return min(max(value, 0.0), max(upper, 0.0))
