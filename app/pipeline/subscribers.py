"""The subscribers of a stream: viewers, sockets, recordings, and whatever takes its events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from app.events import RuleEvent
from app.pace import unix_time
from app.pipeline.channel import Broadcast
from app.pipeline.hub import EventStream, LatestValue
from app.pipeline.packets import VideoPacket
from app.types import BlurredFrame, FrameMetadata, JpegFrame, ProcessedFrame, WithheldFrame

OnRuleEvent = Callable[[RuleEvent, float, BlurredFrame | None], None]
"""Called with an event of a rule, its Unix time, and the frame it happened in."""


class Subscribers(NamedTuple):
    """The ways to follow one run of a stream; all of them end with it.

    Attributes:
        jpegs: the newest frame as JPEG, while there are viewers.
        outcomes: the outcome of every frame, in order.
        on_event: takes the events of the rules.
        processed: every processed frame, for other threads, such as recordings.
        packets: every encoded frame, for viewers.
    """

    jpegs: LatestValue[JpegFrame]
    outcomes: EventStream[FrameMetadata | WithheldFrame]
    on_event: OnRuleEvent
    processed: Broadcast[ProcessedFrame]
    packets: EventStream[VideoPacket]

    @classmethod
    def on(
        cls, loop: asyncio.AbstractEventLoop, on_event: OnRuleEvent = lambda *_: None
    ) -> Subscribers:
        """A set without subscribers, on this event loop."""
        return cls(LatestValue(loop), EventStream(loop), on_event, Broadcast(), EventStream(loop))

    def report(self, rule_event: RuleEvent, captured_at: float, frame: BlurredFrame | None) -> None:
        """Pass a rule's event on, with its Unix time and the frame it happened in."""
        happened_at = captured_at if rule_event.at is None else rule_event.at
        self.on_event(rule_event, unix_time(happened_at), frame)
