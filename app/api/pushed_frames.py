"""Frames that a client pushes over a stream's WebSocket, and the answer to each of them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, aclosing

from app.api import data_url, ws_messages
from app.api.stream_client import CloseSocket, StreamClient
from app.api.websockets import POLICY_VIOLATION
from app.config import PushSettings
from app.errors import BadFrame, Forbidden, NoPicture, WatchpostError
from app.failure_reason import FailureReason
from app.pipeline.push import FrameAck, Pusher, PushStreams
from app.rights import Right

LARGE = 1 << 20  # characters; longer texts are decoded in a thread


class PushedFrames:
    """Receives the frames of one client and answers them.

    Args:
        tasks: runs the task that sends answers.
        stack: holds the client's place as a pusher until the socket is closed.
        may_push: whether the client has the right to push.

    Attributes:
        replaces: the task that is cancelled by the first frame.
    """

    def __init__(
        self,
        client: StreamClient,
        push_streams: PushStreams,
        settings: PushSettings,
        tasks: asyncio.TaskGroup,
        stack: ExitStack,
        *,
        may_push: bool,
    ) -> None:
        self.replaces: asyncio.Task[None] | None = None
        self._client = client
        self._push_streams = push_streams
        self._settings = settings
        self._tasks = tasks
        self._stack = stack
        self._may_push = may_push
        self._pusher: Pusher | None = None
        self._messages = 0
        self._bad_in_a_row = 0

    async def receive(self) -> None:
        """Take frames until the client leaves. Raises CloseSocket."""
        while True:
            message = await self._client.receive()
            self._messages += 1
            frame = self._messages
            try:
                data = await self._frame_bytes(message.get("bytes"), message.get("text"))
                self._as_pusher().push(data, frame)
            except NoPicture:
                raise self._client.ended() from None
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
            Forbidden, NotPushable, NoPicture.
        """
        if not self._may_push:
            raise Forbidden(right=Right.CONTROL.value)
        if self._pusher is None:
            self._pusher = self._stack.enter_context(
                self._push_streams.pusher(self._client.stream_id)
            )
            if self.replaces is not None:
                self.replaces.cancel()
            self._tasks.create_task(self._send_acks(self._pusher))
        return self._pusher

    async def _refuse(self, error: WatchpostError, frame: int) -> None:
        """Report an error about a frame. Raises CloseSocket after too many bad ones in a row."""
        await self._client.send(self._client.error(error, frame).text())
        if isinstance(error, BadFrame):
            self._bad_in_a_row += 1
            if self._bad_in_a_row >= self._settings.max_bad_frames:
                raise CloseSocket(POLICY_VIOLATION, f"{self._bad_in_a_row} bad frames in a row")

    async def _send_acks(self, pusher: Pusher) -> None:
        """Answer each pushed frame, until the stream ends."""
        async with aclosing(pusher.answers()) as answers:
            async for answer in answers:
                if isinstance(answer, FrameAck):
                    self._bad_in_a_row = 0
                    await self._client.send(ws_messages.ack(self._client.stream_id, answer).text())
                elif answer.error is not None:
                    await self._refuse(answer.error, answer.frame)
                else:
                    dropped = ws_messages.DroppedMessage(
                        stream_id=self._client.stream_id, frame=answer.frame
                    )
                    await self._client.send(dropped.text())
        raise self._client.ended()
