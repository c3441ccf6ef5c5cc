"""Schemas of cameras (contract ``docs/contracts/cameras.md``)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from app import urls
from app.api.clear_view import ClearViewField
from app.api.i18n import Language, reason_in
from app.api.place_schemas import PlaceCountsReply
from app.api.reduced import ReducedReply
from app.api.schemas import StreamStatsReply
from app.footage import KEEP_DAYS
from app.pipeline.sources.named import MAX_INDEX, MAX_PATH, source_url
from app.place_options import LineShape, ZoneShape
from app.recording.captures import OWN_ID
from app.stream_options import CameraOptions
from app.types import BlurStyle, Record, Rotation, StreamSpec, StreamStatus, Transport

Kind = Literal["demo", "rtsp", "push", "camera", "job"]
KINDS: dict[str, Kind] = {"demo": "demo", "push": "push"}
ID = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"
SOURCE = "the index of a webcam, the path of a file, or an rtsp(s):// or http(s):// URL"


def _source(value: object) -> object:
    fits = (isinstance(value, str) and len(value) <= MAX_PATH) or (
        type(value) is int and 0 <= value <= MAX_INDEX
    )
    if not fits:
        raise ValueError(f"give {SOURCE} (an index is 0 to {MAX_INDEX})")
    return value


Source = Annotated[
    str | int,
    BeforeValidator(_source),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": MAX_PATH},
                {"type": "integer", "minimum": 0, "maximum": MAX_INDEX},
            ]
        }
    ),
]


class CameraStats(BaseModel):
    """Counts of the newest frame."""

    camera_id: str
    faces: int
    ids: int = Field(description="Persons being tracked.")
    bags: int
    owned: int = Field(description="Bags whose owner is known.")
    session_id: str | None = Field(description="The current run; runs are numbered by day.")
    places: PlaceCountsReply | None = Field(
        exclude_if=lambda counts: counts is None,
        description="Counts of zones and lines, where the rule `objects` runs.",
    )

    @classmethod
    def of(cls, status: StreamStatus) -> CameraStats:
        stats = status.stats
        return cls(
            camera_id=status.spec.stream_id,
            faces=stats.faces,
            ids=stats.followed.get("person", 0),
            bags=stats.followed.get("bag", 0),
            owned=stats.followed.get("owned_bag", 0),
            session_id=stats.session_id,
            places=PlaceCountsReply.of(stats.places),
        )


class Camera(BaseModel):
    """A stream in the list, whichever API started it."""

    camera_id: str
    name: str
    kind: Kind = Field(
        description="What started it: the API of `camera`s, stream control (`rtsp`), a client that "
        "pushes frames (`push`), a collection `job`, or the server itself (`demo`)."
    )
    source: str = Field(description="What may be a password in it is masked.")
    state: str
    last_error: str | None = Field(description="Why it does not run, or last did not.")
    problem: str | None = Field(
        description="The reason alone, in the caller's language.", examples=["connection refused"]
    )
    fps: float
    width: int | None
    height: int | None
    blur: BlurStyle
    analytics: list[str]
    stats: CameraStats
    reduced: ReducedReply | None = Field(
        description="What it goes without because the machine cannot do everything; null: nothing."
    )
    node: str | None = Field(
        description="The machine of the cluster that runs it; null: this one.",
        examples=["north-1"],
    )

    @classmethod
    def of(cls, status: StreamStatus, language: Language, node: str | None = None) -> Camera:
        spec, stats = status.spec, status.stats
        return cls(
            camera_id=spec.stream_id,
            name=spec.name or spec.stream_id,
            kind=kind_of(spec),
            source=_public(spec.source),
            state=status.state.value,
            last_error=stats.last_error,
            problem=reason_in(stats.last_error, language),
            fps=stats.output_fps,
            width=stats.width,
            height=stats.height,
            blur=spec.blur,
            analytics=sorted(spec.analytics),
            stats=CameraStats.of(status),
            reduced=ReducedReply.of(stats.reduced, language),
            node=node,
        )


def kind_of(spec: StreamSpec) -> Kind:
    """What started a stream; published streams belong to stream control."""
    if OWN_ID.fullmatch(spec.stream_id):
        return "job"
    return KINDS.get(urls.scheme_of(spec.source), "camera" if spec.output is None else "rtsp")


class CameraChanges(CameraOptions, ClearViewField):
    """The body of ``PATCH``: only the fields to change."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Gate", "max_fps": 5}]}
    )

    source: Source = Field(0, description=f"{SOURCE[0].upper()}{SOURCE[1:]}.")

    def changes(self, folders: Iterable[Path]) -> dict[str, Any]:
        """The given fields as fields of a spec. Raises InvalidRequest, AddressNotAllowed."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        clear_view = given.pop("clear_view", None)
        if "blur" in given:
            given["clear_until"] = clear_view and clear_view.until
        if "source" in given:
            given["source"] = source_url(self.source, folders)
        if "detect_url" in given:
            given["detect_url"] = urls.check_substream(self.detect_url)
        if "zones" in given:
            given["zones"] = self.zone_values()
        if "lines" in given:
            given["lines"] = self.line_values()
        return given


class CameraRequest(CameraChanges):
    """The body of ``POST``."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"camera_id": "CAM_01", "source": "rtsp://192.0.2.10/stream"}]
        },
    )

    camera_id: str = Field(pattern=ID)
    source: Source = Field(description=f"{SOURCE[0].upper()}{SOURCE[1:]}.")

    def to_spec(self, folders: Iterable[Path]) -> StreamSpec:
        """The camera that is requested. Raises InvalidRequest, AddressNotAllowed."""
        given = self.changes(folders)
        return StreamSpec(given.pop("camera_id"), given.pop("source"), paced=True, **given)


