"""The messages on the WebSocket of a stream's H.264 video, in the order in which they come."""

from __future__ import annotations

from time import monotonic
from typing import Annotated, Literal

from pydantic import Field, RootModel

from app.api.ws_messages import Detected, EndMessage, ErrorMessage, SocketMessage, detections_of
from app.pace import unix_time
from app.pipeline.packets import VideoPacket
from app.pipeline.sinks.fragments import TIMESCALE, FragmentedVideo
from app.types import FrameMetadata, StreamSpec

Encoder = Literal["output", "recordings", "viewers"]


class VideoMessage(SocketMessage):
    """Before an initialisation segment, which is the next, binary message: what follows is of this
    kind, until the next one."""

    type: Literal["video"] = "video"
    stream_id: str
    codec: str = Field(description="RFC 6381.", examples=["avc1.42c01f"])
    width: int
    height: int
    timescale: int = Field(
        description="Units of `time`, and of the track, in a second.", examples=[TIMESCALE]
    )
    max_fps: float = Field(
        description="Most frames a second, as the stream is configured.", examples=[15.0]
    )
    encoded_for: Encoder = Field(
        description="For whom it would be encoded without viewers, too: the RTSP output, or clips "
        "and recordings; `viewers`: for nobody, so the encoder ends with the last viewer."
    )


class FrameMessage(SocketMessage):
    """Before a fragment, which is the next, binary message: one frame, and what is in it."""

    type: Literal["frame"] = "frame"
    frame: int = Field(description="Its number, the same as in `result` of `/ws/stream/…`.")
    ts: float = Field(description="When it was captured, Unix seconds.")
    age_ms: float = Field(
        description="How long ago that was when the message was sent.", examples=[58.3]
    )
    time: int = Field(
        description="Its presentation time, in units of `timescale`.", examples=[180_000]
    )
    keyframe: bool = Field(examples=[False])
    width: int = Field(0, description="Size of the frame that the boxes are in; 0 without boxes.")
    height: int = 0
    detections: list[Detected] | None = Field(
        None, description="null: not known, as for frames from before the socket was opened."
    )


class VideoSocketMessage(
    RootModel[
        Annotated[
            VideoMessage | FrameMessage | ErrorMessage | EndMessage, Field(discriminator="type")
        ]
    ]
):
    """Any text message of the video socket; ``type`` says which."""


def video_message(spec: StreamSpec, video: FragmentedVideo, *, recorded: bool) -> VideoMessage:
    """What the following segments contain."""
    width, height = video.size
    without_output: Encoder = "recordings" if recorded else "viewers"
    return VideoMessage(
        stream_id=spec.stream_id,
        codec=video.codec,
        width=width,
        height=height,
        timescale=TIMESCALE,
        max_fps=spec.max_fps,
        encoded_for="output" if spec.output is not None else without_output,
    )


def frame_message(packet: VideoPacket, time: int, metadata: FrameMetadata | None) -> FrameMessage:
    """What the following fragment contains."""
    width, height = metadata.size if metadata is not None else (0, 0)
    return FrameMessage(
        frame=packet.frame,
        ts=round(unix_time(packet.captured_at), 3),
        age_ms=round((monotonic() - packet.captured_at) * 1000, 1),
        time=time,
        keyframe=packet.is_keyframe,
        width=width,
        height=height,
        detections=detections_of(metadata.tracks) if metadata is not None else None,
    )
