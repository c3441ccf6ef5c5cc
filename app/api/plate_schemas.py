"""Schemas of plate reading, exactly as in ``docs/contracts/anpr.md``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)

from app import plate_text
from app.api.errors import ErrorReply
from app.plates import PlateStatistics, StoredPlate, StoredSession, WatchEntry


def utc_text(moment: datetime) -> str:
    """A time as in ``2025-05-19T12:34:56.789Z``."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"


def _number(text: str) -> str:
    """A number as it was typed; empty for a plate that cannot be read."""
    found = plate_text.written(text)
    if found:
        _check(plate_text.folded(found), found)
    return found


def _pattern(text: str) -> str:
    found = plate_text.written(text)
    bare = found.replace("*", "").replace("?", "")
    if not plate_text.folded(bare):
        raise ValueError("give letters or digits; * and ? are wildcards")
    _check(plate_text.folded(found), bare, found)
    return found


def _check(key: str, number: str, whole: str = "") -> None:
    """Raises ValueError for what cannot be a number."""
    if not plate_text.is_writable(number) or not any(c.isalnum() for c in number):
        raise ValueError("a plate has letters, digits, spaces, hyphens and dots")
    if len(key) > plate_text.MAX_LENGTH or len(whole or number) > plate_text.MAX_WRITTEN:
        raise ValueError(f"a plate has at most {plate_text.MAX_LENGTH} characters")


Moment = Annotated[datetime, PlainSerializer(utc_text, return_type=str)]
Number = Annotated[str, StringConstraints(strict=True, max_length=64), AfterValidator(_number)]
Readings = Annotated[str, StringConstraints(strict=True, max_length=500, pattern=r"^[^\x00]*$")]


