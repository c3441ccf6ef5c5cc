"""Remembers what was detected in a stream while nothing in its image changes.

In front of a fixed camera most frames are like the one before, and a network is a function of
pixels: where they are unchanged, so is its answer. Images are compared as for faces (see
``motion.py``), with the one that the network saw last, so that slow changes add up until they
count. What the comparison cannot see is found by the next inference on the whole image: after
``recheck_s`` while there is life in front of the camera, and less and less often where nothing has
moved for long.
"""

from __future__ import annotations

import numpy as np

from app.analytics.motion import Image, MotionDetector, to_cells
from app.models.detections import PendingDetections

MAX_RECHECKS = 4.0  # the longest time without inference, in times of ``recheck_s``


class SceneMemory:
    """The last detections of one stream, and whether they still hold.

    One thread calls ``recall`` and ``keep``; ``forget`` may be called by another.

    Args:
        recheck_s: after this many seconds nothing is recalled, even if nothing changed; up to four
            times as long where nothing has changed for long. 0: nothing is ever recalled.
    """

    def __init__(self, recheck_s: float) -> None:
        self._recheck_s = recheck_s
        self._rechecks = 1.0
        self._motion: MotionDetector | None = None
        self._cells: Image = np.empty((0, 0, 3), np.uint8)
        self._last: PendingDetections | None = None
        self._last_at = 0.0

    def recall(self, image: Image, at: float) -> PendingDetections | None:
        """The detections of the last inference, if those of this image must be the same.

        Args:
            image: (H, W, 3) RGB.
            at: when it was captured, in seconds.
        """
        if not self._recheck_s:
            return None
        height, width = image.shape[:2]
        motion, last = self._motion, self._last
        if motion is None or (motion.width, motion.height) != (width, height):
            motion = self._motion = MotionDetector(width, height)
            last = None
        cells = to_cells(image)
        changed = last is None or motion.has_changed(cells)
        due = abs(at - self._last_at) >= self._recheck_s * self._rechecks
        if not changed and not due:
            return last
        self._rechecks = 1.0 if changed else min(2 * self._rechecks, MAX_RECHECKS)
        self._cells = cells
        return None

    def keep(self, pending: PendingDetections, at: float) -> None:
        """Remember the inference on the image for which nothing could be recalled."""
        self._last, self._last_at = pending, at
        if self._motion is not None:
            self._motion.mark_scanned(self._cells, None)

    def forget(self) -> None:
        """Recall nothing until the next inference: the last one failed."""
        self._last = None
