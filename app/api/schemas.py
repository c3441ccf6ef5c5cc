"""Schemas of stream control and push streams, and their conversion from and to types."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from app import urls
from app.api.clear_view import ClearViewField
from app.api.place_schemas import PlaceCountsReply
from app.api.reduced import ReducedReply
from app.place_options import LineShape, ZoneShape
from app.stream_options import (
    ANALYTICS,
    DEFAULTS,
    BasicOptions,
    PublishedOptions,
    RuleSettings,
)
from app.types import (
    BlurStyle,
    Record,
    Rotation,
    StreamSpec,
    StreamStats,
    StreamStatus,
    Transport,
)

T = TypeVar("T")
EXAMPLE_INPUT = "rtsp://192.0.2.10:554/live/cam1"


class Envelope(BaseModel, Generic[T]):
    """The body of every successful reply of the stream control API."""

    success: Literal[True] = True
    data: T


class StartRequest(PublishedOptions, ClearViewField):
    """The body of ``start``. Everything but ``rtsp_url`` is optional."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"rtsp_url": EXAMPLE_INPUT, "max_fps": 15, "downscale": 1.0}]
        },
    )

    rtsp_url: str = Field(strict=True, description="Input: rtsp:// or rtsps://.")
    output_url: str | None = Field(
        None, strict=True, description="Default: the input URL with `-blur` added to its path."
    )

    def to_spec(self, stream_id: str) -> StreamSpec:
        """The stream that is requested. Raises InvalidUrl or AddressNotAllowed."""
        apart = {"rtsp_url", "output_url", "detect_url", "clear_view", "zones", "lines"}
        given = self.model_dump(exclude=apart)
        return StreamSpec(
            stream_id,
            urls.check_rtsp(self.rtsp_url),
            urls.check_rtsp(self.output_url) if self.output_url is not None else None,
            detect_url=urls.check_substream(self.detect_url),
            clear_until=self.clear_view.until if self.clear_view is not None else None,
            zones=self.zone_values(),
            lines=self.line_values(),
            **given,
        )


class PushRequest(BasicOptions, ClearViewField):
    """The body of ``/stream/request``. Everything is optional."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "Gate", "analytics": ["smoking"], "blur": "gaussian"}]
        },
    )

    analytics: RuleSettings | None = Field(  # type: ignore[assignment]
        None, description=f"{ANALYTICS} Default: `smoking`, where this server can detect it."
    )


class PushReply(BaseModel):
    """A stream that waits for its first frame. All four ids are the same."""

    stream_token: str
    stream_id: str
    video_uuid: str
    video_id: str
    websocket_url: str = Field(examples=["/ws/stream/3f0c6b1e9d2a4c5f8a7b6c5d4e3f2a1b"])
    status: Literal["active"] = "active"

    @classmethod
    def of(cls, stream_id: str) -> PushReply:
        return cls(
            stream_token=stream_id,
            stream_id=stream_id,
            video_uuid=stream_id,
            video_id=stream_id,
            websocket_url=f"/ws/stream/{stream_id}",
        )


class RegisterRequest(BaseModel):
    """The body of ``register``."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"rtsp_url": EXAMPLE_INPUT}]}
    )

    rtsp_url: str = Field(strict=True)


class StreamConfig(BaseModel):
    """The effective settings, under the request's own names; passwords in URLs are masked."""

    rtsp_url: str
    max_fps: float
    downscale: float
    output_url: str | None
    blur: BlurStyle
    blur_margin: float
    rotate: Rotation
    encoder: str
    bitrate: int | None
    transport: Transport
    name: str | None
    analytics: dict[str, dict[str, Any]]
    # The contract has no such fields, so they are there only if somebody has set them.
    stall_timeout_s: float | None = Field(exclude_if=lambda limit: limit is None)
    start_timeout_s: float | None = Field(exclude_if=lambda limit: limit is None)
    detect_url: str | None = Field(exclude_if=lambda url: url is None)
    zones: list[ZoneShape] = Field(exclude_if=lambda zones: not zones)
    lines: list[LineShape] = Field(exclude_if=lambda lines: not lines)
    record: Record = Field(exclude_if=lambda record: record == DEFAULTS.record)
    clip_before_s: float = Field(exclude_if=lambda seconds: seconds == DEFAULTS.clip_before_s)
    clip_after_s: float = Field(exclude_if=lambda seconds: seconds == DEFAULTS.clip_after_s)
    continuous_days: float | None = Field(exclude_if=lambda days: days is None)
    event_days: float | None = Field(exclude_if=lambda days: days is None)
    flagged_days: float | None = Field(exclude_if=lambda days: days is None)

    @classmethod
    def of(cls, spec: StreamSpec) -> StreamConfig:
        shown: dict[str, Any] = {
            "rtsp_url": urls.without_credentials(spec.source),
            "output_url": spec.output and urls.without_credentials(spec.output),
            "detect_url": spec.detect_url and urls.without_credentials(spec.detect_url),
            "zones": [ZoneShape.of(zone) for zone in spec.zones],
            "lines": [LineShape.of(line) for line in spec.lines],
        }
        same = {name: getattr(spec, name) for name in cls.model_fields if name not in shown}
        return cls(**shown, **same)


