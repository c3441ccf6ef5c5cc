"""One client of a stream: messages to it, and how its conversation ends."""

from __future__ import annotations

from contextlib import suppress

from starlette.types import Message

from app.api import ws_messages
from app.api.i18n import Language, describe, reply
from app.api.websockets import GOING_AWAY, NORMAL, ClientGone, ClientSocket
from app.errors import ShuttingDown, StreamNotFound, WatchpostError
from app.pipeline.manager import StreamManager
from app.types import StreamState
from app.urls import scrub

MAX_SHOWN_ID = 100


class CloseSocket(Exception):
    """Ends the conversation.

    Args:
        code: of the close frame; None where nobody is listening any more.
        reason: for the close frame, 123 bytes at most.
        last: the message to send before that.
    """

    def __init__(
        self, code: int | None = None, reason: str = "", last: ws_messages.Message | None = None
    ) -> None:
        self.code, self.reason, self.last = code, reason, last
        super().__init__(reason)


class StreamClient:
    """What is said to one client of one stream, and why its conversation ends.

    Args:
        language: of messages to people.
    """

    def __init__(
        self, socket: ClientSocket, stream_id: str, manager: StreamManager, language: Language
    ) -> None:
        self.stream_id = stream_id
        self._socket = socket
        self._manager = manager
        self._language = language

    async def receive(self) -> Message:
        """The client's next message. Raises CloseSocket where nobody is there any more."""
        try:
            return await self._socket.receive()
        except ClientGone:
            raise CloseSocket from None

    def error(self, error: WatchpostError, frame: int | None = None) -> ws_messages.ErrorMessage:
        """The message about an error, in the language of the client."""
        return ws_messages.ErrorMessage(
            stream_id=scrub(self.stream_id)[:MAX_SHOWN_ID],
            code=error.code,
            message=scrub(describe(error, self._language)),
            frame=frame,
        )

    def ended(self) -> CloseSocket:
        """Why the stream is over, to be raised."""
        if self._manager.closing:
            return self._end(GOING_AWAY, describe(ShuttingDown(), self._language))
        try:
            state = self._manager.stream(self.stream_id).health.state
        except StreamNotFound:
            return self._end(NORMAL, reply("STREAM_ENDED", self._language))
        word = "STREAM_FAILED" if state is StreamState.FAILED else "STREAM_STOPPED"
        return self._end(NORMAL, reply(word, self._language))

    def _end(self, code: int, reason: str) -> CloseSocket:
        end = ws_messages.EndMessage(stream_id=self.stream_id, reason=reason)
        return CloseSocket(code, "the stream is over", end)

    async def send(self, *messages: str | bytes) -> None:
        """Send messages, nothing between them. Raises CloseSocket where nobody is listening."""
        try:
            await self._socket.send(*messages)
        except ClientGone:
            raise CloseSocket from None

    async def close(self, end: CloseSocket) -> None:
        """Send the last message and the close frame."""
        if end.code is None:  # the server lets go of the connection when we return
            return
        with suppress(ClientGone):
            if end.last is not None:
                await self._socket.send(end.last.text())
        await self._socket.close(end.code, end.reason)
