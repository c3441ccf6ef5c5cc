"""Local time: named time zones, and hours of days in which a rule reports events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"


def time_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("no IANA name like Europe/Paris") from None


def local(ts: float, zone: ZoneInfo | None) -> datetime:
    """A Unix time as local time; without a zone, that of the process."""
    return datetime.fromtimestamp(ts, zone)


def local_day(ts: float, zone: ZoneInfo | None) -> date:
    """The day of a Unix time."""
    return local(ts, zone).date()


def _known(name: str) -> str:
    time_zone(name)
    return name


def _clock(value: object) -> time:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not re.fullmatch(CLOCK, value):
        raise ValueError("a time is written as HH:MM, such as 22:00")
    return time.fromisoformat(value)


TimeZoneName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_known)]
Clock = Annotated[
    time,
    BeforeValidator(_clock, json_schema_input_type=Annotated[str, Field(pattern=f"^{CLOCK}$")]),
]


class Hours(BaseModel):
    """Hours of some days of the week.

    They may pass midnight: then ``days`` are those on which they begin. If both times are equal,
    they are the whole day. Clocks are read as they stand: hours that daylight saving time skips
    have no minute, and one that it repeats is in them twice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: tuple[Day, ...] = Field(
        DAYS, min_length=1, max_length=7, description="Days on which the hours begin."
    )
    start: Clock = Field(alias="from", description="From this time on, such as `22:00`.")
    to: Clock = Field(description="Until this time, such as `06:00`, perhaps of the next day.")

    def include(self, moment: datetime) -> bool:
        """Whether a local time is in these hours."""
        at = moment.time().replace(tzinfo=None)
        today = self._begin_on(moment.date())
        if self.start < self.to:
            return today and self.start <= at < self.to
        yesterday = self._begin_on(moment.date() - timedelta(days=1))
        return (today and at >= self.start) or (yesterday and at < self.to)

    def _begin_on(self, day: date) -> bool:
        return DAYS[day.weekday()] in self.days


def within(hours: Sequence[Hours], ts: float, zone: ZoneInfo | None) -> bool:
    """Whether a Unix time is in one of these hours; always, if there are none."""
    return not hours or any(one.include(local(ts, zone)) for one in hours)
