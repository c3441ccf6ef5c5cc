"""The options of a stream: their limits, defaults and descriptions, said once for every API.

Requests inherit from the class that has the options which their API offers; a ``StreamSpec``
holds the values once they are checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from app.types import BlurStyle, StreamSpec, Transport, Zone

DEFAULTS = StreamSpec("", "")
MAX_NAME = 100
SOFTWARE_ENCODER = "libx264"
HARDWARE_ENCODERS = ("h264_nvenc", "h264_qsv", "h264_videotoolbox", "h264_amf", "h264_v4l2m2m")
ANALYTICS = (
    "What to look for: a list of names (`smoking`), or an object of names and the settings to "
    'change for this stream, such as `{"smoking": {"confirm": 5}}`.'
)
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def analytics_by_name(given: object) -> object:
    """A list of names as the mapping that a spec has. Raises ValueError."""
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


class ZoneShape(BaseModel):
    """A polygon, in shares of the frame's width and height."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["watch", "ignore"] = "watch"
    name: str = Field("", max_length=64)
    points: list[tuple[Share, Share]] = Field(min_length=3, max_length=64)

    @classmethod
    def of(cls, zone: Zone) -> ZoneShape:
        return cls(kind=zone.kind, name=zone.name, points=list(zone.points))

    def to_zone(self) -> Zone:
        return Zone(self.kind, tuple(self.points), self.name)


class BasicOptions(BaseModel):
    """The options that every stream has, including pushed ones."""

    name: Annotated[str, Field(strict=True, min_length=1, max_length=MAX_NAME)] | None = Field(
        DEFAULTS.name, description="Name to show. Default: its id."
    )
    analytics: RuleSettings = Field({}, description=ANALYTICS)
    blur: BlurStyle = Field(DEFAULTS.blur, description="How faces are covered.")


class StreamOptions(BasicOptions):
    """The options of a stream that reads a source of its own."""

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
        description="Covered beyond a face's box, as a share of its size.",
    )
    transport: Transport = Field(DEFAULTS.transport, description="How RTSP carries the media.")
    stall_timeout_s: Number | None = Field(
        DEFAULTS.stall_timeout_s,
        ge=1,
        le=600,
        description="Seconds without a frame after which it counts as lost. Default: the server's "
        "limit, or three times the usual time between two frames where that is longer.",
    )
    start_timeout_s: Number | None = Field(
        DEFAULTS.start_timeout_s,
        ge=1,
        le=120,
        description="Seconds that a slow source may take for its first frame. A call is answered "
        "within the server's limit all the same; the stream then goes on starting.",
    )


class PublishedOptions(StreamOptions):
    """The options of a stream that is published over RTSP."""

    encoder: Literal["auto", SOFTWARE_ENCODER, *HARDWARE_ENCODERS] = Field(  # type: ignore[valid-type]
        DEFAULTS.encoder,
        description="H.264 encoder; `auto` takes hardware that works, else libx264.",
    )
    bitrate: int | None = Field(
        DEFAULTS.bitrate, strict=True, ge=50_000, le=100_000_000, description="Bits per second."
    )


class CameraOptions(StreamOptions):
    """The options of a camera."""

    name: str | None = Field(
        DEFAULTS.name,
        max_length=MAX_NAME,
        description="Name to show. Default, also where it is empty: its id.",
    )
    loop: bool = Field(
        DEFAULTS.loop, strict=True, description="A file starts again when it reaches its end."
    )
    zones: list[ZoneShape] = Field(default_factory=list, max_length=32)
    interval: Number | None = Field(
        DEFAULTS.interval,
        ge=0.1,
        le=3600,
        description="Seconds between two requests, where a URL has a single picture. Default: 1, "
        "or longer where `max_fps` is below 1.",
    )
