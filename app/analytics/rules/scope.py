"""When and where a rule counts: settings that every rule has beside its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.analytics.rules.base import AnalyzedFrame
from app.analytics.zones import ZoneFilter
from app.errors import InvalidRequest, in_words
from app.events import RuleEvent
from app.local_time import Hours, TimeZoneName, time_zone, within
from app.pace import unix_time
from app.places import Zone


class ScopeSettings(BaseModel):
    """The settings that every rule has."""

    model_config = ConfigDict(extra="forbid")

    hours: list[Hours] = Field(
        [], max_length=32, description="The only hours in which it reports events; empty: always."
    )
    timezone: TimeZoneName | None = Field(
        None, description="IANA name of the time zone of `hours` and days. Default: the server's."
    )

    @property
    def zone(self) -> ZoneInfo | None:
        """The time zone; None for that of the process."""
        return None if self.timezone is None else time_zone(self.timezone)


SCOPE_FIELDS = tuple(ScopeSettings.model_fields)


def split_settings(name: str, changes: Mapping[str, Any]) -> tuple[ScopeSettings, dict[str, Any]]:
    """The settings that every rule has, and the rule's own. Raises InvalidRequest."""
    own = {key: value for key, value in changes.items() if key not in SCOPE_FIELDS}
    shared = {key: value for key, value in changes.items() if key in SCOPE_FIELDS}
    try:
        return ScopeSettings(**shared), own
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["analytics", name, *map(str, first["loc"])])
        raise InvalidRequest(field=where, reason=in_words(first["msg"])) from None


@dataclass(frozen=True, slots=True)
class RuleScope:
    """When and where one rule of a stream counts.

    Attributes:
        hours: outside of these it goes on, but reports nothing; empty for always.
        timezone: of the hours; None for that of the process.
        zones: those for this rule alone.
        clock: the Unix time of a monotonic time.
    """

    hours: Sequence[Hours] = ()
    timezone: ZoneInfo | None = None
    zones: ZoneFilter = field(default_factory=lambda: ZoneFilter(()))
    clock: Callable[[float], float] = unix_time

    @classmethod
    def of(cls, name: str, changes: Mapping[str, Any], zones: Sequence[Zone]) -> RuleScope:
        """The scope of a stream's rule. Raises InvalidRequest."""
        shared, _ = split_settings(name, changes)
        own = [zone for zone in zones if name in zone.rules]
        return cls(shared.hours, shared.zone, ZoneFilter(own))

    def view(self, frame: AnalyzedFrame) -> AnalyzedFrame:
        """The frame with what stands where the rule looks."""
        if self.zones.takes_all:
            return frame
        takes, size = self.zones.takes, frame.size
        return replace(
            frame,
            tracks=[track for track in frame.tracks if takes(track.label, track.box, size)],
            detections=[one for one in frame.detections if takes(one.label, one.box, size)],
        )

    def reported(self, rule_events: list[RuleEvent], at: float | None = None) -> list[RuleEvent]:
        """The events of a frame captured at ``at`` (monotonic), now if None, that are reported."""
        if not rule_events or not self.hours:
            return rule_events
        ts = self.clock(time.monotonic() if at is None else at)
        return rule_events if within(self.hours, ts, self.timezone) else []
