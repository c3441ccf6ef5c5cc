"""Signing in through an OpenID Connect provider: to its page, and back from there."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.access.oidc_users import user_of
from app.access.service import AccessService
from app.access.throttle import address_key
from app.api.audit_middleware import note, note_refusal
from app.api.credentials import address_of, cookie_of
from app.api.deps import AccessServiceDep
from app.api.errors import error_replies
from app.api.sign_in import PAGE, SHOWN, server_url, set_cookie, set_session
from app.errors import NotFound, ProviderNotTrusted, SignInExpired, Unauthorized, WatchpostError

if TYPE_CHECKING:
    from app.access.oidc import OidcProvider

logger = logging.getLogger(__name__)

COOKIE = "watchpost_sign_in"
PAGE_COOKIE = "watchpost_page"
PAGES = {"viewer": PAGE, "control-room": ""}
"""Paths of the pages that a sign-in can begin at and lead back to."""
CALLBACK = "api/sign-in/oidc/callback"
GUESSES = (ProviderNotTrusted, SignInExpired)

router = APIRouter(
    prefix="/api/sign-in/oidc",
    tags=["accounts"],
    default_response_class=RedirectResponse,
    responses={
        303: {"description": "To the provider, or to the page"},
        **error_replies(
            {
                401: "The sign-in failed; browsers are led to the page, which says why",
                404: "No identity provider is set up",
                429: "Too many attempts: wait",
                502: "The provider does not answer, or refuses this server",
            }
        ),
    },
)


@router.get("", summary="Sign in through the identity provider", status_code=303)
async def begin_provider_sign_in(
    request: Request,
    access: AccessServiceDep,
    page: Annotated[
        Literal["viewer", "control-room"], Query(description="The page to lead back to.")
    ] = "viewer",
) -> Response:
    """Lead a browser to the provider's page. The cookie lets only this browser finish."""
    provider = _provider(access, request)
    try:
        access.throttle.check(address_key(address_of(request.scope)))
        begun = await provider.begin(server_url(request, access) + CALLBACK)
    except WatchpostError as error:
        return _failed(error, request, access, page)
    response = RedirectResponse(begun.url, 303)
    # Lax, since it is the provider's page that leads the browser back.
    age = int(provider.tuning.valid_s)
    for name, value in ((COOKIE, begun.cookie), (PAGE_COOKIE, page)):
        set_cookie(name, value, request, response, age=age, site="Lax")
    return response


@router.get("/callback", summary="Finish a sign-in through the identity provider", status_code=303)
async def finish_provider_sign_in(request: Request, access: AccessServiceDep) -> Response:
    """The provider leads the browser here, with `state` and `code`, or with `error`."""
    provider = _provider(access, request)
    address, agent = address_of(request.scope), request.headers.get("user-agent", "")
    page = cookie_of(request.headers, PAGE_COOKIE)
    try:
        access.throttle.check(address_key(address))
        claims = await provider.finish(request.query_params, cookie_of(request.headers, COOKIE))
        subject = provider.subject(claims["sub"])
        found = await asyncio.to_thread(user_of, claims, subject, provider.settings, access.users)
        signed_in = await access.begin(found.user, address, agent)
    except WatchpostError as error:
        if isinstance(error, GUESSES):
            access.throttle.failed(address_key(address))
        return _failed(error, request, access, page)
    if found.changed:
        access.end_later(f"user {found.user.user_id}")
    note(
        request,
        user_id=found.user.user_id,
        session_id=signed_in.session.session_id,
        created=found.created,
        rights_changed=found.changed,
    )
    response = RedirectResponse(_address(page, request, access), 303)
    set_session(signed_in, request, response)
    _forget(request, response)
    return response


def _provider(access: AccessService, request: Request) -> OidcProvider:
    if access.provider is None:
        raise NotFound(path=request.url.path)
    return access.provider


def _address(page: str | None, request: Request, access: AccessService) -> str:
    """The URL of the page where a sign-in began."""
    return server_url(request, access) + PAGES.get(page or "", PAGE)


def _forget(request: Request, response: Response) -> None:
    """Remove what the browser remembered of the sign-in."""
    for name in (COOKIE, PAGE_COOKIE):
        set_cookie(name, "", request, response, age=0, site="Lax")


def _failed(
    error: WatchpostError, request: Request, access: AccessService, page: str | None
) -> Response:
    """Programs get the error; a browser gets the page, which shows it."""
    if not isinstance(error, SHOWN) or "text/html" not in request.headers.get("accept", ""):
        raise error
    if isinstance(error, Unauthorized):
        note_refusal(request)
    address = _address(page, request, access)
    response = RedirectResponse(f"{address}?problem={error.code}", 303)
    _forget(request, response)
    return response
