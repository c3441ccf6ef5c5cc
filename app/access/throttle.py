"""Pauses after wrong passwords and tokens, which grow with each: guessing becomes useless.

Nobody is locked out for good, and nobody can lock out others: pauses end by themselves, an
address waits only for its own mistakes, and a user's pause does not apply to addresses from which
that user has signed in before. Sessions and API tokens, which cannot be guessed, never wait.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import TooManyAttempts

IPV6_PREFIX = 64
"""One subscriber gets at least that many addresses (RFC 6177)."""


@dataclass(frozen=True, slots=True)
class ThrottleTuning:
    """When pauses begin and how long they become.

    Attributes:
        free: wrong attempts without a pause.
        first_s: the first pause; each further attempt doubles it.
        longest_s: the longest pause.
        forget_s: without an attempt for this long, all is forgotten.
        keys: addresses and users that are remembered; the oldest are forgotten.
    """

    free: int = 3
    first_s: float = 1.0
    longest_s: float = 60.0
    forget_s: float = 3600.0
    keys: int = 10_000


DEFAULT_TUNING = ThrottleTuning()


@dataclass(slots=True)
class _Record:
    failures: int = 0
    last_at: float = 0.0
    until: float = 0.0
    guess: bytes = b""


class Throttle:
    """Counts wrong attempts by key, and refuses attempts during a pause.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self,
        tuning: ThrottleTuning = DEFAULT_TUNING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tuning = tuning
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def check(self, *keys: str) -> None:
        """Raises TooManyAttempts while any of the keys pauses."""
        now = self._clock()
        wait = max(
            (self._records[key].until - now for key in keys if key in self._records), default=0
        )
        if wait > 0:
            raise TooManyAttempts(retry_after_s=math.ceil(wait))

    def failed(self, *keys: str, guess: str = "") -> None:
        """Count a wrong attempt.

        Args:
            guess: what was wrong; the same again, as of a program with an old token, is no guess.
        """
        hashed = hashlib.sha256(guess.encode()).digest() if guess else b""
        for key in keys:
            record = self._records.pop(key, _Record())
            if self._clock() - record.last_at > self._tuning.forget_s:
                record = _Record()
            self._records[key] = record  # the newest are last
            if not hashed or hashed != record.guess:
                record.guess = hashed
                self._count(record)
        while len(self._records) > self._tuning.keys:
            self._records.popitem(last=False)

    def _count(self, record: _Record) -> None:
        now, tuning = self._clock(), self._tuning
        record.failures += 1
        record.last_at = now
        beyond = record.failures - tuning.free
        if beyond > 0:
            pause = tuning.first_s * 2.0 ** min(beyond - 1, 30)
            record.until = now + min(pause, tuning.longest_s)

    def succeeded(self, *keys: str) -> None:
        """Forget the wrong attempts."""
        for key in keys:
            self._records.pop(key, None)


def address_key(address: str) -> str:
    """The key of an address; all of an IPv6 network of one subscriber have the same."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "address ?"
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped is not None:
        parsed = mapped
    if parsed.version == 6:
        return f"address {ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False)}"
    return f"address {parsed}"


def user_key(name: str) -> str:
    """The key of a user's name, which need not exist."""
    return f"user {name.casefold()[:100]}"
