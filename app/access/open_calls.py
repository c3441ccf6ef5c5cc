"""Calls in progress, so that those of a caller can end with their session, token or account.

A live stream or a socket may be open for days; without this, it would outlive the right to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.rights import Caller


class CallEnded(Exception):
    """The caller of a call in progress lost their rights."""


class OpenCalls:
    """The calls in progress by caller; belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._limits: dict[str, set[asyncio.Timeout]] = {}

    @asynccontextmanager
    async def held(self, caller: Caller, seconds: float | None = None) -> AsyncIterator[None]:
        """Hold a call open until it ends, or its caller's rights do.

        Args:
            seconds: after which the rights end by themselves.

        Raises:
            CallEnded: the rights ended first.
        """
        try:
            async with asyncio.timeout(seconds) as limit:
                for key in caller.keys:
                    self._limits.setdefault(key, set()).add(limit)
                try:
                    yield
                finally:
                    self._release(caller, limit)
        except TimeoutError:
            if limit.expired():
                raise CallEnded from None
            raise

    def end(self, key: str) -> None:
        """End the calls of a user, session or token, such as ``session 5``."""
        now = asyncio.get_running_loop().time()
        for limit in tuple(self._limits.get(key, ())):
            if not limit.expired():
                limit.reschedule(now)

    def _release(self, caller: Caller, limit: asyncio.Timeout) -> None:
        for key in caller.keys:
            limits = self._limits.get(key, set())
            limits.discard(limit)
            if not limits:
                self._limits.pop(key, None)
