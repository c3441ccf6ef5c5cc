"""Files of cameras' video that the server records by itself: clips of events, and segments.

The files of collection jobs are something else: see ``app/jobs.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

FootageKind = Literal["event", "continuous"]
Ended = Literal["no_video", "full", "failed", "stopped", "killed"]
"""Why a segment ended, if not because it was long enough: the camera sent nothing, the disk was
full, writing failed, the stream was stopped, the server was killed."""


@dataclass(frozen=True, slots=True)
class Footage:
    """One file: the clip of one or more events, or a segment of a continuous recording.

    Attributes:
        begin_ts, end_ts: of the video, Unix seconds.
        path: relative to the footage folder.
        flagged: a person marked it as important.
        ended: why a segment ended; None if it was long enough, and for clips.
        footage_id: of its row; 0 for a file without one.
        node: of a cluster, on which the file is; None: on this machine.
    """

    stream_id: str
    kind: FootageKind
    begin_ts: float
    end_ts: float
    path: str
    bytes: int
    flagged: bool = False
    ended: Ended | None = None
    footage_id: int = 0
    node: str | None = None


FILMS, PICTURES, RECORDINGS = "footage/", "snapshots/", "recordings/"
"""Beginnings of the paths of what a node of a cluster stores: of ``Footage``, events, and jobs."""


class KeepDays(NamedTuple):
    """How many days the footage of a stream is kept; None leaves it to the server's settings."""

    continuous_days: float | None = None
    event_days: float | None = None
    flagged_days: float | None = None


KEEP_DAYS = KeepDays._fields
"""The same, as options of a stream are named."""


class Period(NamedTuple):
    """A time, in Unix seconds, from its beginning to before its end."""

    begin_ts: float
    end_ts: float


class Span(NamedTuple):
    """A period without gaps in which video of one kind was recorded."""

    period: Period
    kind: FootageKind
    flagged: bool
    bytes: int


WhyGap = Ended | Literal["not_recorded"]
"""The same for a gap; ``not_recorded``: no continuous recording from before is kept."""


def why_gap(gap: Period, footage: Iterable[Footage]) -> WhyGap | None:
    """Why there is a gap: how the last segment before it ended; None if nothing says.

    Args:
        footage: of the stream, also the last segment from before the gap.
    """
    before = [
        one
        for one in footage
        if one.kind == "continuous" and one.begin_ts < gap.begin_ts + JOINED_S
    ]
    return max(before, key=lambda one: one.end_ts).ended if before else "not_recorded"


JOINED_S = 1.5
"""Files less than this apart are one span: there is a frame's time between two segments."""


def spans_of(footage: Iterable[Footage], wanted: Period) -> list[Span]:
    """What is recorded in a period, in order; files that follow each other are one span.

    Each kind has its own spans, which may overlap. The bytes are those of whole files.
    """
    spans: list[Span] = []
    newest: dict[FootageKind, int] = {}
    for one in sorted(footage, key=lambda one: one.begin_ts):
        place = newest.get(one.kind)
        begin, end = max(one.begin_ts, wanted.begin_ts), min(one.end_ts, wanted.end_ts)
        if place is not None:
            last = spans[place]
            apart_s = one.begin_ts - last.period.end_ts
            if last.flagged == one.flagged and apart_s < JOINED_S:
                whole = Period(last.period.begin_ts, max(last.period.end_ts, end))
                spans[place] = last._replace(period=whole, bytes=last.bytes + one.bytes)
                continue
        newest[one.kind] = len(spans)
        spans.append(Span(Period(begin, end), one.kind, one.flagged, one.bytes))
    return spans


def gaps_of(spans: Sequence[Span], wanted: Period) -> list[Period]:
    """The parts of a period in which nothing of any kind is recorded, in order."""
    gaps: list[Period] = []
    covered_ts = wanted.begin_ts
    for begin, end in sorted(span.period for span in spans):
        if begin - covered_ts >= JOINED_S:
            gaps.append(Period(covered_ts, begin))
        covered_ts = max(covered_ts, end)
    if wanted.end_ts - covered_ts >= JOINED_S:
        gaps.append(Period(covered_ts, wanted.end_ts))
    return gaps
