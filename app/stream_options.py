"""The options of a stream: limits, defaults and descriptions, defined once for every API.

Requests inherit from the class with the options of their API; a ``StreamSpec`` holds the checked
values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from app import urls
from app.place_options import MAX_PLACES, LineShape, ZoneShape
from app.types import BlurStyle, Line, Record, Rotation, StreamSpec, Transport, Zone

DEFAULTS = StreamSpec("", "")
MAX_NAME = 100
SOFTWARE_ENCODER = "libx264"
HARDWARE_ENCODERS = ("h264_nvenc", "h264_qsv", "h264_videotoolbox", "h264_amf", "h264_v4l2m2m")
ANALYTICS = (
    "The rules to run: a list of names (`smoking`), or an object that maps names to settings of "
    'this stream, such as `{"smoking": {"confirm": 5}}`.'
)
ROTATE = (
    "Degrees to turn the frames clockwise, for a camera that is mounted sideways. This is applied "
    "after the orientation that a video or photo states itself."
)
DETECT_URL = (
    "The camera's second, smaller stream (rtsp:// or rtsps://), for a `source` over RTSP. Objects "
    "are detected in it. While nobody watches, it is also shown instead of the first one, which is "
    "then not decoded, if it is at least as large as the face detector's input "
    "(`WATCHPOST_FACES__WIDTH`). Both must show the same view."
)
RECORD = (
    "What is recorded, always with faces covered: `events`, a clip of each event; `continuous`, "
    "everything, and the clips; or `off`."
)
MAX_DAYS = 36_500
DAYS = "Days to keep, instead of the server's setting, of"
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def analytics_by_name(given: object) -> object:
    """A list of names, or a mapping, as the mapping of a spec. Raises ValueError."""
    if isinstance(given, list | tuple) and all(isinstance(name, str) for name in given):
        return {name: {} for name in given}
    if isinstance(given, Mapping):
        return {
            name: dict(settings) if isinstance(settings, Mapping) else settings
            for name, settings in given.items()
        }
    raise ValueError("give a list of names, or an object of names and settings")


RuleSettings = Annotated[
    dict[str, dict[str, Any]],
    BeforeValidator(analytics_by_name),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": {"type": "object"}},
            ]
        }
    ),
]


class BasicOptions(BaseModel):
    """The options of every stream, including push streams."""

    name: Annotated[str, Field(strict=True, min_length=1, max_length=MAX_NAME)] | None = Field(
        DEFAULTS.name, description="Display name. Default: the id."
    )
    analytics: RuleSettings = Field({}, description=ANALYTICS)
    blur: BlurStyle = Field(DEFAULTS.blur, description="How faces are covered.")
    rotate: Rotation = Field(DEFAULTS.rotate, description=ROTATE)
    record: Record = Field(DEFAULTS.record, description=RECORD)
    clip_before_s: Number = Field(
        DEFAULTS.clip_before_s, ge=0, le=30, description="Seconds before an event in its clip."
    )
    clip_after_s: Number = Field(
        DEFAULTS.clip_after_s, ge=1, le=60, description="Seconds after an event in its clip."
    )
    zones: list[ZoneShape] = Field(
        default_factory=list, max_length=MAX_PLACES, description="Parts of the upright frame."
    )
    lines: list[LineShape] = Field(
        default_factory=list,
        max_length=MAX_PLACES,
        description="Lines in the upright frame that the rule `objects` counts crossings of.",
    )

    def zone_values(self) -> tuple[Zone, ...]:
        """The zones as a spec has them."""
        return tuple(zone.to_zone() for zone in self.zones)

    def line_values(self) -> tuple[Line, ...]:
        """The lines as a spec has them."""
        return tuple(line.to_line() for line in self.lines)


class StreamOptions(BasicOptions):
    """The options of a stream that reads a source."""

    max_fps: Number = Field(
        DEFAULTS.max_fps, ge=0.1, le=60, description="Upper limit of the output's frame rate."
    )
    downscale: Number = Field(
        DEFAULTS.downscale, ge=0.1, le=1, description="0.5 halves width and height."
    )
    blur_margin: Number = Field(
        DEFAULTS.blur_margin,
        ge=0,
        le=2,
        description="Margin that is covered around a face, as a share of its size; a small face "
        "has that of one with a 60th of the frame's longer side.",
    )
    transport: Transport = Field(DEFAULTS.transport, description="Transport of RTSP media.")
    stall_timeout_s: Number | None = Field(
        DEFAULTS.stall_timeout_s,
        ge=1,
        le=600,
        description="Seconds without a frame after which the source counts as lost. Default: the "
        "server's limit, or three times the time between two frames if that is longer.",
    )
    start_timeout_s: Number | None = Field(
        DEFAULTS.start_timeout_s,
        ge=1,
        le=120,
        description="Seconds to wait for the first frame of a slow source. A request still gets "
        "its reply within the server's limit; the stream then keeps starting.",
    )
    continuous_days: Number | None = Field(
        DEFAULTS.continuous_days, gt=0, le=MAX_DAYS, description=f"{DAYS} continuous recordings."
    )
    event_days: Number | None = Field(
        DEFAULTS.event_days, gt=0, le=MAX_DAYS, description=f"{DAYS} clips of events."
    )
    flagged_days: Number | None = Field(
        DEFAULTS.flagged_days, gt=0, le=MAX_DAYS, description=f"{DAYS} what was flagged of both."
    )
    detect_url: str | None = Field(
        DEFAULTS.detect_url, strict=True, max_length=urls.MAX_LENGTH, description=DETECT_URL
    )


class PublishedOptions(StreamOptions):
    """The options of a stream that is published over RTSP."""

    encoder: Literal["auto", SOFTWARE_ENCODER, *HARDWARE_ENCODERS] = Field(  # type: ignore[valid-type]
        DEFAULTS.encoder,
        description="H.264 encoder; `auto` uses working hardware, else libx264.",
    )
    bitrate: int | None = Field(
        DEFAULTS.bitrate, strict=True, ge=50_000, le=100_000_000, description="Bits per second."
    )


class CameraOptions(StreamOptions):
    """The options of a camera."""

    name: str | None = Field(
        DEFAULTS.name,
        max_length=MAX_NAME,
        description="Display name. Default, also if it is empty: the id.",
    )
    loop: bool = Field(DEFAULTS.loop, strict=True, description="Restart a file when it ends.")
    interval: Number | None = Field(
        DEFAULTS.interval,
        ge=0.1,
        le=3600,
        description="Seconds between two requests to a URL of a single image. Default: 1, or more "
        "if `max_fps` is below 1.",
    )
