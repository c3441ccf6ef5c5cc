"""Signing in and out, and the caller's own account."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.access.sessions import SignedIn
from app.api.account_schemas import (
    Account,
    Done,
    PasswordChange,
    SetupRequest,
    SignedOut,
    SignInOptions,
    SignInReply,
    SignInRequest,
)
from app.api.audit_middleware import note
from app.api.credentials import address_of
from app.api.deps import AccessServiceDep, CallerDep, LanguageDep
from app.api.errors import ErrorReply
from app.api.i18n import describe
from app.api.sign_in import problem_of, server_url, set_session, signed_in_user, user_of
from app.errors import ProviderFailed, SignInNotFound, TooManyAttempts
from app.rights import Caller, Right

router = APIRouter(
    prefix="/api",
    tags=["accounts"],
    responses={
        400: {"model": ErrorReply, "description": "Wrong field or value"},
        401: {"model": ErrorReply, "description": "Wrong name or password, or not signed in"},
        403: {"model": ErrorReply, "description": "The caller lacks the right"},
        429: {"model": ErrorReply, "description": "Too many wrong attempts: wait"},
    },
)

SessionId = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[3])]


@router.get("/sign-in", summary="How to sign in")
async def sign_in_options(
    access: AccessServiceDep,
    caller: CallerDep,
    language: LanguageDep,
    problem: Annotated[
        str | None,
        Query(max_length=40, description="Code of a failed sign-in, which the reply describes."),
    ] = None,
) -> SignInOptions:
    """What the sign-in of a page needs to know. Open to everybody."""
    users = await asyncio.to_thread(access.users.count) > 0
    may_set_up = caller.access.everywhere(Right.ADMINISTER)
    setup = None if users else ("open" if may_set_up else "code")
    error, provider = problem_of(problem), access.provider
    return SignInOptions(
        signed_in=caller.access.rights != {},
        users=users,
        setup=setup,
        provider=provider.settings.name if provider is not None else None,
        problem=describe(error, language) if error is not None else None,
    )


@router.post("/sign-in", summary="Sign in")
async def sign_in(
    body: SignInRequest, request: Request, response: Response, access: AccessServiceDep
) -> Account:
    """Begin a session; its cookie is sent with every later call of the browser. A user who has
    set up two-factor sign-in also needs `one_time_code`; without it, the error is `CODE_NEEDED`."""
    address, agent = address_of(request.scope), request.headers.get("user-agent", "")
    signed_in = await access.sign_in(body.name, body.password, address, agent, body.one_time_code)
    note(request, user_id=signed_in.user.user_id)
    return _signed_in(signed_in, request, response)


@router.post("/setup", summary="Make the first user", status_code=201)
async def make_first_user(
    body: SetupRequest,
    request: Request,
    response: Response,
    access: AccessServiceDep,
    caller: CallerDep,
) -> Account:
    """Make the first user, an administrator, and sign them in. Callers from other machines need
    the code that the log shows."""
    address, agent = address_of(request.scope), request.headers.get("user-agent", "")
    code = None if caller.access.everywhere(Right.ADMINISTER) else body.code or ""
    user = await access.make_first_user(body.name, body.password, code, address)
    note(request, user_id=user.user_id)
    return _signed_in(await access.begin(user, address, agent), request, response)


@router.post("/sign-out", summary="Sign out")
async def sign_out(
    request: Request, response: Response, access: AccessServiceDep, caller: CallerDep
) -> SignedOut:
    """End the caller's session, and forget the token that the page stores.

    A user of an identity provider is still signed in there, until the browser has been at
    `continue_at`.
    """
    if caller.session_id is not None:
        await asyncio.to_thread(access.session_rows.delete, caller.session_id)
        access.end_later(f"session {caller.session_id}")
    set_session(None, request, response)
    user, provider = await user_of(access, caller), access.provider
    if provider is None or user is None or user.subject is None:
        return SignedOut()
    try:
        return SignedOut(continue_at=await provider.end_session_url(server_url(request, access)))
    except (ProviderFailed, TooManyAttempts):
        return SignedOut()  # the session here has ended


@router.get("/account", summary="Who am I, and what may I do?")
async def show_account(access: AccessServiceDep, caller: CallerDep) -> Account:
    """The caller's name and rights; for programs, those of their token."""
    return Account.of(caller, await user_of(access, caller))


@router.put("/account/password", summary="Change my password")
async def change_password(
    body: PasswordChange, request: Request, access: AccessServiceDep, caller: CallerDep
) -> Done:
    """The other sign-ins of the user end."""
    user = await signed_in_user(access, caller)
    await access.check_password(user, body.current, address_of(request.scope))
    await access.set_password(user.user_id, body.new, keep=caller.session_id)
    return Done()


@router.get("/account/sign-ins", summary="My sign-ins")
async def list_sign_ins(access: AccessServiceDep, caller: CallerDep) -> list[SignInReply]:
    """Newest first."""
    user = await signed_in_user(access, caller)
    sessions = await asyncio.to_thread(access.session_rows.of_user, user.user_id)
    return [SignInReply.of(session, caller.session_id) for session in sessions]


@router.delete(
    "/account/sign-ins/{session_id}",
    summary="End one of my sign-ins",
    responses={404: {"model": ErrorReply, "description": "No such sign-in"}},
)
async def end_sign_in(session_id: SessionId, access: AccessServiceDep, caller: CallerDep) -> Done:
    """That browser is signed out at once; what it watches ends."""
    user = await signed_in_user(access, caller)
    sessions = await asyncio.to_thread(access.session_rows.of_user, user.user_id)
    if session_id not in [session.session_id for session in sessions]:
        raise SignInNotFound(session_id=session_id)
    await asyncio.to_thread(access.session_rows.delete, session_id)
    access.end_later(f"session {session_id}")
    return Done()


def _signed_in(signed_in: SignedIn, request: Request, response: Response) -> Account:
    """The reply that begins a session. It replaces a token that the page stored."""
    user, session = signed_in.user, signed_in.session
    set_session(signed_in, request, response)
    caller = Caller(
        f"user {user.user_id}", user.access, user_id=user.user_id, session_id=session.session_id
    )
    return Account.of(caller, user)
