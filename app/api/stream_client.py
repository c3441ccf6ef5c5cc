"""One client of a stream: messages to and from it, and why its socket is closed."""

from __future__ import annotations

from contextlib import suppress

from starlette.types import Message

from app.api import ws_messages
from app.api.i18n import Language, describe, reply
from app.api.websockets import GOING_AWAY, NORMAL, ClientGone, ClientSocket
from app.errors import ShuttingDown, StreamNotFound, WatchpostError
from app.pipeline.directory import StreamDirectory
from app.types import StreamState
from app.urls import scrub

MAX_SHOWN_ID = 100


class CloseSocket(Exception):
    """Ends the socket's tasks.

    Args:
        code: of the close frame; None if the client is already gone.
        reason: of the close frame, 123 bytes at most.
        last: the message to send before the close frame.
    """

    def __init__(
        self,
        code: int | None = None,
        reason: str = "",
        last: ws_messages.SocketMessage | None = None,
    ) -> None:
        self.code, self.reason, self.last = code, reason, last
        super().__init__(reason)


class StreamClient:
    """Sends messages to one client of one stream, and words them.

    Args:
        language: of texts for people.
    """

    def __init__(
        self, socket: ClientSocket, stream_id: str, manager: StreamDirectory, language: Language
    ) -> None:
        self.stream_id = stream_id
        self._socket = socket
        self._manager = manager
        self._language = language

    async def receive(self) -> Message:
        """The client's next message. Raises CloseSocket if the client is gone."""
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
        """The exception that says why the stream has ended."""
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
        """Send messages with nothing between them. Raises CloseSocket if the client is gone."""
        try:
            await self._socket.send(*messages)
        except ClientGone:
            raise CloseSocket from None

    async def close(self, end: CloseSocket) -> None:
        """Send the last message and the close frame."""
        if end.code is None:  # the server closes the connection when we return
            return
        with suppress(ClientGone):
            if end.last is not None:
                await self._socket.send(end.last.text())
        await self._socket.close(end.code, end.reason)
