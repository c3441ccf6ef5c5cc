"""Delivers processed frames to the sinks of a stream, each with a channel and a thread."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from app.config import StreamSettings
from app.pipeline.channel import FILE_QUEUE, Channel
from app.pipeline.packets import PacketRing
from app.pipeline.sinks import Output, Preview, Sink
from app.pipeline.sinks.recording import RecordingEncoder
from app.pipeline.sinks.ring_feed import RingFeed
from app.pipeline.sinks.rtsp import RtspSink
from app.pipeline.subscribers import Subscribers
from app.pipeline.supervisor import OUTPUT, PREVIEW, RECORDING, Closable, Worker
from app.types import ProcessedFrame, StreamSpec

IDLE_CHECK_S = 0.5
OnDelivered = Callable[[str, float, float], None]
"""Called with the sink's name and a frame's times: captured_at, delivered_at."""


class FrameDelivery:
    """Hands every processed frame to the preview and to the output, and some to be encoded.

    Args:
        live: the source does not wait, so a slow sink gets only the newest frames.
        make_sink: creates the output; gives None for a stream that is only previewed.
        packets: the ring to fill; None for a stream that must not be encoded here.
    """

    def __init__(
        self,
        spec: StreamSpec,
        settings: StreamSettings,
        subscribers: Subscribers,
        on_delivered: OnDelivered,
        live: bool,
        make_sink: Output,
        packets: PacketRing | None = None,
    ) -> None:
        output = make_sink(spec, settings, functools.partial(on_delivered, OUTPUT))
        self.preview = Preview(subscribers.jpegs, functools.partial(on_delivered, PREVIEW))
        self._subscribers = subscribers
        self._sinks: dict[str, tuple[Sink, Channel[ProcessedFrame]]] = {
            PREVIEW: (self.preview, Channel(1, live=True))
        }
        self._recording: RecordingEncoder | None = None
        if packets is not None:
            packets.viewers = subscribers.packets
            recorded = functools.partial(on_delivered, RECORDING)
            self._recording = RecordingEncoder(spec, settings, packets, recorded)
            self._sinks[RECORDING] = (self._recording, Channel(1, live=True))
            if isinstance(output, RtspSink):
                output.feed = RingFeed(packets, by_output=True)
        self._packets = packets
        records = packets is not None and packets.recorded
        self._records_all = records and spec.record == "continuous"
        if output is not None:
            self._sinks[OUTPUT] = (output, Channel(2 if live else FILE_QUEUE, live=live))
        self._channels = [channel for _, channel in self._sinks.values()]

    def put(self, frame: ProcessedFrame) -> None:
        """Queue a frame for every sink. Raises Closed when the stream ends."""
        for sink, channel in self._sinks.values():
            if sink is not self._recording or self._recording.wants(frame):
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
        """Whether somebody gets the frames now: an output, a viewer or a recording.

        The clips of events do not count: they show what there is, for no more than they need.
        """
        subscribers = self._subscribers
        followed = (subscribers.jpegs, subscribers.processed, subscribers.packets)
        has_viewers = any(one.wanted for one in followed)
        needed = OUTPUT in self._sinks or self._records_all
        return needed or has_viewers or self.preview.recently_shown

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
                subscriptions=self._ends_with(name),
            )
            for name, (sink, channel) in self._sinks.items()
        ]

    def _ends_with(self, name: str) -> list[Closable]:
        """What a sink's end closes."""
        if name == PREVIEW:
            return [self._subscribers.jpegs]
        return [self._packets] if name == RECORDING and self._packets is not None else []


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
