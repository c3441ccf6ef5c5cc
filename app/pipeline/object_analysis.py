"""Runs a stream's analytics on its frames so that their failures cost no frame."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.analytics.analyzer import StreamAnalyzer
from app.analytics.rules import FramePixels
from app.errors import DetectorError
from app.events import RuleEvent
from app.models.detections import PendingDetections
from app.pipeline.scale import part_to_rgb, to_rgb
from app.pipeline.supervisor import ANALYSIS, Supervisor
from app.types import Track

if TYPE_CHECKING:
    from av import VideoFrame


class ObjectAnalysis:
    """Calls a stream's analyzer for each frame, and goes on without it when it fails.

    Args:
        analyzer: None for a stream without analytics.
    """

    def __init__(self, analyzer: StreamAnalyzer | None, supervisor: Supervisor) -> None:
        self._analyzer = analyzer
        self._supervisor = supervisor

    @property
    def counts(self) -> Mapping[str, int]:
        """How many objects of each kind are followed now."""
        return self._analyzer.counts if self._analyzer is not None else {}

    def submit(self, image: VideoFrame, captured_at: float) -> PendingDetections | None:
        """Start inference on a frame if it is time for one."""
        if self._analyzer is not None:
            with self._best_effort():
                return self._analyzer.submit(captured_at, functools.partial(to_rgb, image))
        return None

    def process(
        self,
        pending: PendingDetections | None,
        faces: tuple[Track, ...] | None,
        image: VideoFrame,
        captured_at: float,
        size: tuple[int, int],
    ) -> tuple[tuple[Track, ...], list[RuleEvent]]:
        """The tracks in a frame, and the events of the rules.

        Args:
            faces: those that are blurred; None in a stream without blur.
            size: width and height of the processed frame, which the boxes belong to.
        """
        if self._analyzer is not None:
            pixels = FramePixels(
                (image.width, image.height),
                functools.partial(part_to_rgb, image),
                functools.partial(to_rgb, image),
                captured_at,
            )
            with self._best_effort():
                return self._analyzer.process(pending, faces, pixels, size)
        return (), []

    def end(self) -> list[RuleEvent]:
        """The last events, when the stream ends."""
        return self._analyzer.end() if self._analyzer is not None else []

    @contextmanager
    def _best_effort(self) -> Iterator[None]:
        try:
            yield
            self._supervisor.mark_recovered(ANALYSIS)
        except DetectorError as error:
            self._supervisor.mark_lost(ANALYSIS, error)
