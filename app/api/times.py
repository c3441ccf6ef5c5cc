"""Times in query strings: one parser for every filter."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

FORMATS = "Unix seconds, or ISO 8601 with `Z` or an offset such as `+09:00` (default: UTC)"
EARLIEST = datetime.min.replace(tzinfo=UTC).timestamp()
LATEST = datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp()
LIMIT = 2.0**63
# The + of an offset arrives as a space if it was not percent-encoded.
_SPACED_OFFSET = re.compile(r"(.*(?:T|:)\d[\d:.,]*) (\d\d(?::?\d\d){0,2})", re.IGNORECASE)


def unix_seconds(text: str) -> float:
    """Unix seconds of a time in either format. Raises ValueError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = _of_iso(text.strip())
    if not abs(seconds) < LIMIT:  # also NaN
        raise ValueError("out of range")
    return min(max(seconds, EARLIEST), LATEST)


def _of_iso(text: str) -> float:
    if spaced := _SPACED_OFFSET.fullmatch(text):
        text = f"{spaced[1]}+{spaced[2]}"
    parsed = datetime.fromisoformat(text.upper())
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def utc(seconds: float | None) -> datetime | None:
    """A filter's time for a column of times with a time zone."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _time(given: object) -> object:
    if not isinstance(given, str):
        return given
    try:
        return unix_seconds(given)
    except (ValueError, OverflowError):
        raise ValueError(f"give {FORMATS}, such as 2026-02-03T12:00:00Z") from None


Time = Annotated[
    float | None,
    BeforeValidator(_time),
    WithJsonSchema({"type": "string", "examples": ["2026-02-03T12:00:00+09:00"]}),
]
