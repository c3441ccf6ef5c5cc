"""Passwords: argon2id, computed beside the event loop, one at a time.

A hash takes a third of a second of one core and 64 MiB. Guesses that come faster wait in a short
queue, and are refused beyond it: so guessing slows down neither the streams nor anything else.
Source of the parameters: RFC 9106, 4, second choice, with one lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import InvalidRequest, TooManyAttempts

P = ParamSpec("P")
T = TypeVar("T")
MIN_LENGTH, MAX_LENGTH = 10, 256
QUEUE = 8
RETRY_S = 3


class Passwords:
    """Hashes and checks passwords; belongs to the event loop's thread.

    Args:
        hasher: with other parameters, for tests.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=3, memory_cost=65536, parallelism=1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._waiting = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to store.

        Raises:
            InvalidRequest: the password is too short or too long; TooManyAttempts.
        """
        check_length(password)
        return await self._run(self._hasher.hash, password)

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether a password is that of a stored hash; takes as long without one.

        Raises:
            TooManyAttempts: too many callers are waiting already.
        """
        return await self._run(self._verify, stored, password[: MAX_LENGTH + 1])

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    def _verify(self, stored: str | None, password: str) -> bool:
        if stored is None:  # the time must not tell that there is no such user
            self._nobody = self._nobody or self._hasher.hash("nobody has this password")
            self._matches(self._nobody, password)
            return False
        return self._matches(stored, password)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in the one thread. A caller that leaves does not make room: its work goes on."""
        if self._waiting >= QUEUE:
            raise TooManyAttempts(retry_after_s=RETRY_S)
        self._waiting += 1
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._thread, lambda: work(*args, **kwargs))
        running.add_done_callback(self._done)
        return await asyncio.shield(running)

    def _done(self, _: object) -> None:
        self._waiting -= 1


def check_length(password: str) -> None:
    """Raises InvalidRequest for a password that is too short or too long."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        reason = f"use {MIN_LENGTH} to {MAX_LENGTH} characters"
        raise InvalidRequest(field="password", reason=reason)
