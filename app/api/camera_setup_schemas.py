"""Schemas of the calls that help to add a camera: makers, tests of a connection, discovery."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app import urls
from app.api.camera_schemas import Source
from app.api.errors import ErrorReply
from app.discovery.makers import Maker
from app.discovery.onvif import OnvifDevice, OnvifStream
from app.discovery.ws_discovery import FoundCamera
from app.pipeline.connection_test import ConnectionReport
from app.pipeline.sources.named import source_url
from app.types import Rotation, StreamSpec, StreamStatus, Transport

TEST_ID = "connection-test"
TEST_FPS = 5.0
"""One picture is wanted, and other streams need the machine."""
MIN_SECOND = 640
"""Longer side, in pixels, of a second stream in which objects can be told apart."""
User = Annotated[str, Field(max_length=200)]
Password = Annotated[SecretStr, Field(max_length=200)]


class MakerReply(BaseModel):
    """Where the cameras of a maker have their streams."""

    name: str = Field(examples=["Hikvision"])
    main: str = Field(
        description="URL of the first stream; `{host}` stands for the camera's address.",
        examples=["rtsp://{host}:554/Streaming/Channels/101"],
    )
    second: str | None = Field(
        description="URL of the smaller stream, for `detect_url`; null: none at a known address.",
        examples=["rtsp://{host}:554/Streaming/Channels/102"],
    )
    note: str | None = Field(
        description="What has to be set up in the camera first.",
        examples=["Turn RTSP on in the camera's settings."],
    )

    @classmethod
    def of(cls, maker: Maker) -> MakerReply:
        return cls(**maker._asdict())


class ConnectionRequest(BaseModel):
    """A source to try."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"source": "rtsp://192.0.2.10/stream1", "user": "admin", "password": "secret"}
            ]
        },
    )

    source: Source | None = Field(
        None, description="As for a camera. Default: that of `camera_id`."
    )
    camera_id: str | None = Field(
        None, max_length=64, description="A camera whose stored source is tried, with its login."
    )
    user: User = Field("", description="Replaces the user in the URL.")
    password: Password = Field(
        SecretStr(""), description="Replaces the password in the URL, as it is: nothing is encoded."
    )
    transport: Transport = Field("tcp", description="Transport of RTSP media.")
    rotate: Rotation = Field(0, description="Degrees to turn the picture clockwise.")

    def to_spec(self, stored: StreamSpec | None, folders: Iterable[Path]) -> StreamSpec:
        """What is tried. Raises InvalidRequest, AddressNotAllowed."""
        if self.source is not None:
            source = source_url(self.source, folders)
        else:
            source = stored.source if stored is not None else ""
        if self.user and urls.is_network(source):
            source = urls.with_login(source, self.user, self.password.get_secret_value())
        return StreamSpec(
            TEST_ID,
            source,
            max_fps=TEST_FPS,
            transport=self.transport,
            rotate=self.rotate,
            loop=True,  # a short file would be over before it is measured
            paced=True,
            record="off",
        )


class ConnectionReply(BaseModel):
    """What a source sends, or why it cannot be used."""

    ok: bool = Field(description="Whether frames arrived.")
    error: ErrorReply | None = Field(description="Why not; null if they did.")
    advice: str | None = Field(
        description="What to do about the error, in words.",
        examples=["Check user and password. Many cameras have an account of their own for RTSP."],
    )
    codec: str | None = Field(examples=["h264"])
    width: int | None = Field(description="Of the upright picture, pixels.", examples=[1920])
    height: int | None = Field(examples=[1080])
    fps: float | None = Field(
        description="Frames a second that arrived; null if too few did to tell.", examples=[25.0]
    )
    sound: str | None = Field(
        description="Codec of the sound; null: none, or not known.", examples=["aac"]
    )
    seconds: float | None = Field(description="Until the first frame.", examples=[0.8])
    jpeg: str | None = Field(
        description="A frame as JPEG in Base64, always with faces covered.", examples=["/9j/4AAQ…"]
    )
    withheld: str | None = Field(
        description="Why there is no picture although frames arrive: their faces could not be "
        "searched for.",
        examples=[None],
    )

    @classmethod
    def of(cls, report: ConnectionReport) -> ConnectionReply:
        return cls(
            ok=True,
            error=None,
            advice=None,
            codec=report.codec or None,
            width=report.width,
            height=report.height,
            fps=report.fps or None,
            sound=report.sound,
            seconds=report.seconds,
            jpeg=report.jpeg and base64.b64encode(report.jpeg).decode(),
            withheld=report.withheld,
        )

    @classmethod
    def failed(cls, error: ErrorReply, advice: str | None) -> ConnectionReply:
        nothing = {name: None for name in cls.model_fields if name not in ("ok", "error", "advice")}
        return cls(ok=False, error=error, advice=advice, **nothing)


