"""The messages on a stream's WebSocket: their schemas, and the functions that make them.

``VERSION`` is raised when a message changes in a way that could break a client. New fields and
new types of messages do not raise it, so clients must ignore those that they do not know.
"""

from __future__ import annotations

import functools
import time
from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel

from app.api.events import EventMessage, MissedMessage
from app.events import Event, EventRow
from app.pipeline.push import FrameAck
from app.place_options import LineShape, ZoneShape
from app.types import LABELS, BlurStyle, FrameMetadata, StreamSpec, StreamState, Track

VERSION: Literal[1] = 1
State = Literal["starting", "running", "reconnecting", "stopped", "failed"]


class SocketMessage(BaseModel):
    """Base of all messages."""

    version: Literal[1] = VERSION

    def text(self) -> str:
        """The message as it is sent."""
        return self.model_dump_json()


class Detected(BaseModel):
    """A person or thing in the frame."""

    track_id: int = Field(description="Stays the same from frame to frame.")
    label: str = Field(examples=list(LABELS))
    confidence: float = Field(description="0 to 1.")
    box: tuple[float, float, float, float] = Field(
        description="x1, y1, x2, y2 in pixels of the frame (width x height)."
    )


class Timing(BaseModel):
    """Where the time between a frame's arrival and its ack went, in milliseconds."""

    waited_ms: float = Field(description="From arrival until decoding began.")
    processed_ms: float = Field(description="Decoding, networks, tracking, blurring.")
    total_ms: float


class HelloMessage(SocketMessage):
    """The first message on every socket."""

    type: Literal["hello"] = "hello"
    stream_id: str
    name: str
    state: State
    blur: BlurStyle
    analytics: list[str] = Field(description="Rules that run on this stream; may be empty.")
    zones: list[ZoneShape] = Field([], exclude_if=lambda zones: not zones)
    lines: list[LineShape] = Field([], exclude_if=lambda lines: not lines)


class ResultMessage(SocketMessage):
    """To viewers: the detections of a frame. A slow viewer gets the newest frames only."""

    type: Literal["result"] = "result"
    stream_id: str
    frame: int
    ts: float = Field(description="When it was captured, Unix seconds.")
    width: int
    height: int
    fps: float
    latency_ms: float = Field(description="From capture until the frame was processed.")
    detections: list[Detected]


class StateMessage(SocketMessage):
    """The stream's state changed."""

    type: Literal["state"] = "state"
    stream_id: str
    state: State
    reason: str | None


class AckMessage(SocketMessage):
    """To a pusher: one of its frames was processed."""

    type: Literal["ack"] = "ack"
    stream_id: str
    frame: int = Field(description="Number of the pusher's message on this socket, from 1.")
    dropped: int = Field(description="Its frames since the last ack that newer ones replaced.")
    timing: Timing
    width: int
    height: int
    detections: list[Detected]


class DroppedMessage(SocketMessage):
    """To a pusher: one of its frames was replaced by a newer one, and no ack reports that."""

    type: Literal["dropped"] = "dropped"
    stream_id: str
    frame: int


class ErrorMessage(SocketMessage):
    """A message or the address is wrong. A pusher may continue."""

    type: Literal["error"] = "error"
    stream_id: str
    code: str = Field(examples=["BAD_FRAME", "NOT_PUSHABLE", "STREAM_NOT_FOUND"])
    message: str
    frame: int | None


class EndMessage(SocketMessage):
    """The stream has ended; the server closes the socket."""

    type: Literal["end"] = "end"
    stream_id: str
    reason: str


class LiveMessage(
    RootModel[
        Annotated[
            HelloMessage
            | ResultMessage
            | EventMessage
            | MissedMessage
            | StateMessage
            | AckMessage
            | DroppedMessage
            | ErrorMessage
            | EndMessage,
            Field(discriminator="type"),
        ]
    ]
):
    """Any message from the server; ``type`` says which."""


def hello(spec: StreamSpec, state: StreamState) -> HelloMessage:
    """The first message of a socket."""
    return HelloMessage(
        stream_id=spec.stream_id,
        name=spec.name or spec.stream_id,
        state=state.value,
        blur=spec.blur,
        analytics=sorted(spec.analytics),
        zones=[ZoneShape.of(zone) for zone in spec.zones],
        lines=[LineShape.of(line) for line in spec.lines],
    )


@functools.lru_cache(maxsize=256)
def result_text(stream_id: str, metadata: FrameMetadata) -> str:
    """A result as it is sent; made once for all viewers."""
    age_s = time.monotonic() - metadata.captured_at
    width, height = metadata.size
    return ResultMessage(
        stream_id=stream_id,
        frame=metadata.number,
        ts=round(time.time() - age_s, 3),
        width=width,
        height=height,
        fps=metadata.fps,
        latency_ms=_ms(metadata.finished_at - metadata.captured_at),
        detections=detections_of(metadata.tracks),
    ).text()


def ack(stream_id: str, answer: FrameAck) -> AckMessage:
    """The answer to a pushed frame that was processed."""
    metadata = answer.metadata
    width, height = metadata.size
    return AckMessage(
        stream_id=stream_id,
        frame=answer.frame,
        dropped=answer.dropped,
        timing=Timing(
            waited_ms=_ms(metadata.taken_at - metadata.captured_at),
            processed_ms=_ms(metadata.finished_at - metadata.taken_at),
            total_ms=_ms(metadata.finished_at - metadata.captured_at),
        ),
        width=width,
        height=height,
        detections=detections_of(metadata.tracks),
    )


def event_message(event: Event) -> EventMessage:
    """An event as it is sent."""
    return EventMessage.of(EventRow.of(event))


def detections_of(tracks: tuple[Track, ...]) -> list[Detected]:
    """The persons and things of a frame, as they are sent."""
    return [
        Detected(
            track_id=track.track_id,
            label=track.label,
            confidence=round(track.confidence, 3),
            box=tuple(round(side, 1) for side in track.box),
        )
        for track in tracks
    ]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
