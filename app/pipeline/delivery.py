"""Delivers processed frames to the sinks of a stream, each with a channel and a thread."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from app.config import StreamSettings
from app.pipeline.channel import FILE_QUEUE, Channel
from app.pipeline.sinks import Output, Preview, Sink
from app.pipeline.subscribers import Subscribers
from app.pipeline.supervisor import OUTPUT, PREVIEW, Worker
from app.types import ProcessedFrame, StreamSpec

IDLE_CHECK_S = 0.5
OnDelivered = Callable[[str, float, float], None]
"""Called with the sink's name and a frame's times: captured_at, delivered_at."""


class Delivery:
    """Hands every processed frame to the preview and, where there is one, to the output.

    Args:
        live: the source does not wait, so a slow sink gets only the newest frames.
        make_sink: creates the output; gives None for a stream that is only previewed.
    """

    def __init__(
        self,
        spec: StreamSpec,
        settings: StreamSettings,
        subscribers: Subscribers,
        on_delivered: OnDelivered,
        live: bool,
        make_sink: Output,
    ) -> None:
        output = make_sink(spec, settings, functools.partial(on_delivered, OUTPUT))
        self.preview = Preview(subscribers.jpegs, functools.partial(on_delivered, PREVIEW))
        self._subscribers = subscribers
        self._sinks: dict[str, tuple[Sink, Channel[ProcessedFrame]]] = {
            PREVIEW: (self.preview, Channel(1, live=True))
        }
        if output is not None:
            self._sinks[OUTPUT] = (output, Channel(2 if live else FILE_QUEUE, live=live))
        self._channels = [channel for _, channel in self._sinks.values()]

    def put(self, frame: ProcessedFrame) -> None:
        """Queue a frame for every sink. Raises Closed when the stream ends."""
        for channel in self._channels:
            channel.put(frame)

    @property
    def channels(self) -> list[Channel[ProcessedFrame]]:
        """The channel of each sink, that of the far end last."""
        return self._channels

    @property
    def waiting(self) -> dict[str, int]:
        """How many frames wait for each sink."""
        return {name: len(channel) for name, (_, channel) in self._sinks.items()}

    @property
    def is_watched(self) -> bool:
        """Whether somebody gets the frames now: an output, a viewer or a recording."""
        subscribers = self._subscribers
        has_viewers = subscribers.jpegs.wanted or subscribers.processed.wanted
        return OUTPUT in self._sinks or has_viewers or self.preview.recently_shown

    @property
    def encoder(self) -> str | None:
        """The encoder of the output, if it has one and it is open."""
        return getattr(self._sinks[OUTPUT][0], "encoder", None) if OUTPUT in self._sinks else None

    def workers(self) -> list[Worker]:
        """One worker for each sink."""
        return [
            Worker(
                name,
                functools.partial(_deliver, sink, channel),
                subscriptions=[self._subscribers.jpegs] if name == PREVIEW else [],
            )
            for name, (sink, channel) in self._sinks.items()
        ]


def _deliver(sink: Sink, channel: Channel[ProcessedFrame]) -> None:
    """Write the frames of a channel to its sink, until the channel is closed."""
    last_at = time.monotonic()
    try:
        while True:
            frame = channel.get(timeout=IDLE_CHECK_S)
            if frame is None:
                sink.idle(time.monotonic() - last_at)
            else:
                sink.write(frame)
                last_at = time.monotonic()
    finally:
        sink.close()
