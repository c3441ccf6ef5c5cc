"""Two-factor sign-in of the caller: setting it up, renewing recovery codes, turning it off."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from app.api.account_schemas import Done
from app.api.credentials import address_of
from app.api.deps import AccessServiceDep, CallerDep
from app.api.errors import error_replies
from app.api.sign_in import signed_in_user
from app.api.two_factor_schemas import (
    OneTimeCode,
    PasswordAgain,
    PasswordAndCode,
    RecoveryCodes,
    TwoFactorReply,
    TwoFactorSecret,
)

router = APIRouter(
    prefix="/api/account/two-factor",
    tags=["accounts"],
    responses=error_replies(
        {
            400: "Wrong field or value",
            401: "Wrong password or code, or not signed in",
            403: "Only for users who signed in",
            409: "It is on already, or it is off",
            429: "Too many wrong attempts: wait",
        }
    ),
)


@router.get("", summary="Show my two-factor sign-in")
async def show_two_factor(access: AccessServiceDep, caller: CallerDep) -> TwoFactorReply:
    """Whether it is on, and how many recovery codes are left."""
    user = await signed_in_user(access, caller)
    row = await asyncio.to_thread(access.two_factor.rows.get, user.user_id)
    if row is None or not row.confirmed:
        return TwoFactorReply(enabled=False, recovery_codes_left=0)
    return TwoFactorReply(enabled=True, recovery_codes_left=row.recovery_codes_left)


@router.post("", summary="Begin to set up two-factor sign-in")
async def begin_two_factor(
    body: PasswordAgain, request: Request, access: AccessServiceDep, caller: CallerDep
) -> TwoFactorSecret:
    """The reply is the only one that shows the secret. It counts once a code of it is confirmed."""
    user = await signed_in_user(access, caller)
    await access.check_password(user, body.password, address_of(request.scope))
    secret, url = await access.two_factor.propose(user)
    return TwoFactorSecret(secret=secret, otpauth_url=url)


@router.post("/confirm", summary="Turn two-factor sign-in on")
async def confirm_two_factor(
    body: OneTimeCode, access: AccessServiceDep, caller: CallerDep
) -> RecoveryCodes:
    """The reply is the only one that shows the recovery codes. The user's other sign-ins end."""
    user = await signed_in_user(access, caller)
    codes = await access.two_factor.confirm(user.user_id, body.one_time_code)
    await access.end_sessions(user.user_id, keep=caller.session_id)
    return RecoveryCodes(recovery_codes=codes)


@router.post("/recovery-codes", summary="Renew my recovery codes")
async def renew_recovery_codes(
    body: PasswordAndCode, request: Request, access: AccessServiceDep, caller: CallerDep
) -> RecoveryCodes:
    """The old ones end."""
    user = await signed_in_user(access, caller)
    await access.check_password(user, body.password, address_of(request.scope))
    codes = await access.two_factor.renew_recovery_codes(user.user_id, body.one_time_code)
    return RecoveryCodes(recovery_codes=codes)


@router.post("/remove", summary="Turn two-factor sign-in off")
async def remove_two_factor(
    body: PasswordAndCode, request: Request, access: AccessServiceDep, caller: CallerDep
) -> Done:
    """With the password and a code, so that an unattended browser is not enough."""
    user = await signed_in_user(access, caller)
    await access.check_password(user, body.password, address_of(request.scope))
    await access.two_factor.turn_off(user.user_id, body.one_time_code)
    return Done()
