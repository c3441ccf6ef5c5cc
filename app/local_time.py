"""Local time: named time zones, and hours of days in which a rule reports events."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_S = 86_400
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


def utc_offsets(zone: ZoneInfo, begin_ts: float, end_ts: float) -> list[tuple[float, int]]:
    """The offsets from UTC that a zone has in a period, in order.

    Returns:
        The Unix time from which on each of them holds, and its seconds. The first begins with the
        period; a clock that is changed twice within a day is not noticed.
    """
    found = [(begin_ts, _offset_s(zone, begin_ts))]
    ts = begin_ts
    while ts < end_ts:
        later = min(ts + DAY_S, end_ts)
        offset_s = _offset_s(zone, later)
        if offset_s != found[-1][1]:
            found.append((_changed_at(zone, ts, later), offset_s))
        ts = later
    return found


def _changed_at(zone: ZoneInfo, before: float, after: float) -> float:
    """The second at which the offset changes between two times."""
    low, high = int(before), math.ceil(after)
    old = _offset_s(zone, before)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_s(zone, middle) == old:
            low = middle
        else:
            high = middle
    return float(high)


def _offset_s(zone: ZoneInfo, ts: float) -> int:
    offset = datetime.fromtimestamp(ts, UTC).astimezone(zone).utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0


@dataclass(frozen=True, slots=True)
class DayHours:
    """Hours of every day, in a time zone; they may pass midnight.

    Attributes:
        start_s, end_s: seconds since midnight, as a clock shows them; if they are equal, the hours
            are the whole day.
    """

    start_s: int
    end_s: int
    zone: ZoneInfo

    def include(self, ts: float) -> bool:
        """Whether a Unix time is in these hours."""
        at = local(ts, self.zone)
        second = 3600 * at.hour + 60 * at.minute + at.second
        if self.start_s < self.end_s:
            return self.start_s <= second < self.end_s
        return second >= self.start_s or second < self.end_s


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
