"""The MJPEG server of the Python API's previews."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from app.cameras.mjpeg_server import Message, _send_parts
from app.types import FrameMetadata, JpegFrame

pytestmark = pytest.mark.anyio


async def frames() -> AsyncGenerator[JpegFrame]:
    """A camera that never ends."""
    while True:
        await asyncio.sleep(0)
        yield JpegFrame(FrameMetadata(1, (64, 48), (), 0.0, 0.0, 0.0, 0.0), b"jpeg")


async def test_the_end_that_comes_just_as_a_part_was_sent_is_not_lost() -> None:
    """Else a camera with a viewer cannot be stopped: its frames never end."""
    parts = 0

    async def send(message: Message) -> None:
        nonlocal parts
        parts += 1
        if parts == 3:
            sending.cancel()

    sending = asyncio.create_task(_send_parts(frames(), send))
    done, _ = await asyncio.wait([sending], timeout=0.5)
    sending.cancel()
    assert done, "it goes on"
    assert parts == 3
    assert sending.cancelled()
