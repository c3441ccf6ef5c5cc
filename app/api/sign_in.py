"""What the calls that begin or end a sign-in have in common."""

from __future__ import annotations

import asyncio

from fastapi import Request, Response

from app.access.service import AccessService
from app.access.sessions import SignedIn
from app.accounts import User
from app.api.auth import cookie_attributes, session_cookie
from app.api.credentials import TOKEN_COOKIE
from app.errors import (
    NoAccount,
    ProviderFailed,
    ProviderNotTrusted,
    ProviderRefused,
    SignInExpired,
    SignInNeeded,
    UserNotFound,
    WatchpostError,
)
from app.rights import Caller

PAGE = "viewer"
SHOWN: tuple[type[WatchpostError], ...] = (
    NoAccount,
    ProviderFailed,
    ProviderNotTrusted,
    ProviderRefused,
    SignInExpired,
)
"""What the page can show after a sign-in that failed elsewhere, by its code."""


def problem_of(code: str | None) -> WatchpostError | None:
    """The error with a code, if the page can show it."""
    return next((kind() for kind in SHOWN if kind.code == code), None)


def server_url(request: Request, access: AccessService) -> str:
    """The URL under which browsers reach this server, with a slash at the end."""
    public = access.provider.settings.public_url if access.provider is not None else None
    return f"{(public or str(request.base_url)).rstrip('/')}/"


async def user_of(access: AccessService, caller: Caller) -> User | None:
    """The user behind a call; None for the server's own token, and for this machine."""
    if caller.user_id is None:
        return None
    try:
        return await asyncio.to_thread(access.users.get, caller.user_id)
    except UserNotFound:
        return None


async def signed_in_user(access: AccessService, caller: Caller) -> User:
    """The user whose browser calls. Raises SignInNeeded for tokens, and for this machine."""
    user = await user_of(access, caller)
    if user is None or caller.session_id is None:
        raise SignInNeeded
    return user


def set_session(signed_in: SignedIn | None, request: Request, response: Response) -> None:
    """Set the cookie of a session, or remove it. A token that the page stored is forgotten."""
    cookie = signed_in.cookie or "" if signed_in is not None else ""
    response.headers.append("Set-Cookie", session_cookie(cookie, request.scope))
    set_cookie(TOKEN_COOKIE, "", request, response, age=0)


def set_cookie(
    name: str, value: str, request: Request, response: Response, *, age: int, site: str = "Strict"
) -> None:
    """Set a cookie for some seconds; with an age of 0, remove it."""
    attributes = cookie_attributes(request.scope, site)
    response.headers.append("Set-Cookie", f"{name}={value}; {attributes}; Max-Age={age}")
