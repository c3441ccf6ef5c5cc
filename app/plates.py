"""The values of plate reading: readings, stored plates and the watch-list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from app.rights import Cameras
from app.types import Box


@dataclass(frozen=True, slots=True)
class PlateRead:
    """A plate in one image, and its number.

    Attributes:
        text: Latin capitals and digits; empty if it could not be read.
        confidence: calibrated probability that ``text`` is right; 0 if it is empty.
        box: where it is, in pixels of the image.
        alternatives: other possible numbers, likeliest first.
        country: codes of the countries whose formats match, joined by ``/``; None if none does.
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
class NewSession:
    """One upload or one plate that passed a camera, to be stored with its plates.

    Attributes:
        at: when it happened; None means now.
    """

    filename: str
    source: str
    source_image_path: str
    processing_time_ms: float
    plates: Sequence[NewPlate]
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredPlate:
    """A plate in the database; ``session_id`` is None in rows of other programs."""

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
    """One upload or one plate that passed a camera, with its plates that were not deleted."""

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
    """Which plates a list contains; None means any.

    Attributes:
        cameras: those that the caller may see plates of; None also for uploads.
    """

    number: str | None = None
    verified: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    source: str | None = None
    min_confidence: float | None = None
    cameras: Cameras = None


@dataclass(frozen=True, slots=True)
class PlateStatistics:
    """Counts of all plates that were not deleted."""

    total: int
    verified: int
    unrecognised: int
    sessions: int
    mean_confidence: float
    newest: tuple[StoredPlate, ...]


@dataclass(frozen=True, slots=True)
class WatchEntry:
    """A number, or a pattern with ``*`` and ``?``, that is reported when it passes."""

    watch_id: int
    number: str
    note: str
    action: Literal["allow", "alert"]

    def match(self, number: str) -> dict[str, str | int]:
        """The details of the event that a number matches this entry."""
        return {
            "plate_number": number,
            "watch_id": self.watch_id,
            "watched": self.number,
            "note": self.note,
            "action": self.action,
        }


@dataclass(frozen=True, slots=True)
class ClaudeCall:
    """The record of one call to Claude.

    Attributes:
        outcome: ``read``, ``unreadable``, ``refused``, ``nonsense``, or what failed.
        answer: the number that Claude read.
    """

    crop_hash: str
    model: str
    outcome: str
    answer: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
