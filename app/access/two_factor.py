"""Two-factor sign-in: one-time codes of authenticator apps, and recovery codes.

Sources: RFC 6238 (TOTP, 30 s, 6 digits, SHA-1, as all apps support it) and RFC 4226.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pyotp

from app.access.secrets import digest
from app.access.throttle import Throttle, ThrottleTuning
from app.accounts import User
from app.db.two_factor import TwoFactorRepository, TwoFactorRow
from app.errors import CodeNeeded, TwoFactorOff, TwoFactorOn, WrongCode

ISSUER = "Watchpost"
DIGITS = 6
SLOWER = ThrottleTuning(free=5, first_s=4.0, longest_s=3600.0, forget_s=86_400.0)
"""Only somebody who knows the password gets to guess codes, so this pause locks out nobody else.
With one guess an hour, and three right codes in a million, they succeed in a year with 3 %."""

Used = Literal["one-time code", "recovery code"]


@dataclass(frozen=True, slots=True)
class TwoFactorTuning:
    """How codes are made and checked.

    Attributes:
        step_s: how long a one-time code is shown.
        skew: steps by which the user's clock may differ.
        recovery_codes: how many there are.
        recovery_groups: groups of four letters and digits in each: 20 bits a group.
    """

    step_s: int = 30
    skew: int = 1
    recovery_codes: int = 10
    recovery_groups: int = 4


DEFAULT_TUNING = TwoFactorTuning()
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that look alike."""


class Proposal(NamedTuple):
    """A secret for an authenticator app, which the user has yet to confirm.

    Attributes:
        secret: in base32, to be typed.
        url: ``otpauth://…``, to be opened or shown as a QR code.
    """

    secret: str
    url: str


class TwoFactor:
    """Sets up and checks second factors; belongs to the event loop's thread.

    Args:
        clock: Unix seconds.
    """

    def __init__(
        self,
        rows: TwoFactorRepository,
        tuning: TwoFactorTuning = DEFAULT_TUNING,
        clock: Callable[[], float] = time.time,
        throttle: Throttle | None = None,
    ) -> None:
        self.rows = rows
        self._tuning = tuning
        self._clock = clock
        self._throttle = throttle or Throttle(SLOWER)

    async def check(self, user_id: int, code: str | None) -> Used | None:
        """Check the code of a sign-in, and use it up; what it was, or None if none is needed.

        Raises:
            CodeNeeded: there is no code; WrongCode: also for one that was used; TooManyAttempts,
            SecretUnreadable.
        """
        row = await asyncio.to_thread(self.rows.get, user_id)
        if row is None or not row.confirmed:
            return None
        if not code:
            raise CodeNeeded
        return await self._use(user_id, row, code)

    async def propose(self, user: User) -> Proposal:
        """Make a secret, which counts once it is confirmed. Raises TwoFactorOn."""
        row = await asyncio.to_thread(self.rows.get, user.user_id)
        if row is not None and row.confirmed:
            raise TwoFactorOn
        secret = pyotp.random_base32()
        await asyncio.to_thread(self.rows.propose, user.user_id, secret)
        url = self._totp(secret).provisioning_uri(name=user.name, issuer_name=ISSUER)
        return Proposal(secret, url)

    async def confirm(self, user_id: int, code: str) -> list[str]:
        """Turn the proposed secret on; returns the recovery codes, which are shown only now.

        Raises:
            TwoFactorOn: it is on already; TwoFactorOff: nothing was proposed; WrongCode,
            TooManyAttempts.
        """
        row = await asyncio.to_thread(self.rows.get, user_id)
        if row is None:
            raise TwoFactorOff
        if row.confirmed:
            raise TwoFactorOn
        await self._use(user_id, row, code)
        return await self._make_recovery_codes(user_id)

    async def renew_recovery_codes(self, user_id: int, code: str) -> list[str]:
        """Replace the recovery codes. Raises TwoFactorOff, WrongCode, TooManyAttempts."""
        await self._use(user_id, await self._confirmed(user_id), code)
        return await self._make_recovery_codes(user_id)

    async def turn_off(self, user_id: int, code: str) -> None:
        """Sign in with the password alone. Raises TwoFactorOff, WrongCode, TooManyAttempts."""
        await self._use(user_id, await self._confirmed(user_id), code)
        await asyncio.to_thread(self.rows.remove, user_id)

    async def reset(self, user_id: int) -> None:
        """Turn it off for a user who has lost the app and the recovery codes."""
        await asyncio.to_thread(self.rows.remove, user_id)
        self._throttle.succeeded(_key(user_id))

    async def _confirmed(self, user_id: int) -> TwoFactorRow:
        row = await asyncio.to_thread(self.rows.get, user_id)
        if row is None or not row.confirmed:
            raise TwoFactorOff
        return row

    async def _use(self, user_id: int, row: TwoFactorRow, code: str) -> Used:
        """Raises WrongCode, TooManyAttempts, SecretUnreadable."""
        key = _key(user_id)
        self._throttle.check(key)
        self._throttle.failed(key)  # before anything is awaited: guesses at once count all
        plain = "".join(filter(str.isalnum, code)).upper()
        used: Used = "one-time code" if len(plain) == DIGITS else "recovery code"
        if used == "one-time code":
            step = self._step_of(self.rows.secret(row), plain)
            right = step is not None and await asyncio.to_thread(self.rows.use_step, user_id, step)
        else:
            hashed = digest(plain)
            right = await asyncio.to_thread(self.rows.use_recovery_code, user_id, hashed)
        if not right:
            raise WrongCode
        self._throttle.succeeded(key)
        return used

    def _step_of(self, secret: str, code: str) -> int | None:
        """The time step of a right code; all are compared, so that the time tells nothing."""
        totp, tuning = self._totp(secret), self._tuning
        now = int(self._clock()) // tuning.step_s
        steps = range(now - tuning.skew, now + tuning.skew + 1)
        right = [
            step
            for step in steps
            if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())
        ]
        return right[-1] if right else None

    def _totp(self, secret: str) -> pyotp.TOTP:
        return pyotp.TOTP(secret, digits=DIGITS, interval=self._tuning.step_s)

    async def _make_recovery_codes(self, user_id: int) -> list[str]:
        tuning = self._tuning
        made = [
            "-".join(_letters(4) for _ in range(tuning.recovery_groups))
            for _ in range(tuning.recovery_codes)
        ]
        hashes = [digest(code.replace("-", "")) for code in made]
        await asyncio.to_thread(self.rows.confirm, user_id, hashes)
        return made


def _letters(count: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(count))


def _key(user_id: int) -> str:
    return f"code {user_id}"
