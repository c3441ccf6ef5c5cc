"""Everything about accounts that the server needs, in one place."""

from __future__ import annotations

import asyncio
import hmac
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.access.open_calls import OpenCalls
from app.access.passwords import Passwords
from app.access.secrets import digest, new_secret
from app.access.sessions import Sessions, SignedIn
from app.access.throttle import Throttle, address_key, user_key
from app.access.two_factor import TwoFactor
from app.accounts import ApiToken, User
from app.db.api_tokens import ApiTokenRepository
from app.db.user_sessions import UserSessionRepository
from app.db.users import UserRepository
from app.errors import Unauthorized, UserNotFound, WrongPassword
from app.rights import Access, Caller, Grant, Role

if TYPE_CHECKING:
    from app.access.oidc import OidcProvider

TOUCH_S = 60.0
REPLY_S = 0.5


@dataclass(frozen=True)
class AccessService:
    """Users, sessions, API tokens, and the first user.

    Attributes:
        throttle: slows guessing down; shared with the check of the server's own token.
        two_factor: codes that some users need beside the password.
        provider: the identity provider; None if there is none.
        setup_code: lets another machine make the first user.
    """

    users: UserRepository
    session_rows: UserSessionRepository
    tokens: ApiTokenRepository
    passwords: Passwords
    sessions: Sessions
    throttle: Throttle
    two_factor: TwoFactor
    provider: OidcProvider | None = None
    calls: OpenCalls = field(default_factory=OpenCalls)
    setup_code: str = field(default_factory=new_secret, repr=False)

    # ── signing in ───────────────────────────────────────────────────────────────────────

    async def sign_in(
        self, name: str, password: str, address: str, agent: str, code: str | None = None
    ) -> SignedIn:
        """Begin a session, with its cookie.

        Args:
            code: a one-time code or recovery code, for a user who needs one.

        Raises:
            WrongPassword: also for an unknown user; CodeNeeded, WrongCode, TooManyAttempts.
        """
        user = await asyncio.to_thread(self.users.named, name)
        keys = await self._keys(name, user, address)
        self.throttle.check(*keys)
        stored = user.password_hash if user is not None and not user.disabled else None
        right = await self.passwords.matches(stored, password)
        if user is None or not right:
            self.throttle.failed(*keys)
            raise WrongPassword
        await self.two_factor.check(user.user_id, code)
        self.throttle.succeeded(*keys)
        return await self.begin(user, address, agent)

    async def begin(self, user: User, address: str, agent: str) -> SignedIn:
        """Begin a session of a user whose identity is known."""
        cookie = await self.sessions.begin(user, address, agent)
        found = await self.sessions.find(cookie, rotate=False)
        if found is None:  # the user was deleted meanwhile
            raise UserNotFound(user_id=user.user_id)
        return SignedIn(user, found.session, cookie)

    async def check_password(self, user: User, password: str, address: str) -> None:
        """Raises WrongPassword, TooManyAttempts."""
        keys = await self._keys(user.name, user, address)
        self.throttle.check(*keys)
        if not await self.passwords.matches(user.password_hash, password):
            self.throttle.failed(*keys)
            raise WrongPassword

    async def _keys(self, name: str, user: User | None, address: str) -> list[str]:
        """What pauses: the address; and the name, unless that user has used the address before."""
        keys = [address_key(address)]
        if user is not None:
            sessions = await asyncio.to_thread(self.session_rows.of_user, user.user_id)
            if any(address_key(session.address) == keys[0] for session in sessions):
                return keys
        return [*keys, user_key(name)]

    async def set_password(self, user_id: int, password: str, keep: int | None = None) -> None:
        """Change a user's password, and end their sessions.

        Args:
            keep: the session that goes on.

        Raises:
            InvalidRequest: the password is too short or too long; UserNotFound.
        """
        hashed = await self.passwords.hash(password)
        await asyncio.to_thread(self.users.change, user_id, {"password_hash": hashed})
        await self.end_sessions(user_id, keep)

    async def end_sessions(self, user_id: int, keep: int | None = None) -> None:
        """End the sessions of a user, but one."""
        ended = await asyncio.to_thread(self.session_rows.delete_of_user, user_id, keep)
        for session_id in ended:
            self.end_later(f"session {session_id}")

    def end_later(self, key: str) -> None:
        """End calls in progress, such as those of ``session 5``.

        The call that asks for it may be one of them, and gets time for its reply.
        """
        asyncio.get_running_loop().call_later(REPLY_S, self.calls.end, key)

    # ── callers ──────────────────────────────────────────────────────────────────────────

    async def by_cookie(self, cookie: str, *, rotate: bool) -> tuple[Caller, str | None] | None:
        """The caller of a session, and the cookie that replaces theirs, if it is time."""
        found = await self.sessions.find(cookie, rotate=rotate)
        if found is None:
            return None
        user = found.user
        caller = Caller(
            f"user {user.user_id}",
            user.access,
            user_id=user.user_id,
            session_id=found.session.session_id,
        )
        return caller, found.cookie

    async def by_name(self, name: str) -> Caller | None:
        """The caller whom a trusted proxy has signed in; None for an unknown or disabled user."""
        user = await asyncio.to_thread(self.users.named, name)
        if user is None or user.disabled:
            return None
        return Caller(f"user {user.user_id}", user.access, user_id=user.user_id)

    async def by_token(self, token: str) -> tuple[Caller, float | None] | None:
        """The caller of an API token, and the seconds until it expires."""
        found = await asyncio.to_thread(self.tokens.find, digest(token))
        now = time.time()
        if found is None or (found.expires_ts is not None and found.expires_ts <= now):
            return None
        access = await self._token_access(found)
        if access is None:
            return None
        if found.used_ts is None or now - found.used_ts > TOUCH_S:
            await asyncio.to_thread(self.tokens.touch, found.token_id, now)
        caller = Caller(
            f"token {found.token_id}", access, user_id=found.user_id, token_id=found.token_id
        )
        return caller, None if found.expires_ts is None else found.expires_ts - now

    async def _token_access(self, token: ApiToken) -> Access | None:
        """What a token allows now; its owner may have lost rights, or be gone."""
        if token.user_id is None:
            return token.access
        try:
            owner = await asyncio.to_thread(self.users.get, token.user_id)
        except UserNotFound:
            return None
        return None if owner.disabled else token.access.limited_to(owner.access)

    # ── the first user ───────────────────────────────────────────────────────────────────

    async def make_first_user(
        self, name: str, password: str, code: str | None, address: str
    ) -> User:
        """Make the first user, an administrator.

        Args:
            code: the set-up code; None for a caller on this machine, who needs none.

        Raises:
            Unauthorized: the code is wrong; UserExists, TooManyAttempts, InvalidRequest.
        """
        if code is not None:
            key = address_key(address)
            self.throttle.check(key)
            if not hmac.compare_digest(code.encode(), self.setup_code.encode()):
                self.throttle.failed(key)
                raise Unauthorized(reason="the set-up code is wrong")
        hashed = await self.passwords.hash(password)
        grants = (Grant(Role.ADMINISTRATOR),)
        return await asyncio.to_thread(
            lambda: self.users.add(name, grants, password_hash=hashed, first=True)
        )
