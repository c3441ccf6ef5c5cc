"""Hours of rules: over midnight, on some days, and when clocks change."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from app.local_time import Hours, local_day, within

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = {"from": "22:00", "to": "06:00"}
WORK = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "17:30"}


def is_in(hours: dict[str, Any], when: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> bool:
    moment = datetime.fromisoformat(when).replace(tzinfo=zone, fold=fold)
    return within([Hours(**hours)], moment.timestamp(), zone)


@pytest.mark.parametrize(
    ("hours", "when", "expected"),
    [
        (WORK, "2026-11-27 08:00", True),  # a Friday
        (WORK, "2026-11-27 17:29", True),
        (WORK, "2026-11-27 17:30", False),
        (WORK, "2026-11-28 12:00", False),
        (NIGHT, "2026-11-27 21:59", False),
        (NIGHT, "2026-11-27 22:00", True),
        (NIGHT, "2026-11-28 05:59", True),
        (NIGHT, "2026-11-28 06:00", False),
        (NIGHT | {"days": ["fri"]}, "2026-11-28 03:00", True),  # it began on Friday
        (NIGHT | {"days": ["fri"]}, "2026-11-27 03:00", False),
        (NIGHT | {"days": ["fri"]}, "2026-11-28 23:00", False),
        ({"days": ["sun"], "from": "00:00", "to": "00:00"}, "2026-11-29 00:00", True),
        ({"days": ["sun"], "from": "00:00", "to": "00:00"}, "2026-11-29 23:59", True),
        ({"days": ["sun"], "from": "00:00", "to": "00:00"}, "2026-11-30 00:00", False),
    ],
)
def test_hours(hours: dict[str, Any], when: str, expected: bool) -> None:
    assert is_in(hours, when) is expected


def test_the_time_zone_decides() -> None:
    moment = datetime(2026, 11, 27, 23, 0, tzinfo=BERLIN).timestamp()
    night = [Hours(**NIGHT)]
    assert within(night, moment, BERLIN)
    assert not within(night, moment, ZoneInfo("America/New_York"))
    assert local_day(moment, ZoneInfo("Asia/Seoul")).isoformat() == "2026-11-28"


def test_an_hour_that_daylight_saving_skips_has_no_minute() -> None:
    """On 29 March 2026, clocks go from 02:00 to 03:00."""
    early = [Hours(**{"from": "02:00", "to": "03:00"})]
    first = datetime(2026, 3, 29, 0, 0, tzinfo=BERLIN).timestamp()
    minutes = sum(within(early, first + 60 * n, BERLIN) for n in range(24 * 60))
    assert minutes == 0
    night = [Hours(**NIGHT)]
    assert sum(within(night, first - 7200 + 60 * n, BERLIN) for n in range(9 * 60)) == 7 * 60


def test_an_hour_that_is_repeated_counts_twice() -> None:
    """On 25 October 2026, clocks go from 03:00 to 02:00."""
    early = [Hours(**{"from": "02:00", "to": "03:00"})]
    first = datetime(2026, 10, 25, 0, 0, tzinfo=BERLIN).timestamp()
    assert sum(within(early, first + 60 * n, BERLIN) for n in range(25 * 60)) == 120


def test_without_hours_it_is_always() -> None:
    assert within([], 0.0, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": "24:00", "to": "01:00"},
        {"from": "8:00", "to": "09:00"},
        {"from": "08:00:30", "to": "09:00"},
        {"from": 8, "to": 9},
        {"from": "08:00", "to": "09:00", "days": []},
        {"from": "08:00", "to": "09:00", "days": ["friday"]},
        {"from": "08:00"},
        {"from": "08:00", "to": "09:00", "until": "10:00"},
    ],
)
def test_wrong_hours_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Hours(**wrong)
