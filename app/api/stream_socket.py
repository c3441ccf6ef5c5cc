"""One client on a stream's WebSocket: the messages that it gets and the frames that it pushes.

A few coroutines share the socket: one receives, each of the others sends one kind of message. None
queues messages for the client: each takes the next item from the stream only when the last one is
sent, and the stream keeps the newest item or a bounded number of them. So a slow client misses
messages and delays nobody; one that reads nothing for ``send_timeout_s`` is disconnected.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from functools import cached_property

from app.api import ws_messages
from app.api.events import MissedMessage
from app.api.i18n import Language
from app.api.pushed_frames import PushedFrames
from app.api.stream_client import CloseSocket, StreamClient
from app.api.websockets import FORBIDDEN, NOT_FOUND, ClientSocket
from app.config import PushSettings
from app.errors import Forbidden, NoPicture, StreamNotFound
from app.events import Event, EventFilter
from app.pipeline.directory import StreamDirectory
from app.pipeline.event_log import EventLog
from app.pipeline.hub import Subscription
from app.pipeline.push import PushStreams
from app.rights import Access, Right
from app.types import FrameMetadata, StreamState
from app.urls import scrub

STATE_CHECK_S = 0.5
EVENTS_BACKLOG = 256


@dataclass(frozen=True)
class StreamSocket:
    """One client's WebSocket on one stream.

    Attributes:
        language: of texts for people.
        access: of the client, who may not see the stream, its plates, or push to it.
        pictures: send the JPEG after each result.
    """

    socket: ClientSocket
    stream_id: str
    manager: StreamDirectory
    push_streams: PushStreams
    events: EventLog
    settings: PushSettings
    language: Language
    access: Access
    pictures: bool

    @cached_property
    def client(self) -> StreamClient:
        """Sends the messages of all tasks."""
        return StreamClient(self.socket, self.stream_id, self.manager, self.language)

    async def run(self) -> None:
        """Serve the client from the handshake until the socket is closed."""
        await self.socket.accept()
        end = CloseSocket()
        try:
            with ExitStack() as stack:
                await self._serve(stack)
        except* CloseSocket as group:
            end = _first(group)
        except* StreamNotFound:
            unknown = self.client.error(StreamNotFound(stream_id=self.stream_id))
            end = CloseSocket(NOT_FOUND, "there is no such stream", unknown)
        await self.client.close(end)

    async def _serve(self, stack: ExitStack) -> None:
        """Run the tasks of the socket. Raises CloseSocket, in a group."""
        if not self.access.may(Right.VIEW, self.stream_id):
            raise StreamNotFound(stream_id=self.stream_id)
        if self.pictures:
            self._check_clear_view()
        stack.enter_context(self.push_streams.connected(self.stream_id))
        spec = self.manager.stream(self.stream_id).status.spec
        wanted = EventFilter(self.stream_id, access=self.access)
        events = stack.enter_context(self.events.subscribed(EVENTS_BACKLOG, wanted.takes))
        state = self.manager.stream(self.stream_id).health.state
        await self.client.send(ws_messages.hello(spec, state).text())
        async with asyncio.TaskGroup() as tasks:
            may_push = self.access.may(Right.CONTROL, self.stream_id)
            pushed = PushedFrames(
                self.client, self.push_streams, self.settings, tasks, stack, may_push=may_push
            )
            tasks.create_task(pushed.receive())
            tasks.create_task(self._send_state(state))
            tasks.create_task(self._send_events(events))
            pushed.replaces = tasks.create_task(self._send_results())

    def _check_clear_view(self) -> None:
        """Refuse uncovered pictures to a client without the right. Raises CloseSocket."""
        spec = self.manager.stream(self.stream_id).status.spec
        if spec.is_clear(time.time()) and not self.access.may(Right.CLEAR_VIEW, self.stream_id):
            refused = self.client.error(Forbidden(right=Right.CLEAR_VIEW.value))
            raise CloseSocket(FORBIDDEN, "faces are not covered at the moment", refused)

    async def _send_results(self) -> None:
        """Send results until the stream ends."""
        try:
            if self.pictures:
                async with aclosing(self.manager.stream(self.stream_id).jpegs()) as frames:
                    async for frame in frames:
                        text = ws_messages.result_text(self.stream_id, frame.metadata)
                        await self.client.send(text, frame.jpeg)
            else:
                with self.manager.stream(self.stream_id).metadata() as outcomes:
                    async for outcome in outcomes:
                        if isinstance(outcome, FrameMetadata):
                            await self.client.send(ws_messages.result_text(self.stream_id, outcome))
        except NoPicture:
            pass
        raise self.client.ended()

    async def _send_events(self, events: Subscription[Event]) -> None:
        async for event in events:
            if missed := events.missed():
                await self.client.send(MissedMessage(events=missed).model_dump_json())
            await self.client.send(ws_messages.event_message(event).model_dump_json())

    async def _send_state(self, sent: StreamState) -> None:
        while True:
            await asyncio.sleep(STATE_CHECK_S)
            try:
                state, reason = self.manager.stream(self.stream_id).health
            except StreamNotFound:
                raise self.client.ended() from None
            if state is not sent:
                sent = state
                message = ws_messages.StateMessage(
                    stream_id=self.stream_id, state=state.value, reason=reason and scrub(reason)
                )
                await self.client.send(message.text())


def _first(group: BaseExceptionGroup[CloseSocket]) -> CloseSocket:
    """The first exception of nested groups."""
    first = group.exceptions[0]
    return first if isinstance(first, CloseSocket) else _first(first)