class DiscoveryRequest(BaseModel):
    """How to look for cameras. Everything is optional."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"wait_s": 3}]})

    wait_s: float = Field(
        3.0, ge=0.5, le=10, allow_inf_nan=False, description="Seconds to wait for answers."
    )
    hosts: list[Annotated[str, Field(min_length=1, max_length=255)]] = Field(
        [],
        max_length=32,
        description="Addresses (`host` or `host:port`) that are asked directly, for cameras in "
        "another network, which the question to all does not reach.",
    )


class FoundCameraReply(BaseModel):
    """A camera that answered."""

    host: str = Field(examples=["192.0.2.10"])
    service: str = Field(
        description="For `POST /api/cameras/onvif`.",
        examples=["http://192.0.2.10/onvif/device_service"],
    )
    name: str = Field(examples=["Front door"])
    hardware: str = Field(examples=["DS-2CD2143G2"])
    location: str = Field(examples=["Berlin"])
    cameras: list[str] = Field(
        description="Cameras of this server at that address.", examples=[["CAM_01"]]
    )

    @classmethod
    def of(cls, found: FoundCamera, statuses: Sequence[StreamStatus]) -> FoundCameraReply:
        here = [one.spec for one in statuses if urls.is_network(one.spec.source)]
        same = [spec.stream_id for spec in here if urlsplit(spec.source).hostname == found.host]
        return cls(**found._asdict(), cameras=same)


class OnvifRequest(BaseModel):
    """A camera to ask for its streams."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"address": "192.0.2.10", "user": "admin", "password": "secret"}]
        },
    )

    address: str = Field(
        min_length=1,
        max_length=urls.MAX_LENGTH,
        description="`host`, `host:port`, or the `service` of a camera that was discovered.",
    )
    user: User = ""
    password: Password = SecretStr("")

    @property
    def service(self) -> str:
        """The URL of the camera's device service."""
        return self.address if "://" in self.address else f"http://{self.address}"


class OnvifStreamReply(BaseModel):
    """One of a camera's streams."""

    name: str = Field(examples=["mainStream"])
    url: str = Field(
        description="Without user and password; put them into `source` yourself.",
        examples=["rtsp://192.0.2.10:554/Streaming/Channels/101"],
    )
    codec: str = Field(examples=["H264"])
    width: int | None = Field(examples=[1920])
    height: int | None = Field(examples=[1080])
    fps: float | None = Field(examples=[25])


class OnvifReply(BaseModel):
    """What a camera says of itself."""

    maker: str = Field(examples=["HIKVISION"])
    model: str = Field(examples=["DS-2CD2143G2"])
    firmware: str = Field(examples=["V5.7.3"])
    streams: list[OnvifStreamReply] = Field(description="Those with the most pixels first.")
    main: int | None = Field(
        description="Which of them to use as `source`; null: there is none.", examples=[0]
    )
    second: int | None = Field(
        description="Which of them to use as `detect_url`; null: none is smaller.", examples=[1]
    )

    @classmethod
    def of(cls, device: OnvifDevice) -> OnvifReply:
        return cls(
            maker=device.maker,
            model=device.model,
            firmware=device.firmware,
            streams=[OnvifStreamReply(**one._asdict()) for one in device.streams],
            main=0 if device.streams else None,
            second=second_stream(device.streams),
        )


def second_stream(streams: Sequence[OnvifStream]) -> int | None:
    """The smallest stream in which objects can still be told apart, or else the largest of those
    that are smaller than the first."""
    longest = [max(one.width or 0, one.height or 0) for one in streams]
    smaller = [number for number, side in enumerate(longest) if 0 < side < longest[0]]
    enough = [number for number in smaller if longest[number] >= MIN_SECOND]
    if enough:
        return min(enough, key=longest.__getitem__)
    return max(smaller, key=longest.__getitem__, default=None)
