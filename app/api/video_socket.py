"""One viewer's WebSocket for the H.264 video of a stream.

Nothing is queued for a viewer here: the next packet is taken when the last one is sent. What waits
meanwhile is bounded (``app.pipeline.live_video``); a slow viewer skips to the newest keyframe, and
one that reads nothing for ``send_timeout_s`` is disconnected.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property

from app.api.i18n import Language
from app.api.stream_client import CloseSocket, StreamClient
from app.api.video_messages import frame_message, video_message
from app.api.websockets import CONFLICT, NOT_FOUND, ClientSocket
from app.errors import NoPicture, NoVideo, StreamNotFound
from app.metric_types import Collector, Counter, Gauge, counter, gauge
from app.pipeline.directory import StreamDirectory
from app.pipeline.hub import Subscription
from app.pipeline.packets import VideoPacket
from app.pipeline.sinks.fragments import TIMESCALE, FragmentedVideo
from app.rights import Access, Right
from app.types import FrameMetadata, StreamSpec, WithheldFrame

OUTCOMES = 256
"""Results that may wait while a packet is sent."""


@dataclass(frozen=True, slots=True)
class VideoMetrics:
    """Counts of all video sockets of this server."""

    viewers: Gauge = field(
        default_factory=lambda: gauge("video_viewers", "Viewers of live H.264 video.")
    )
    bytes: Counter = field(
        default_factory=lambda: counter("video_bytes", "Bytes of live H.264 video sent to viewers.")
    )

    def all(self) -> list[Collector]:
        return [self.viewers, self.bytes]


class KnownResults:
    """The results of the newest frames; the numbers begin again when a source is opened again."""

    def __init__(self, outcomes: Subscription[FrameMetadata | WithheldFrame]) -> None:
        self._outcomes = outcomes
        self._known: deque[FrameMetadata] = deque(maxlen=OUTCOMES)

    def of(self, frame: int) -> FrameMetadata | None:
        """The result of the frame with this number; it and those before it are forgotten."""
        waiting = self._outcomes.take_waiting()
        self._known.extend(one for one in waiting if isinstance(one, FrameMetadata))
        for place, found in enumerate(self._known):
            if found.number == frame:
                for _ in range(place + 1):
                    self._known.popleft()
                return found
        return None


@dataclass(frozen=True)
class VideoSocket:
    """One viewer of one stream.

    Attributes:
        language: of texts for people.
        access: of the viewer, who may not see the stream.
    """

    socket: ClientSocket
    stream_id: str
    manager: StreamDirectory
    language: Language
    access: Access
    metrics: VideoMetrics

    @cached_property
    def client(self) -> StreamClient:
        """Sends the messages."""
        return StreamClient(self.socket, self.stream_id, self.manager, self.language)

    async def run(self) -> None:
        """Serve the viewer from the handshake until the socket is closed."""
        await self.socket.accept()
        end = CloseSocket()
        try:
            with self.metrics.viewers.track_inprogress():
                await self.socket.run(self._serve())
        except CloseSocket as closed:
            end = closed
        except StreamNotFound:
            unknown = self.client.error(StreamNotFound(stream_id=self.stream_id))
            end = CloseSocket(NOT_FOUND, "there is no such stream", unknown)
        except NoVideo as error:
            end = CloseSocket(CONFLICT, "there is no video", self.client.error(error))
        except NoPicture:
            end = self.client.ended()
        await self.client.close(end)

    async def _serve(self) -> None:
        """Send packets until the stream ends. Raises CloseSocket, NoVideo, NoPicture."""
        if not self.access.may(Right.VIEW, self.stream_id):
            raise StreamNotFound(stream_id=self.stream_id)
        handle = self.manager.stream(self.stream_id)
        recorded, spec = handle.recorded, handle.status.spec
        with handle.outcomes(OUTCOMES) as outcomes:
            async with aclosing(handle.packets()) as packets:
                sender = _Sender(self, spec, KnownResults(outcomes), recorded=recorded)
                async for packet in packets:
                    await sender.send(packet)
        raise self.client.ended()


class _Sender:
    """Sends packets as segments; the first shown frame is at time 0."""

    def __init__(
        self, viewer: VideoSocket, spec: StreamSpec, results: KnownResults, *, recorded: bool
    ) -> None:
        self._viewer = viewer
        self._spec = spec
        self._recorded = recorded
        self._results = results
        self._video: FragmentedVideo | None = None
        self._run = 0
        self._begun_at = 0.0

    async def send(self, packet: VideoPacket) -> None:
        """Send a packet, after a new header if it is the first of its encoder."""
        if self._video is None or packet.run != self._run:
            await self._begin(packet)
        assert self._video is not None
        time = round((packet.captured_at - self._begun_at) * TIMESCALE)
        message = frame_message(packet, time, self._results.of(packet.frame))
        await self._send(message.text(), self._video.fragment(packet, time))

    async def _begin(self, packet: VideoPacket) -> None:
        if self._video is None:
            self._begun_at = packet.captured_at
        self._video = await asyncio.to_thread(FragmentedVideo, packet)
        self._run = packet.run
        message = video_message(self._spec, self._video, recorded=self._recorded)
        await self._send(message.text(), self._video.header)

    async def _send(self, text: str, segment: bytes) -> None:
        await self._viewer.client.send(text, segment)
        self._viewer.metrics.bytes.inc(len(text) + len(segment))
