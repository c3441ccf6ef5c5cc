"""Zones and lines as requests and replies have them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.places import Line, Zone
from app.types import LABELS

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Point = tuple[Share, Share]
Label = Literal[LABELS]  # type: ignore[valid-type]
Color = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
SideName = Annotated[str, Field(min_length=1, max_length=32)]
MAX_PLACES = 32


def _is_none(value: object) -> bool:
    return value is None


def _is_empty(value: list[object]) -> bool:
    return not value


class ZoneShape(BaseModel):
    """A polygon; coordinates are shares of the frame's width and height, 0 to 1."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["watch", "ignore", "count"] = Field(
        "watch",
        description="`watch`: only what stands in such a zone is looked at. `ignore`: what stands "
        "in it is not. `count`: limits nothing; the rule `objects` counts and reports what is in "
        "it, as in `watch` zones.",
    )
    name: str = Field("", max_length=64)
    points: list[Point] = Field(min_length=3, max_length=64)
    color: Color | None = Field(
        None, exclude_if=_is_none, description="For those who draw it, such as `#ff8800`."
    )
    labels: list[Label] = Field(
        [],
        max_length=len(LABELS),
        exclude_if=_is_empty,
        description="The only labels that it counts for. Default: all.",
    )
    rules: list[str] = Field(
        [],
        max_length=16,
        exclude_if=_is_empty,
        description="The only rules that it counts for. Default: all.",
    )

    @classmethod
    def of(cls, zone: Zone) -> ZoneShape:
        return cls(
            kind=zone.kind,
            name=zone.name,
            points=list(zone.points),
            color=zone.color,
            labels=list(zone.labels),
            rules=list(zone.rules),
        )

    def to_zone(self) -> Zone:
        return Zone(
            self.kind,
            tuple(self.points),
            self.name,
            self.color,
            tuple(self.labels),
            tuple(self.rules),
        )


class LineShape(BaseModel):
    """A line that objects cross, for the rule `objects`.

    Coordinates are shares of the frame's width and height. Side A is on the left hand of somebody
    who walks from the first point to the second: above a line from left to right.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "door", "points": [[0.2, 0.7], [0.8, 0.7]]}]},
    )

    name: str = Field("", max_length=64)
    points: tuple[Point, Point]
    sides: tuple[SideName, SideName] = Field(("A", "B"), description="Names of the sides A and B.")
    direction: Literal["both", "a_to_b", "b_to_a"] = Field(
        "both", description="The crossings that are reported. All are counted."
    )
    color: Color | None = Field(
        None, exclude_if=_is_none, description="For those who draw it, such as `#ff8800`."
    )
    labels: list[Label] = Field(
        [],
        max_length=len(LABELS),
        exclude_if=_is_empty,
        description="The only labels that it counts for. Default: all.",
    )

    @model_validator(mode="after")
    def _has_length(self) -> LineShape:
        if self.points[0] == self.points[1]:
            raise ValueError("the two points of a line must differ")
        return self

    @classmethod
    def of(cls, line: Line) -> LineShape:
        return cls(
            name=line.name,
            points=line.points,
            sides=line.sides,
            direction=line.direction,
            color=line.color,
            labels=list(line.labels),
        )

    def to_line(self) -> Line:
        return Line(
            self.points, self.name, self.sides, self.direction, self.color, tuple(self.labels)
        )
