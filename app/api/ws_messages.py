"""What is said on a stream's WebSocket: every message, as a schema, and how each is made.

``VERSION`` counts up when a message changes so that a client could misunderstand it; new fields
and new types of messages do not count, so clients skip what they do not know.
"""

from __future__ import annotations

import functools
import time
from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel

from app.api.events import EventMessage, MissedMessage
from app.pipeline.push import FrameAck
from app.types import (
    LABELS,
    BlurStyle,
    Event,
    EventRow,
    FrameMetadata,
    StreamSpec,
    StreamState,
    Track,
)

VERSION: Literal[1] = 1
State = Literal["starting", "running", "reconnecting", "stopped", "failed"]


class Message(BaseModel):
    """What all messages have."""

    version: Literal[1] = VERSION

    def text(self) -> str:
        """The message as it is sent."""
        return self.model_dump_json()


class Detected(BaseModel):
    """Somebody or something in the picture."""

    track_id: int = Field(description="Stays the same from frame to frame.")
    label: str = Field(examples=list(LABELS))
    confidence: float = Field(description="0 to 1.")
    box: tuple[float, float, float, float] = Field(
        description="x1, y1, x2, y2 in pixels of the shown picture (width x height)."
    )


class Timing(BaseModel):
    """What became of the time between a frame's arrival and its ack, in milliseconds."""

    waited_ms: float = Field(description="Until the server began to decode it.")
    processed_ms: float = Field(description="Decoding, networks, tracking, blurring.")
    total_ms: float


class HelloMessage(Message):
    """First on every socket."""

    type: Literal["hello"] = "hello"
    stream_id: str
    name: str
    state: State
    blur: BlurStyle
    analytics: list[str] = Field(description="What runs on this stream; may be none.")


class ResultMessage(Message):
    """To viewers: what is in a frame. The newest wins: a slow viewer misses some."""

    type: Literal["result"] = "result"
    stream_id: str
    frame: int
    ts: float = Field(description="When it was captured, Unix seconds.")
    width: int
    height: int
    fps: float
    latency_ms: float = Field(description="From capture until everything about it was known.")
    detections: list[Detected]


class StateMessage(Message):
    """The stream's state changed."""

    type: Literal["state"] = "state"
    stream_id: str
    state: State
    reason: str | None


class AckMessage(Message):
    """To a pusher: a frame of its own came through."""

    type: Literal["ack"] = "ack"
    stream_id: str
    frame: int = Field(description="The pusher's messages are counted from 1, on each socket.")
    dropped: int = Field(description="Its frames since the last ack that newer ones replaced.")
    timing: Timing
    width: int
    height: int
    detections: list[Detected]


class DroppedMessage(Message):
    """To a pusher: a frame of its own was replaced by a newer one, and no ack says so."""

    type: Literal["dropped"] = "dropped"
    stream_id: str
    frame: int


class ErrorMessage(Message):
    """Something is wrong with one message, or with the address. Pushing may go on."""

    type: Literal["error"] = "error"
    stream_id: str
    code: str = Field(examples=["BAD_FRAME", "NOT_PUSHABLE", "STREAM_NOT_FOUND"])
    message: str
    frame: int | None


class EndMessage(Message):
    """The stream is over; the server closes the socket."""

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
    return HelloMessage(
        stream_id=spec.stream_id,
        name=spec.name or spec.stream_id,
        state=state.value,
        blur=spec.blur,
        analytics=sorted(spec.analytics),
    )


@functools.lru_cache(maxsize=256)
def result_text(stream_id: str, report: FrameMetadata) -> str:
    """A result as it is sent: made once, however many viewers there are."""
    age_s = time.monotonic() - report.captured_at
    width, height = report.size
    return ResultMessage(
        stream_id=stream_id,
        frame=report.number,
        ts=round(time.time() - age_s, 3),
        width=width,
        height=height,
        fps=report.fps,
        latency_ms=_ms(report.finished_at - report.captured_at),
        detections=_detections(report.tracks),
    ).text()


def ack(stream_id: str, answer: FrameAck) -> AckMessage:
    report = answer.metadata
    width, height = report.size
    return AckMessage(
        stream_id=stream_id,
        frame=answer.frame,
        dropped=answer.dropped,
        timing=Timing(
            waited_ms=_ms(report.taken_at - report.captured_at),
            processed_ms=_ms(report.finished_at - report.taken_at),
            total_ms=_ms(report.finished_at - report.captured_at),
        ),
        width=width,
        height=height,
        detections=_detections(report.tracks),
    )


def event(happened: Event) -> EventMessage:
    return EventMessage.of(EventRow.of(happened))


def _detections(tracks: tuple[Track, ...]) -> list[Detected]:
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