class Latency(BaseModel):
    """Milliseconds from capture to publish."""

    p50: float | None
    p95: float | None


class SubstreamReply(BaseModel):
    """The second stream of a camera with a `detect_url`."""

    model_config = ConfigDict(from_attributes=True)

    serves: Literal["looks", "frames"] | None = Field(
        description="`looks`: objects are detected in it; `frames`: nobody watches, so it is also "
        "shown instead of the first stream; null: it does not run, so the first one does all."
    )
    fps: float
    width: int | None
    height: int | None
    apart_ms: float | None = Field(
        description="Time between a frame and the frame of the second stream looked at for it."
    )


class StreamStatsReply(BaseModel):
    """Counters and rates of a stream since it was last started."""

    input_fps: float
    output_fps: float
    frames_in: int
    frames_skipped: int = Field(
        exclude_if=lambda count: count == 0,
        description="Not decoded, because `max_fps` asks for fewer and no other frame needs them.",
    )
    frames_dropped: int = Field(description="Not processed because a newer frame had arrived.")
    frames_published: int
    frames_withheld: int = Field(
        description="Not shown, because their faces could not be detected in time."
    )
    faces: int = Field(description="Faces covered in the newest frame.")
    last_frame_ts: float | None
    error_count: int
    reconnects: int
    last_error: str | None
    latency_ms: Latency
    codec: str | None = Field(description="Codec of the input.")
    decoder: str | None = Field(
        description="What decodes the input: `cpu`, or hardware such as `cuda` or `qsv`."
    )
    encoder: str | None = Field(
        description="Encoder of the output: `libx264`, or hardware such as `h264_nvenc`."
    )
    width: int | None = Field(description="Width of the output, pixels.")
    height: int | None
    uptime_s: float
    substream: SubstreamReply | None = Field(exclude_if=lambda stats: stats is None)
    places: PlaceCountsReply | None = Field(
        exclude_if=lambda counts: counts is None,
        description="Counts of zones and lines, where the rule `objects` runs.",
    )

    @classmethod
    def of(cls, stats: StreamStats) -> StreamStatsReply:
        values: dict[str, Any] = {
            name: getattr(stats, name) for name in cls.model_fields if hasattr(stats, name)
        }
        values["places"] = PlaceCountsReply.of(stats.places)
        latency = Latency(p50=stats.latency_p50_ms, p95=stats.latency_p95_ms)
        return cls(**values, latency_ms=latency)


class StreamRow(BaseModel):
    """A stream in the list."""

    stream_id: str
    status: str
    fps: float
    last_frame_ts: float | None
    error_count: int

    @classmethod
    def of(cls, status: StreamStatus) -> StreamRow:
        return cls(
            stream_id=status.spec.stream_id,
            status=status.state.value,
            fps=status.stats.output_fps,
            last_frame_ts=status.stats.last_frame_ts,
            error_count=status.stats.error_count,
        )


class StreamBrief(BaseModel):
    """A stream and its state."""

    stream_id: str
    status: str


class StreamStarted(StreamBrief):
    """A started stream with its settings."""

    config: StreamConfig


class StreamDetail(StreamStarted):
    """A stream with its settings and statistics."""

    stats: StreamStatsReply
    reduced: ReducedReply | None = Field(description="null: nothing is given up.")


class StreamDisconnected(StreamBrief):
    """A stream that was removed."""

    message: str


class StreamByInput(BaseModel):
    """The stream that reads an input."""

    stream_id: str
    input_url: str
    output_url: str
    name: str
    status: str
    message: str


class StreamRegistered(BaseModel):
    """The output of the new stream."""

    output_url: str
