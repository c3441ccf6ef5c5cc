"""Sessions of signed-in users: cookies that are replaced regularly, and end.

A cookie is replaced every hour. The one before it stays valid until the browser has used the new
one, and a minute longer for requests on their way: a lost reply signs nobody out. A cookie that
comes back later than that was copied, and ends the session.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.access.secrets import digest, new_secret
from app.accounts import User, UserSession
from app.db.user_sessions import FoundSession, UserSessionRepository
from app.db.users import UserRepository
from app.errors import UserNotFound

logger = logging.getLogger(__name__)

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class SessionTuning:
    """How long sessions last.

    Attributes:
        rotate_s: age after which a cookie is replaced.
        grace_s: how long the replaced cookie stays valid once the new one was used.
        touch_s: how exactly the last use is stored.
        idle_s: a session that was not used for this long has ended.
        longest_s: age after which a session has ended in any case.
        provider_s: the same for users of a provider, who may have lost their account there.
    """

    rotate_s: float = 3600.0
    grace_s: float = 60.0
    touch_s: float = 60.0
    idle_s: float = 3 * DAY_S
    longest_s: float = 30 * DAY_S
    provider_s: float = DAY_S / 2


DEFAULT_TUNING = SessionTuning()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A valid session.

    Attributes:
        cookie: the value that replaces that of the browser; None if it keeps its own.
    """

    user: User
    session: UserSession
    cookie: str | None = None


class Sessions:
    """Begins, finds and ends sessions. Raises StoreError when the database fails.

    Args:
        clock: Unix seconds.
    """

    def __init__(
        self,
        users: UserRepository,
        rows: UserSessionRepository,
        tuning: SessionTuning = DEFAULT_TUNING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._users = users
        self._rows = rows
        self._tuning = tuning
        self._clock = clock

    async def begin(self, user: User, address: str, agent: str) -> str:
        """Begin a session; returns the value of its cookie."""
        return await asyncio.to_thread(self._begin, user, address, agent)

    async def find(self, cookie: str, *, rotate: bool) -> SignedIn | None:
        """The session of a cookie, or None.

        Args:
            rotate: whether the reply can carry a new cookie.
        """
        return await asyncio.to_thread(self._find, cookie, rotate)

    def _begin(self, user: User, address: str, agent: str) -> str:
        now, cookie = self._clock(), new_secret()
        self._rows.delete_expired(now - self._tuning.idle_s, now - self._tuning.longest_s)
        self._rows.add(user.user_id, digest(cookie), now, address, agent)
        return cookie

    def _find(self, cookie: str, rotate: bool) -> SignedIn | None:
        now, hashed = self._clock(), digest(cookie)
        found = self._rows.find(hashed)
        if found is None or self._ended(found.session, now):
            return None
        session = found.session
        if self._is_copy(found, now):
            logger.warning("session %d ended: an old cookie of it was used", session.session_id)
            self._rows.delete(session.session_id)
            return None
        try:
            user = self._users.get(session.user_id)
        except UserNotFound:
            return None
        if user.disabled or (
            user.subject is not None and now - session.created_ts > self._tuning.provider_s
        ):
            return None
        return SignedIn(user, session, self._use(found, hashed, now, rotate))

    def _ended(self, session: UserSession, now: float) -> bool:
        tuning = self._tuning
        return now - session.seen_ts > tuning.idle_s or now - session.created_ts > tuning.longest_s

    def _is_copy(self, found: FoundSession, now: float) -> bool:
        """Whether a cookie was replaced so long ago that its browser has a newer one."""
        session = found.session
        if found.newest or session.confirmed_ts is None:
            return False
        return now - session.confirmed_ts > self._tuning.grace_s

    def _use(self, found: FoundSession, hashed: str, now: float, rotate: bool) -> str | None:
        """Record that a cookie was used; returns the one that replaces it, if it is time."""
        session, tuning = found.session, self._tuning
        confirmed = session.confirmed_ts is not None
        if found.newest and (not confirmed or now - session.seen_ts > tuning.touch_s):
            self._rows.touch(session.session_id, now)
        patience_s = tuning.rotate_s if found.newest else tuning.grace_s
        lost = not found.newest and not confirmed
        if not rotate or now - session.rotated_ts < patience_s or not (found.newest or lost):
            return None
        cookie = new_secret()
        return cookie if self._rows.rotate(session, digest(cookie), hashed, now) else None
