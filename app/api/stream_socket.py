"""One client on a stream's WebSocket: the messages that it gets and the frames that it pushes.

A few coroutines share the socket: one receives, each of the others sends one kind of message. None
queues messages for the client: each takes the next item from the stream only when the last one is
sent, and the stream keeps the newest item or a bounded number of them. So a slow client misses
messages and delays nobody; one that reads nothing for ``send_timeout_s`` is disconnected.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, aclosing, suppress

from app.api import data_url, ws_messages
from app.api.events import MissedMessage
from app.api.i18n import Language, describe, reply
from app.api.websockets import (
    GOING_AWAY,
    NORMAL,
    NOT_FOUND,
    POLICY_VIOLATION,
    ClientGone,
    ClientSocket,
)
from app.config import PushSettings
from app.errors import BadFrame, NoPicture, ShuttingDown, StreamNotFound, WatchpostError
from app.events import Event
from app.failure_reason import FailureReason
from app.pipeline.event_log import EventLog
from app.pipeline.hub import Subscription
from app.pipeline.manager import StreamManager
from app.pipeline.push import FrameAck, Pusher, PushStreams
from app.types import FrameMetadata, StreamState
from app.urls import scrub

STATE_CHECK_S = 0.5
EVENTS_BACKLOG = 256
LARGE = 1 << 20  # characters; longer texts are decoded in a thread
MAX_SHOWN_ID = 100


class CloseSocket(Exception):
    """Ends the socket's tasks.

    Args:
        code: of the close frame; None if the client is already gone.
        reason: of the close frame, 123 bytes at most.
        last: the message to send before the close frame.
    """

    def __init__(
        self, code: int | None = None, reason: str = "", last: ws_messages.Message | None = None
    ) -> None:
        self.code, self.reason, self.last = code, reason, last
        super().__init__(reason)


class StreamSocket:
    """One client's WebSocket on one stream.

    Args:
        pictures: send the JPEG after each result.
        language: of texts for people.
    """

    def __init__(
        self,
        client: ClientSocket,
        stream_id: str,
        *,
        manager: StreamManager,
        push_streams: PushStreams,
        events: EventLog,
        settings: PushSettings,
        language: Language,
        pictures: bool,
    ) -> None:
        self._client = client
        self._stream_id = stream_id
        self._manager = manager
        self._push_streams = push_streams
        self._events = events
        self._settings = settings
        self._language = language
        self._pictures = pictures
        self._open = ExitStack()
        self._tasks = asyncio.TaskGroup()
        self._showing: asyncio.Task[None] | None = None
        self._pusher: Pusher | None = None
        self._messages = 0
        self._bad_in_a_row = 0

    async def run(self) -> None:
        """Serve the client from the handshake until the socket is closed."""
        await self._client.accept()
        end = CloseSocket()
        try:
            with self._open:
                await self._serve()
        except* CloseSocket as group:
            end = _first(group)
        except* StreamNotFound:
            unknown = self._error(StreamNotFound(stream_id=self._stream_id))
            end = CloseSocket(NOT_FOUND, "there is no such stream", unknown)
        await self._close(end)

    async def _serve(self) -> None:
        """Run the tasks of the socket. Raises CloseSocket, in a group."""
        self._open.enter_context(self._push_streams.connected(self._stream_id))
        spec = self._manager.stream(self._stream_id).status.spec
        events = self._open.enter_context(
            self._events.subscribed(
                EVENTS_BACKLOG, lambda event: event.stream_id == self._stream_id
            )
        )
        state = self._manager.stream(self._stream_id).health.state
        await self._send(ws_messages.hello(spec, state).text())
        async with self._tasks as tasks:
            tasks.create_task(self._receive())
            tasks.create_task(self._send_state(state))
            tasks.create_task(self._send_events(events))
            self._showing = tasks.create_task(self._send_results())

    # ── messages to the client ───────────────────────────────────────────────────────────

    async def _send_results(self) -> None:
        """Send results until the stream ends."""
        try:
            if self._pictures:
                async with aclosing(self._manager.stream(self._stream_id).jpegs()) as frames:
                    async for frame in frames:
                        text = ws_messages.result_text(self._stream_id, frame.report)
                        await self._send(text, frame.jpeg)
            else:
                with self._manager.stream(self._stream_id).metadata() as outcomes:
                    async for outcome in outcomes:
                        if isinstance(outcome, FrameMetadata):
                            await self._send(ws_messages.result_text(self._stream_id, outcome))
        except NoPicture:
            pass
        raise self._ended()

    async def _send_events(self, events: Subscription[Event]) -> None:
        async for event in events:
            if missed := events.missed():
                await self._send(MissedMessage(events=missed).model_dump_json())
            await self._send(ws_messages.event_message(event).model_dump_json())

    async def _send_state(self, sent: StreamState) -> None:
        while True:
            await asyncio.sleep(STATE_CHECK_S)
            try:
                state, reason = self._manager.stream(self._stream_id).health
            except StreamNotFound:
                raise self._ended() from None
            if state is not sent:
                sent = state
                message = ws_messages.StateMessage(
                    stream_id=self._stream_id, state=state.value, reason=reason and scrub(reason)
                )
                await self._send(message.text())

    async def _send_acks(self, pusher: Pusher) -> None:
        """Answer each pushed frame, until the stream ends."""
        async with aclosing(pusher.answers()) as answers:
            async for answer in answers:
                if isinstance(answer, FrameAck):
                    self._bad_in_a_row = 0
                    await self._send(ws_messages.ack(self._stream_id, answer).text())
                elif answer.error is not None:
                    await self._refuse(answer.error, answer.frame)
                else:
                    dropped = ws_messages.DroppedMessage(
                        stream_id=self._stream_id, frame=answer.frame
                    )
                    await self._send(dropped.text())
        raise self._ended()

    # ── frames from the client ───────────────────────────────────────────────────────────

    async def _receive(self) -> None:
        while True:
            try:
                message = await self._client.receive()
            except ClientGone:
                raise CloseSocket from None
            self._messages += 1
            frame = self._messages
            try:
                data = await self._frame_bytes(message.get("bytes"), message.get("text"))
                self._as_pusher().push(data, frame)
            except NoPicture:
                raise self._ended() from None
            except WatchpostError as error:
                await self._refuse(error, frame)

    async def _frame_bytes(self, data: bytes | None, text: str | None) -> bytes:
        """The image file in a message. Raises BadFrame."""
        limit = self._settings.max_message
        if len(data or text or "") > limit:
            raise BadFrame(reason=FailureReason.MESSAGE_TOO_LARGE, max_bytes=limit)
        if data is not None:
            return data
        if len(text or "") > LARGE:
            return await asyncio.to_thread(data_url.decode, text or "")
        return data_url.decode(text or "")

    def _as_pusher(self) -> Pusher:
        """The client as a pusher: from its first frame on it gets answers instead of results.

        Raises:
            NotPushable, NoPicture.
        """
        if self._pusher is None:
            self._pusher = self._open.enter_context(self._push_streams.pusher(self._stream_id))
            if self._showing is not None:
                self._showing.cancel()
            self._tasks.create_task(self._send_acks(self._pusher))
        return self._pusher

    async def _refuse(self, error: WatchpostError, frame: int) -> None:
        """Report an error about a frame. Raises CloseSocket after too many bad ones in a row."""
        await self._send(self._error(error, frame).text())
        if isinstance(error, BadFrame):
            self._bad_in_a_row += 1
            if self._bad_in_a_row >= self._settings.max_bad_frames:
                raise CloseSocket(POLICY_VIOLATION, f"{self._bad_in_a_row} bad frames in a row")

    # ── the socket ───────────────────────────────────────────────────────────────────────

    def _error(self, error: WatchpostError, frame: int | None = None) -> ws_messages.ErrorMessage:
        return ws_messages.ErrorMessage(
            stream_id=scrub(self._stream_id)[:MAX_SHOWN_ID],
            code=error.code,
            message=scrub(describe(error, self._language)),
            frame=frame,
        )

    def _ended(self) -> CloseSocket:
        """The exception that says why the stream has ended."""
        if self._manager.closing:
            return self._end(GOING_AWAY, describe(ShuttingDown(), self._language))
        try:
            state = self._manager.stream(self._stream_id).health.state
        except StreamNotFound:
            return self._end(NORMAL, reply("STREAM_ENDED", self._language))
        word = "STREAM_FAILED" if state is StreamState.FAILED else "STREAM_STOPPED"
        return self._end(NORMAL, reply(word, self._language))

    def _end(self, code: int, reason: str) -> CloseSocket:
        end = ws_messages.EndMessage(stream_id=self._stream_id, reason=reason)
        return CloseSocket(code, "the stream is over", end)

    async def _send(self, *messages: str | bytes) -> None:
        """Send messages with nothing between them. Raises CloseSocket if the client is gone."""
        try:
            await self._client.send(*messages)
        except ClientGone:
            raise CloseSocket from None

    async def _close(self, end: CloseSocket) -> None:
        if end.code is None:  # the server closes the connection when we return
            return
        with suppress(ClientGone):
            if end.last is not None:
                await self._client.send(end.last.text())
        await self._client.close(end.code, end.reason)


def _first(group: BaseExceptionGroup[CloseSocket]) -> CloseSocket:
    """The first exception of nested groups."""
    first = group.exceptions[0]
    return first if isinstance(first, CloseSocket) else _first(first)
