"""Users, as administrators manage them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from app.access.passwords import check_length
from app.access.service import AccessService
from app.api.account_schemas import Done, UserChange, UserReply, UserRequest
from app.api.audit_middleware import note
from app.api.deps import AccessServiceDep
from app.api.errors import error_replies
from app.errors import InvalidRequest

router = APIRouter(
    prefix="/api/users",
    tags=["accounts"],
    responses=error_replies(
        {
            400: "Wrong field or value",
            401: "Token needed",
            403: "The caller is no administrator",
            404: "No such user",
            409: "The name is taken, or it is the last administrator",
        }
    ),
)

UserId = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[3])]


@router.get("", summary="List users")
async def list_users(access: AccessServiceDep) -> list[UserReply]:
    """Oldest first."""
    two_factor = await asyncio.to_thread(access.two_factor.rows.enabled)
    users = await asyncio.to_thread(access.users.all)
    return [UserReply.of(user, two_factor) for user in users]


@router.post("", summary="Add a user", status_code=201)
async def add_user(body: UserRequest, request: Request, access: AccessServiceDep) -> UserReply:
    """Roles are per camera: a user may be viewer of one and operator of another."""
    if body.password is None and body.subject is None:
        raise InvalidRequest(field="password", reason="give a password, or a subject")
    hashed = None if body.password is None else await access.passwords.hash(body.password)
    subject = _subject(body.subject, access)
    user = await asyncio.to_thread(
        lambda: access.users.add(body.name, body.to_grants(), password_hash=hashed, subject=subject)
    )
    note(request, user_id=user.user_id)
    return UserReply.of(user, two_factor=())


def _subject(user_at_provider: str | None, access: AccessService) -> str | None:
    """The value that is stored. Raises InvalidRequest if there is no identity provider."""
    if user_at_provider is None:
        return None
    if access.provider is None:
        raise InvalidRequest(field="subject", reason="no identity provider is set up")
    return access.provider.subject(user_at_provider)


@router.get("/{user_id}", summary="Show a user")
async def show_user(user_id: UserId, access: AccessServiceDep) -> UserReply:
    """One user, without any secret."""
    user = await asyncio.to_thread(access.users.get, user_id)
    return UserReply.of(user, await asyncio.to_thread(access.two_factor.rows.enabled))


@router.patch("/{user_id}", summary="Change a user")
async def change_user(user_id: UserId, body: UserChange, access: AccessServiceDep) -> UserReply:
    """Changed rights count at once: calls in progress end, and clients connect again."""
    changes: dict[str, Any] = {}
    if "password" in body.model_fields_set:
        check_length(body.password)
    if "grants" in body.model_fields_set:
        changes["grants"] = tuple(grant.to_grant() for grant in body.grants)
    if "disabled" in body.model_fields_set:
        changes["disabled"] = body.disabled
    if "subject" in body.model_fields_set:
        changes["subject"] = _subject(body.subject, access)
    user = await asyncio.to_thread(access.users.change, user_id, changes)
    if "password" in body.model_fields_set:
        await access.set_password(user_id, body.password)
    access.end_later(f"user {user_id}")
    return UserReply.of(user, await asyncio.to_thread(access.two_factor.rows.enabled))


@router.delete("/{user_id}", summary="Remove a user")
async def remove_user(user_id: UserId, access: AccessServiceDep) -> Done:
    """With all of their sign-ins and tokens."""
    await asyncio.to_thread(access.users.delete, user_id)
    access.end_later(f"user {user_id}")
    return Done()


@router.delete("/{user_id}/two-factor", summary="Reset a user's two-factor sign-in")
async def reset_two_factor(user_id: UserId, access: AccessServiceDep) -> Done:
    """For a user who has lost the authenticator app and the recovery codes."""
    await asyncio.to_thread(access.users.get, user_id)
    await access.two_factor.reset(user_id)
    return Done()
