"""The words of number plates: what was read, how it is kept, and who is waited for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from app.types import Box


@dataclass(frozen=True, slots=True)
class PlateRead:
    """A plate in one picture, and what it says.

    Attributes:
        text: Latin capitals and digits; empty where it could not be read.
        confidence: how likely ``text`` is right, as often as measured; 0 for an empty one.
        box: where it is, in pixels of the picture.
        alternatives: what else it may say, likeliest first.
        country: codes of the countries whose formats it fits, with ``/``; None where none does.
        votes: share of each candidate text in the vote of the crop's variants.
        processed_by: ``local`` or ``claude``: who decided.
    """

    text: str
    confidence: float
    box: Box
    alternatives: tuple[str, ...] = ()
    country: str | None = None
    votes: Mapping[str, float] = field(default_factory=dict)
    processed_by: Literal["local", "claude"] = "local"


@dataclass(frozen=True, slots=True)
class NewPlate:
    """A read plate on its way into the database, with the file of its crop."""

    read: PlateRead
    image_path: str


@dataclass(frozen=True, slots=True)
class StoredPlate:
    """A plate as the database keeps it. ``session_id`` is None for rows of other programs."""

    plate_id: int
    plate_number: str
    confidence: float
    at: datetime
    image_path: str
    source_image_path: str
    box: tuple[int, int, int, int]
    processed_by: str
    alternative_readings: str | None
    is_verified: bool
    is_deleted: bool
    session_id: int | None
    country: str | None = None
    votes: Mapping[str, float] | None = None
    source: str = "upload"
    first_reading: str | None = None


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One upload or passage, with the plates in it that were not deleted."""

    session_id: int
    filename: str
    at: datetime
    processing_time_ms: float
    total_plates: int
    source: str
    source_image_path: str
    plates: tuple[StoredPlate, ...]


@dataclass(frozen=True, slots=True)
class PlateFilter:
    """Which plates a list shows; None means any."""

    number: str | None = None
    verified: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    source: str | None = None
    min_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class PlateStatistics:
    total: int
    verified: int
    unrecognised: int
    sessions: int
    mean_confidence: float
    newest: tuple[StoredPlate, ...]


@dataclass(frozen=True, slots=True)
class WatchEntry:
    """A number, or a pattern with ``*`` and ``?``, that is waited for or may pass."""

    watch_id: int
    number: str
    note: str
    action: Literal["allow", "alert"]


@dataclass(frozen=True, slots=True)
class ClaudeCall:
    """One question to Claude, for the record.

    Attributes:
        outcome: ``read``, ``unreadable``, ``refused``, ``nonsense``, or what failed.
        answer: the number it read.
    """

    crop_hash: str
    model: str
    outcome: str
    answer: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