class CameraDetail(BaseModel):
    """A camera with its settings; what may be a password in a URL is masked."""

    camera_id: str
    name: str
    source: str
    state: str
    last_error: str | None
    loop: bool
    max_fps: float
    downscale: float
    blur: BlurStyle
    blur_margin: float
    rotate: Rotation
    transport: Transport
    analytics: dict[str, dict[str, Any]]
    zones: list[ZoneShape]
    lines: list[LineShape]
    stall_timeout_s: float | None
    start_timeout_s: float | None
    interval: float | None
    record: Record
    clip_before_s: float
    clip_after_s: float
    continuous_days: float | None
    event_days: float | None
    flagged_days: float | None
    detect_url: str | None = Field(exclude_if=lambda url: url is None)
    stats: CameraStats
    numbers: StreamStatsReply

    @classmethod
    def of(cls, status: StreamStatus) -> CameraDetail:
        spec = status.spec
        same = ("loop", "max_fps", "downscale", "blur", "blur_margin", "rotate", "transport")
        limits = ("stall_timeout_s", "start_timeout_s", "interval")
        recording = ("record", "clip_before_s", "clip_after_s", *KEEP_DAYS)
        return cls(
            **{name: getattr(spec, name) for name in (*same, *limits, *recording)},
            camera_id=spec.stream_id,
            name=spec.name or spec.stream_id,
            source=_public(spec.source),
            detect_url=spec.detect_url and urls.without_credentials(spec.detect_url),
            state=status.state.value,
            last_error=status.stats.last_error,
            analytics={name: dict(changes) for name, changes in spec.analytics.items()},
            zones=[ZoneShape.of(zone) for zone in spec.zones],
            lines=[LineShape.of(line) for line in spec.lines],
            stats=CameraStats.of(status),
            numbers=StreamStatsReply.of(status.stats),
        )


def _public(source: str) -> str:
    """The source as the caller wrote it; what may be a password in a URL is masked."""
    scheme, _, rest = source.partition(":")
    return rest if scheme in ("file", "webcam") else urls.without_credentials(source)