class Position(BaseModel):
    """A box, in pixels of the upright image."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


class Plate(BaseModel):
    """A plate that was read."""

    id: int = Field(examples=[1])
    plate_number: str = Field(examples=["A123BC"], description="Empty if it cannot be read.")
    confidence: float = Field(examples=[0.87])
    timestamp: Moment
    image_path: str = Field(examples=["detected_plates/plate_1621234567_0.jpg"])
    source_image_path: str = Field(examples=["uploads/1621234567_car_image.jpg"])
    position: Position
    processed_by: str = Field(examples=["local"], description="`local`, `claude` or `manual`.")
    alternative_readings: str | None = Field(examples=["A123BC/A128BC"])
    is_verified: bool
    is_deleted: bool
    detection_id: int | None = Field(examples=[1], description="The session.")

    @classmethod
    def of(cls, plate: StoredPlate) -> Plate:
        return cls(**_columns(plate))


class PlateDetails(Plate):
    """A plate with country, votes, source and its first reading."""

    country: str | None = Field(description="Countries whose formats match, separated by `/`.")
    votes: dict[str, float] | None = Field(description="Candidates and their share of the vote.")
    source: str = Field(description="`upload`, or the id of a stream.")
    first_reading: str | None = Field(description="The reading before a person corrected it.")

    @classmethod
    def of(cls, plate: StoredPlate) -> PlateDetails:
        more = {name: getattr(plate, name) for name in cls.model_fields if hasattr(plate, name)}
        return cls(**{**more, **_columns(plate)})


def _columns(plate: StoredPlate) -> dict[str, Any]:
    return {
        "id": plate.plate_id,
        "plate_number": plate.plate_number,
        "confidence": round(plate.confidence, 4),
        "timestamp": plate.at,
        "image_path": plate.image_path,
        "source_image_path": plate.source_image_path,
        "position": Position(**dict(zip(Position.model_fields, plate.box, strict=True))),
        "processed_by": plate.processed_by,
        "alternative_readings": plate.alternative_readings,
        "is_verified": plate.is_verified,
        "is_deleted": plate.is_deleted,
        "detection_id": plate.session_id,
    }


class Uploaded(BaseModel):
    """The plates of an uploaded image."""

    session_id: int
    filename: str
    processing_time_ms: float
    plates_detected: int
    plates: list[Plate]

    @classmethod
    def of(cls, session: StoredSession) -> Uploaded:
        return cls(
            session_id=session.session_id,
            filename=session.filename,
            processing_time_ms=session.processing_time_ms,
            plates_detected=len(session.plates),
            plates=[Plate.of(plate) for plate in session.plates],
        )


class Refused(BaseModel):
    """A file of a batch that was rejected."""

    filename: str
    error: ErrorReply


class SessionReply(BaseModel):
    """An upload, or a vehicle that passed a camera, with its plates."""

    id: int
    filename: str
    timestamp: Moment
    processing_time: float = Field(description="Milliseconds.")
    total_plates_detected: int
    plates: list[Plate]

    @classmethod
    def of(cls, session: StoredSession) -> SessionReply:
        return cls(
            id=session.session_id,
            filename=session.filename,
            timestamp=session.at,
            processing_time=session.processing_time_ms,
            total_plates_detected=session.total_plates,
            plates=[Plate.of(plate) for plate in session.plates],
        )


class PlateChange(BaseModel):
    """Fields of a plate to change. A number other than the reading makes it ``manual``."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"plate_number": "A123BC", "is_verified": True}]},
    )

    plate_number: Number | None = None
    is_verified: bool | None = Field(None, strict=True)
    alternative_readings: Readings | None = None

    @model_validator(mode="after")
    def _real(self) -> PlateChange:
        for name in ("plate_number", "is_verified"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep its value")
        return self


class PlateDeleted(BaseModel):
    """A plate that was deleted, or whose images were erased."""

    message: str = Field(examples=["Номер успешно удален"])
    id: int


class Statistics(BaseModel):
    """Counts of all plates that were not deleted."""

    total_plates: int
    verified_plates: int
    unrecognized_plates: int
    recognition_rate: float
    total_sessions: int
    avg_confidence: float
    recent_plates: list[Plate]

    @classmethod
    def of(cls, found: PlateStatistics) -> Statistics:
        read = found.total - found.unrecognised
        return cls(
            total_plates=found.total,
            verified_plates=found.verified,
            unrecognized_plates=found.unrecognised,
            recognition_rate=round(read / found.total, 4) if found.total else 0.0,
            total_sessions=found.sessions,
            avg_confidence=round(found.mean_confidence, 4),
            recent_plates=[Plate.of(plate) for plate in found.newest],
        )


class Activity(BaseModel):
    """Plates that were not deleted, counted by hour, day, source and reader, in UTC."""

    per_hour: dict[str, int] = Field(examples=[{"07": 12, "08": 31}])
    per_day: dict[str, int] = Field(examples=[{"2025-05-19": 43}])
    by_source: dict[str, int] = Field(examples=[{"cam-1": 30, "upload": 13}])
    by_reader: dict[str, int] = Field(examples=[{"local": 40, "manual": 3}])
    corrected: int = Field(description="Readings that a person corrected.")
    confirmed: int = Field(description="Readings that a person verified without a change.")
    correction_rate: float | None = Field(
        description="Share of corrected readings among those that a person checked."
    )

    @classmethod
    def of(cls, counts: dict[str, dict[str, int]]) -> Activity:
        checked = counts["checked"]
        total = checked["corrected"] + checked["confirmed"]
        rate = round(checked["corrected"] / total, 4) if total else None
        groups = {name: group for name, group in counts.items() if name != "checked"}
        return cls(**groups, **checked, correction_rate=rate)


class WatchChange(BaseModel):
    """A number for the watch-list; ``*`` stands for any characters, ``?`` for one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"number": "A123BC*", "note": "stolen", "action": "alert"}]
        },
    )

    number: Annotated[str, StringConstraints(strict=True, max_length=64), AfterValidator(_pattern)]
    note: str = Field("", strict=True, max_length=1000, pattern=r"^[^\x00]*$")
    action: Literal["allow", "alert"] = "alert"


class WatchReply(BaseModel):
    """An entry of the watch-list."""

    id: int
    number: str
    note: str
    action: Literal["allow", "alert"]

    @classmethod
    def of(cls, entry: WatchEntry) -> WatchReply:
        return cls(id=entry.watch_id, number=entry.number, note=entry.note, action=entry.action)


class WatchDeleted(BaseModel):
    """An entry that was removed from the watch-list."""

    id: int
