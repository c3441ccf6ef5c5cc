"""API tokens: for programs, with a name, rights, cameras and an end."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Path, Request

from app.access.secrets import TOKEN_PREFIX, digest, new_secret
from app.accounts import ApiToken
from app.api.account_schemas import Done
from app.api.audit_middleware import note
from app.api.deps import AccessServiceDep, CallerDep
from app.api.errors import error_replies
from app.api.token_schemas import TokenMade, TokenReply, TokenRequest
from app.errors import Forbidden, InvalidRequest, SignInNeeded, TokenNotFound
from app.rights import Caller, Right

router = APIRouter(
    prefix="/api/tokens",
    tags=["accounts"],
    responses=error_replies(
        {
            400: "Wrong field or value",
            401: "Token needed",
            403: "The caller lacks a right that the token would have",
            404: "No such token",
        }
    ),
)

TokenId = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[3])]


@router.get("", summary="List API tokens")
async def list_tokens(access: AccessServiceDep, caller: CallerDep) -> list[TokenReply]:
    """The caller's own; for administrators, all."""
    tokens = await asyncio.to_thread(access.tokens.all)
    return [TokenReply.of(token) for token in tokens if _may_manage(caller, token)]


@router.post("", summary="Make an API token", status_code=201)
async def make_token(
    body: TokenRequest, request: Request, access: AccessServiceDep, caller: CallerDep
) -> TokenMade:
    """The reply is the only one that shows the token. It allows at most what its owner may do, now
    and later."""
    if caller.token_id is not None:  # it could outlive itself
        raise SignInNeeded
    _check_rights(body, caller)
    now, secret = time.time(), new_secret(TOKEN_PREFIX)
    if body.expires_ts is not None and body.expires_ts <= now:
        raise InvalidRequest(field="expires_ts", reason="is in the past")
    token = await asyncio.to_thread(
        lambda: access.tokens.add(
            digest(secret),
            name=body.name,
            user_id=caller.user_id,
            rights=frozenset(body.rights),
            cameras=body.to_cameras(),
            now=now,
            expires_ts=body.expires_ts,
        )
    )
    note(request, token_id=token.token_id)
    return TokenMade(**TokenReply.of(token).model_dump(), token=secret)


@router.delete("/{token_id}", summary="Revoke an API token")
async def revoke_token(token_id: TokenId, access: AccessServiceDep, caller: CallerDep) -> Done:
    """Its calls in progress end at once."""
    token = await asyncio.to_thread(access.tokens.get, token_id)
    if not _may_manage(caller, token):
        raise TokenNotFound(token_id=token_id)
    await asyncio.to_thread(access.tokens.delete, token_id)
    access.end_later(f"token {token_id}")
    return Done()


def _may_manage(caller: Caller, token: ApiToken) -> bool:
    if caller.access.everywhere(Right.ADMINISTER):
        return True
    return caller.user_id is not None and token.user_id == caller.user_id


def _check_rights(body: TokenRequest, caller: Caller) -> None:
    """Raises Forbidden if the token would allow more than the caller may do."""
    cameras = body.to_cameras()
    for right in body.rights:
        covered = caller.access.cameras(right)
        if covered is not None and (cameras is None or not cameras <= covered):
            raise Forbidden(right=right.value)
