"""The counts of zones and lines in replies."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, Field

from app.places import PlaceCounts


class ZoneCountReply(BaseModel):
    """A zone of the rule `objects`."""

    name: str
    now: dict[str, int] = Field(description="How many are in it now, by label.")
    today: dict[str, int] = Field(description="How many entered it since midnight, by label.")


class LineCountReply(BaseModel):
    """A line of the rule `objects`."""

    name: str
    today: dict[str, dict[str, int]] = Field(
        description="How many crossed it since midnight, by direction (`a_to_b`, `b_to_a`) and "
        "label."
    )


class PlaceCountsReply(BaseModel):
    """The counts of a stream's zones and lines."""

    day: date = Field(description="The day of `today`, in the rule's time zone.")
    zones: list[ZoneCountReply]
    lines: list[LineCountReply]

    @classmethod
    def of(cls, counts: PlaceCounts | None) -> PlaceCountsReply | None:
        if counts is None:
            return None
        return cls(
            day=counts.day,
            zones=[ZoneCountReply(**zone._asdict()) for zone in counts.zones],
            lines=[LineCountReply(**line._asdict()) for line in counts.lines],
        )
