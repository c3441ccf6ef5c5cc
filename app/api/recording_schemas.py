"""Schemas of what is recorded of cameras."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from app.api.times import FORMATS, unix_seconds
from app.footage import Footage, FootageKind, Period, Span, WhyGap, gaps_of, spans_of, why_gap
from app.types import Record


def _required_time(given: object) -> object:
    try:
        return unix_seconds(given) if isinstance(given, str) else given
    except (ValueError, OverflowError):
        raise ValueError(f"give {FORMATS}, such as 2026-02-03T12:00:00Z") from None


RequiredTime = Annotated[
    float,
    Field(strict=True, allow_inf_nan=False),
    BeforeValidator(_required_time),
    WithJsonSchema({"type": "string", "examples": ["2026-02-03T12:00:00+09:00"]}),
]


class RecordedSpan(BaseModel):
    """A time without gaps of which there is video."""

    begin_ts: float = Field(description="Unix seconds.")
    end_ts: float
    kind: FootageKind = Field(description="`event`: clips; `continuous`: everything.")
    flagged: bool = Field(description="Marked as important: it is kept longest.")
    bytes: int

    @classmethod
    def of(cls, span: Span) -> RecordedSpan:
        begin_ts, end_ts = span.period
        return cls(
            begin_ts=begin_ts,
            end_ts=end_ts,
            kind=span.kind,
            flagged=span.flagged,
            bytes=span.bytes,
        )


class RecordingGap(BaseModel):
    """A time of which there is no video."""

    begin_ts: float
    end_ts: float
    reason: WhyGap | None = Field(
        description="`no_video`: the camera sent none; `stopped`: the stream was stopped, or the "
        "server; `full`: the disk was; `failed`: it could not be written; `killed`: the server was "
        "ended by force; `not_recorded`: there was no continuous recording, or it was removed; "
        "null: unknown."
    )


class RecordedDay(BaseModel):
    """A day with video."""

    day: date
    bytes: int


class RecordedDays(BaseModel):
    """The days of a period that have video of a camera, newest first."""

    days: list[RecordedDay]


class RecordedSpans(BaseModel):
    """What is recorded of a camera in a period."""

    stream_id: str
    begin_ts: float = Field(description="The period that was asked for, Unix seconds.")
    end_ts: float
    record: Record | None = Field(
        description="What is recorded now; null if there is no such stream any more."
    )
    problem: str | None = Field(description="Why nothing is recorded now; null: nothing is wrong.")
    spans: list[RecordedSpan] = Field(description="In order; spans of the two kinds may overlap.")
    gaps: list[RecordingGap] = Field(description="Without video of either kind.")
    bytes: int

    @classmethod
    def of(
        cls,
        stream_id: str,
        wanted: Period,
        footage: Sequence[Footage],
        *,
        before: Footage | None,
        record: Record | None,
        problem: str | None,
    ) -> RecordedSpans:
        """A reply; ``before`` is the last segment from before the period."""
        spans = spans_of(footage, wanted)
        gaps = gaps_of(spans, wanted)
        earlier = footage if before is None else [before, *footage]
        return cls(
            stream_id=stream_id,
            begin_ts=wanted.begin_ts,
            end_ts=wanted.end_ts,
            record=record,
            problem=problem,
            spans=[RecordedSpan.of(span) for span in spans],
            gaps=[
                RecordingGap(begin_ts=gap.begin_ts, end_ts=gap.end_ts, reason=why_gap(gap, earlier))
                for gap in gaps
            ],
            bytes=sum(one.bytes for one in footage),
        )


class FlagRequest(BaseModel):
    """What to flag, or to unflag: all files of a stream that overlap a period."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "stream": "gate",
                    "from": "2026-02-03T12:00:00Z",
                    "to": "2026-02-03T12:05:00Z",
                    "flagged": True,
                }
            ]
        },
    )

    stream: str = Field(min_length=1, max_length=64)
    since: RequiredTime = Field(alias="from")
    until: RequiredTime = Field(alias="to")
    flagged: bool = Field(strict=True)


class FlagReply(BaseModel):
    """How many files that were."""

    files: int
