"""The objects in one stream's frames, on as few pixels and as little of the network as is enough.

Of the network only the part is computed that detects what the stream's rules look for. Where a rule
needs objects that are too small in the whole frame, inference runs again on enlarged crops of a few
people. Where nothing in the image changes, what was detected is remembered.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from app.analytics.rules import FramePixels
from app.analytics.scene_memory import PendingObjects, RegionDetections, SceneMemory
from app.config import ObjectSettings
from app.errors import DetectorError
from app.models.batching import Image
from app.models.crop_refiner import CropRefiner, CropWindow, around
from app.models.detections import PendingDetections
from app.models.objects import ObjectDetector
from app.types import Box, CropDetections, Detection


class ScannedObjects(NamedTuple):
    """The objects in one frame, in its own pixels.

    Attributes:
        examined: the parts in which cigarettes were looked for; None for everywhere.
    """

    found: Sequence[Detection]
    examined: Sequence[CropWindow] | None


class ObjectScanner:
    """Detects the objects of one stream. One thread calls ``submit``, another the rest.

    Args:
        objects: the detector that all streams share.
        labels: what to look for in whole frames.
        crop_labels: what to look for in crops of people, too.
        requested_labels: what to look for in the parts that rules request.
    """

    def __init__(
        self,
        settings: ObjectSettings,
        objects: ObjectDetector,
        labels: Iterable[str],
        crop_labels: Iterable[str],
        requested_labels: Iterable[str] = (),
    ) -> None:
        self._timeout_s = settings.timeout_s
        small = frozenset(crop_labels)
        self.whole = objects.for_labels({*labels, *(small if not settings.max_crops else ())})
        self._requested = objects.for_labels(requested_labels)
        refiner = CropRefiner(
            objects, max_crops=settings.max_crops, labels=small, first_labels=self.whole.labels
        )
        self._refiner = refiner if small else None
        self._memory = SceneMemory(settings.recheck_s)
        self._last: PendingObjects | None = None
        self._known: tuple[Sequence[Box], tuple[int, int]] | None = None
        self._scanned: tuple[PendingObjects, tuple[int, int], ScannedObjects] | None = None

    @property
    def enlarges_people(self) -> bool:
        """Whether crops of people are examined, if that is allowed."""
        return self._refiner is not None

    def submit(self, resized: Callable[[int], Image], captured_at: float) -> PendingObjects:
        """Start inference on what changed in a frame; if nothing did, return the last detections.

        Args:
            resized: gives the frame as (H, W, 3) RGB, its longer side at most this many pixels.

        Raises:
            DetectorError: when the network is overloaded.
        """
        image = resized(self.whole.longest)
        size = image.shape[1], image.shape[0]
        known, pending = self._known, self._last
        regions = self._memory.changes(image, captured_at, _scaled(known, size))
        if regions and (known is None or self.whole.fixed_size is not None):
            regions = None  # it is not known what is there, or a region costs as much as the whole
        if regions is None or pending is None:
            regions, pending = None, self.whole.submit(image)
        elif regions:
            scale = self.whole.longest / max(size)
            inferences = [self.whole.submit_part(part.crop(image), scale) for part in regions]
            pending = RegionDetections(pending, size, regions, inferences)
        else:
            return pending
        self._memory.keep(captured_at, regions)
        self._last = pending
        return pending

    def objects(
        self, pending: PendingObjects, pixels: FramePixels, *, enlarge: bool = True
    ) -> ScannedObjects:
        """Wait for the objects in a frame and in the crops of its people.

        Args:
            enlarge: whether crops of people are examined.

        Raises:
            DetectorError: when inference failed or is too late.
        """
        if self._scanned and self._scanned[:2] == (pending, pixels.size):
            return self._scanned[2]
        self._scanned = None
        try:
            scanned, complete = self._scan(pending, pixels, enlarge)
        except DetectorError:
            self._known = None
            self._memory.forget()
            raise
        if complete:
            self._scanned = pending, pixels.size, scanned
        return scanned

    def enlarge(
        self, boxes: Iterable[Box], pixels: FramePixels, size: tuple[int, int]
    ) -> list[Callable[[], CropDetections]]:
        """Start inference on square crops around boxes; returns functions that wait for each.

        Args:
            size: width and height of the image that the boxes belong to, before and after.

        Raises:
            DetectorError: when the network is overloaded; the functions raise it, too.
        """
        x, y = pixels.size[0] / size[0], pixels.size[1] / size[1]
        parts = [_square(box.scaled(x, y), pixels.size) for box in boxes]
        return [
            functools.partial(
                self._enlarged, part, self._requested.submit_crop(pixels.crop(part)), x, y
            )
            for part in parts
            if min(part.size) > 0
        ]

    def _enlarged(
        self, part: CropWindow, pending: PendingDetections, x: float, y: float
    ) -> CropDetections:
        found = [
            replace(d, box=d.box.moved(part.x1, part.y1).scaled(1 / x, 1 / y))
            for d in pending.detections(self._timeout_s, part.size)
        ]
        return CropDetections(Box(*part).scaled(1 / x, 1 / y), found)

    def _scan(
        self, pending: PendingObjects, pixels: FramePixels, enlarge: bool
    ) -> tuple[ScannedObjects, bool]:
        found = pending.detections(self._timeout_s, pixels.size)
        self._known = [detection.box for detection in found], pixels.size
        if isinstance(pending, RegionDetections) and pending.truncated:
            self._memory.forget()
        if self._refiner is None:
            return ScannedObjects(found, None), True
        crops = self._refiner.submit(
            found, pixels.size, pixels.crop, pixels.resized, enlarge=enlarge
        )
        found = crops.detections(self._timeout_s)
        return ScannedObjects(found, crops.examined), crops.complete


def _scaled(
    known: tuple[Sequence[Box], tuple[int, int]] | None, size: tuple[int, int]
) -> list[Box]:
    """Boxes of an image of a size, in pixels of the same image at another one."""
    if known is None:
        return []
    boxes, (width, height) = known
    return [box.scaled(size[0] / width, size[1] / height) for box in boxes]


def _square(box: Box, size: tuple[int, int]) -> CropWindow:
    side = max(box.width, box.height)
    return around(*box.centre, side, size)
