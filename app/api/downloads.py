"""Replies with files on disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from app.errors import BadRange


class Download(FileResponse):
    """A file, or parts of it; invalid ranges get our error reply instead of plain text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def unless_refused(message: Message) -> None:
            nonlocal refused
            refused |= message.get("status") in (400, 416)
            if not refused:
                await send(message)

        await super().__call__(scope, receive, unless_refused)
        if refused:
            stat = await asyncio.to_thread(Path(self.path).stat)
            raise BadRange(bytes=stat.st_size)
