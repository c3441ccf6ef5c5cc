"""A camera with two streams: the first is shown, the smaller one is looked at.

    somebody watches   the first is decoded and shown; faces are detected in each of its frames,
                       objects in the frame of the substream nearest to it in time
    nobody watches     frames of the substream stand in for those of the first, of which only the
                       packets since the last keyframe are kept, so that a viewer gets it at once

Faces are always detected in the frame that is shown, never in one of the other stream: that one
was captured at another moment, so a face could be elsewhere. So that no fewer faces are known while
the substream stands in, it must be as large as the detector's own input.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from app.analytics.rules import RULES
from app.config import FaceSettings, StreamSettings
from app.pipeline.sources.av import AvSource
from app.pipeline.sources.base import Source
from app.pipeline.sources.decode_plan import Demand
from app.pipeline.sources.substream import Substream
from app.pipeline.supervisor import SUBSTREAM, Supervisor, Worker
from app.types import Frame, StreamSpec, SubstreamStats


class PairedSource:
    """The frames of a camera's first stream, or those of its substream instead.

    Args:
        is_watched: whether somebody gets the frames now.
        least_side: longer side, in pixels, of a substream that may stand in for a larger stream.
    """

    live = True

    def __init__(
        self,
        spec: StreamSpec,
        settings: StreamSettings,
        is_watched: Callable[[], bool],
        least_side: float,
    ) -> None:
        self.codec = ""
        self.dropped = 0
        self._first = AvSource(spec, settings)
        self._first.demand = self._demand
        self.substream = Substream(spec, settings)
        self._is_watched = is_watched
        self._least_side = least_side
        self._longest = 0  # side of the first stream's frames; 0 before the first one
        self._number = 0
        self._last_at = -math.inf

    def open(self) -> None:
        self._longest = self._number = 0
        self._first.open()
        self.codec = self._first.codec

    @property
    def decoder(self) -> str:
        """What decodes the first stream; see ``AvSource``."""
        return self._first.decoder

    def frames(self) -> Iterator[Frame | None]:
        for frame in self._first.frames():
            # The first frame is always shown: the size of what is shown must not change later,
            # when somebody watches.
            is_first = frame is not None and self._longest == 0
            if frame is not None:
                self._longest = max(frame.image.width, frame.image.height)
                self.substream.match_clock(frame)
            if self.stands_in and not is_first:
                for instead in self.substream.after(self._last_at):
                    yield self._next(replace(instead, stands_in=True), self._first.take_skipped())
                yield None
            elif frame is None or frame.captured_at <= self._last_at:
                yield None
            else:
                look = self.substream.nearest(frame.captured_at)
                yield self._next(replace(frame, look=look), frame.arrived)

    def close(self) -> None:
        self._first.close()

    @property
    def stands_in(self) -> bool:
        """Whether the substream is shown instead of the first stream."""
        if self._longest == 0 or self._is_watched() or not self.substream.is_running:
            return False
        return self.substream.longest >= min(self._least_side, self._longest)

    def _demand(self) -> Demand:
        if self.stands_in:
            return Demand.NOBODY
        return Demand.VIEWERS if self._is_watched() else Demand.LOOKS

    def _next(self, frame: Frame, arrived: int) -> Frame:
        """The frame, ready to hand out. Numbers count frames of the first stream; none repeats."""
        self._number += max(1, arrived)
        self._last_at = frame.captured_at
        return replace(frame, number=self._number, arrived=arrived)


def least_side(spec: StreamSpec, faces: FaceSettings) -> float:
    """How long the longer side of a substream must be, in pixels, to stand in for a larger stream.

    While blur is on, as long as that of the face detector's input; for rules that read details, as
    that of the first stream.
    """
    if any(RULES[name].reads_details for name in spec.analytics if name in RULES):
        return math.inf
    forever = spec.blur == "off" and spec.clear_until is None  # else faces are covered later
    return 0.0 if forever else float(faces.width)


def substream_workers(source: Source, supervisor: Supervisor) -> list[Worker]:
    """The thread that reads a camera's substream, if it has one."""
    if not isinstance(source, PairedSource):
        return []
    on_frame = functools.partial(supervisor.mark_recovered, SUBSTREAM)
    read = functools.partial(source.substream.read, supervisor.stopping, on_frame)
    return [Worker(SUBSTREAM, read)]


def substream_stats(source: Source) -> SubstreamStats | None:
    """What a camera's substream is used for now; None for a source without one."""
    return source.substream.stats(source.stands_in) if isinstance(source, PairedSource) else None
