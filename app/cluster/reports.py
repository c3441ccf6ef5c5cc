"""What nodes and the front send each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from app.events import Event
from app.pipeline.packets import VideoPacket
from app.pipeline.stream_metrics import StreamGauges
from app.types import FrameMetadata, JpegFrame, StreamStatus, WithheldFrame

Followed = JpegFrame | VideoPacket | FrameMetadata | WithheldFrame
F = TypeVar("F", bound=Followed)


@dataclass(frozen=True, slots=True)
class FrontFacts:
    """What a front says of itself.

    Attributes:
        number: the fencing number of its role.
        session: whose lease the role is; a node that finds it has the same database.
        database_url: of the leases, with its password. Ray keeps the arguments of such a call
            nowhere, unlike those with which an actor is made.
    """

    number: int
    session: str
    lease_s: float
    database_url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node is, asked once.

    Attributes:
        version: of Watchpost on it.
        token, tls: whether its Ray asks for a token, and encrypts.
        incarnation: differs after each start of its process.
        files: the name of what it has stored, which rows have.
    """

    version: str
    token: bool
    tls: bool
    incarnation: str
    files: str = ""


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """The state of a stream on a node."""

    status: StreamStatus
    gauges: StreamGauges | None
    alive: bool
    recorded: bool


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The streams of a node, and what happened in them.

    Attributes:
        incarnation: of the process; its events are numbered from 1 on.
        events: those that the front has not confirmed, oldest first; some at a time.
        lost: events that were dropped because no front took them.
        clock: what to add to the node's monotonic times for Unix times.
        draining: whether it is to be emptied.
        recorded: keys of the sources that it records for jobs, or has news of.
    """

    incarnation: str
    streams: Sequence[RemoteStatus]
    events: Sequence[Event]
    lost: int
    clock: float
    draining: bool = False
    recorded: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class NextValue:
    """The next value of something that a viewer follows; None at its end."""

    value: Followed | None
    clock: float


def on_clock(value: F, shift_s: float) -> F:
    """A value with its monotonic times moved to another machine's clock."""
    if isinstance(value, JpegFrame):
        return replace(value, metadata=on_clock(value.metadata, shift_s))
    if isinstance(value, VideoPacket):
        return replace(value, captured_at=value.captured_at + shift_s)
    if isinstance(value, FrameMetadata):
        return replace(
            value,
            captured_at=value.captured_at + shift_s,
            taken_at=value.taken_at + shift_s,
            finished_at=value.finished_at + shift_s,
        )
    return value
