"""Signing in through an OpenID Connect provider, with a real one on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures import LOOPBACK, REMOTE, Running, running
from support.identity_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    IdentityProvider,
    identity_provider,
    query_of,
)

from app.access.service import AccessService
from app.accounts import User
from app.api.credentials import SESSION_COOKIE
from app.api.oidc import COOKIE
from app.audit import AuditFilter
from app.config import AuthSettings, Settings
from app.main import create_app
from app.oidc_settings import OidcSettings
from app.rights import Grant, Right, Role

from .conftest import TOKEN

pytestmark = pytest.mark.anyio

SITE = "http://watchpost.example:8000"
BEGIN, CALLBACK = "/api/sign-in/oidc", "/api/sign-in/oidc/callback"
HTML = {"Accept": "text/html", "Accept-Language": "en"}


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
async def server(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory, provider: IdentityProvider
) -> AsyncIterator[Running]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("oidc"),
        auth=AuthSettings(token=TOKEN),
        oidc=OidcSettings(
            issuer=provider.issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, name="Our SSO"
        ),
    )
    async with running(create_app(settings)) as app:
        yield app


@pytest.fixture(autouse=True)
def fresh(server: Running, provider: IdentityProvider) -> None:
    """No users, nobody is slowed down, and the provider does nothing wrong."""
    access = access_of(server)
    access.throttle._records.clear()
    server.state["audit"]._recent.clear()  # the same denial is written once a minute
    with access.users._engine.begin() as connection:
        for table in ("api_tokens", "user_sessions", "users"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    configure(server)
    assert access.provider is not None
    access.provider._metadata = None
    provider.spoil = provider.refused = ""
    provider.down = False
    provider.user = {"sub": "u-1", "preferred_username": "kim", "groups": ["staff", "others"]}


def access_of(server: Running) -> AccessService:
    access: AccessService = server.state["access"]
    return access


def configure(server: Running, **changes: Any) -> None:
    """Other settings of the provider, as after a restart."""
    provider = access_of(server).provider
    assert provider is not None
    same = {"create": "nobody", "roles": {}, "public_url": None} | changes
    values = provider.settings.model_dump() | same
    provider.settings = OidcSettings.model_validate(values)


def linked(server: Running, *grants: Grant, sub: str = "u-1") -> User:
    access = access_of(server)
    assert access.provider is not None
    return access.users.add("Kim", grants, subject=access.provider.subject(sub))


def browser(server: Running) -> httpx.AsyncClient:
    return server.client(REMOTE, SITE, headers=HTML)


async def at_provider(url: str) -> str:
    """The URL to which the provider's page leads the browser."""
    async with httpx.AsyncClient(trust_env=False) as client:
        reply = await client.get(url)
    assert reply.status_code == 307
    return reply.headers["location"]


async def sign_in(client: httpx.AsyncClient) -> httpx.Response:
    """The reply that ends a sign-in, whether it succeeded or not."""
    begun = await client.get(BEGIN)
    assert begun.status_code == 303, begun.text
    if begun.headers["location"].startswith(SITE):
        return begun
    back = await at_provider(begun.headers["location"])
    assert back.startswith(SITE + CALLBACK)
    return await client.get(back)


async def refusal(client: httpx.AsyncClient, reply: httpx.Response) -> str:
    """The code with which a sign-in was refused; the page can show it in words."""
    assert reply.status_code == 303, reply.text
    assert SESSION_COOKIE not in client.cookies
    location = reply.headers["location"]
    assert location.startswith(f"{SITE}/viewer?problem=")
    code = query_of(location)["problem"]
    shown = (await client.get("/api/sign-in", params={"problem": code})).json()
    assert shown["problem"].endswith(".")
    assert shown["signed_in"] is False
    return code


def audited(server: Running) -> list[tuple[str, dict[str, Any]]]:
    """Outcome and details of the sign-ins in the audit log, newest first."""
    rows = server.state["audit"].rows.page(AuditFilter(action=CALLBACK), 50)[0]
    return [(row.entry.outcome, dict(row.entry.details)) for row in rows]


# ── signing in and out ───────────────────────────────────────────────────────────────────────


async def test_a_linked_user_signs_in_with_the_rights_given_here(
    server: Running, provider: IdentityProvider
) -> None:
    user = linked(server, Grant(Role.VIEWER, frozenset({"gate"})))
    async with browser(server) as client:
        assert (await client.get("/api/sign-in")).json()["provider"] == "Our SSO"
        reply = await sign_in(client)
        assert reply.status_code == 303
        assert reply.headers["location"] == f"{SITE}/viewer"
        account = (await client.get("/api/account")).json()
        assert (account["caller"], account["rights"]) == (
            f"user {user.user_id}",
            {"view": ["gate"]},
        )
        assert COOKIE not in client.cookies
    outcome, details = audited(server)[0]
    assert outcome == "done"
    assert details["user_id"] == user.user_id
    assert not details["created"]


async def test_a_sign_in_leads_back_to_the_page_where_it_began(server: Running) -> None:
    linked(server, Grant(Role.VIEWER))
    async with browser(server) as client:
        begun = await client.get(BEGIN, params={"page": "control-room"})
        reply = await client.get(await at_provider(begun.headers["location"]))
        assert reply.headers["location"] == f"{SITE}/"
        assert (await sign_in(client)).headers["location"] == f"{SITE}/viewer"


async def test_the_request_to_the_provider_is_complete(
    server: Running, provider: IdentityProvider
) -> None:
    async with browser(server) as client:
        begun = await client.get(BEGIN)
        asked = query_of(begun.headers["location"])
        assert asked["response_type"] == "code"
        assert asked["scope"] == "openid profile email"
        assert asked["redirect_uri"] == SITE + CALLBACK
        assert asked["code_challenge_method"] == "S256"
        assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
        [cookie] = [
            value for value in begun.headers.get_list("set-cookie") if value.startswith(COOKIE)
        ]
        for word in ("HttpOnly", "SameSite=Lax", "Max-Age=600"):
            assert word in cookie
        for name in ("state", "nonce"):
            assert asked[name] not in cookie


async def test_signing_out_leads_to_the_providers_page(
    server: Running, provider: IdentityProvider
) -> None:
    linked(server, Grant(Role.VIEWER))
    async with browser(server) as client:
        await sign_in(client)
        reply = (await client.post("/api/sign-out", headers={"Origin": SITE})).json()
        assert reply["continue_at"].startswith(f"{provider.issuer}/logout?")
        asked = query_of(reply["continue_at"])
        assert asked == {"client_id": CLIENT_ID, "post_logout_redirect_uri": f"{SITE}/"}
        assert (await client.get("/api/account")).status_code == 401


async def test_the_session_of_a_providers_user_ends_after_half_a_day(server: Running) -> None:
    linked(server, Grant(Role.VIEWER))
    access = access_of(server)
    async with browser(server) as client:
        await sign_in(client)
        assert (await client.get("/api/account")).status_code == 200
        with access.users._engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE user_sessions SET created_ts = created_ts - 43300, rotated_ts = rotated_ts"
            )
        assert (await client.get("/api/account")).status_code == 401


async def test_a_renewed_key_of_the_provider_counts_at_once(
    server: Running, provider: IdentityProvider
) -> None:
    linked(server, Grant(Role.VIEWER))
    async with browser(server) as client:
        await sign_in(client)
        provider.renew_key()
        assert (await sign_in(client)).headers["location"] == f"{SITE}/viewer"


async def test_behind_a_proxy_the_public_url_counts(server: Running) -> None:
    configure(server, public_url="https://cameras.example.com/watch/")
    async with browser(server) as client:
        asked = query_of((await client.get(BEGIN)).headers["location"])
        assert asked["redirect_uri"] == "https://cameras.example.com/watch" + CALLBACK


# ── who may ──────────────────────────────────────────────────────────────────────────────────


async def test_by_default_nobody_is_created(server: Running) -> None:
    async with browser(server) as client:
        assert await refusal(client, await sign_in(client)) == "NO_ACCOUNT"
    assert access_of(server).users.all() == []
    assert audited(server)[0][0] == "denied"


async def test_a_role_of_the_claim_makes_a_user_and_losing_it_ends_that(
    server: Running, provider: IdentityProvider
) -> None:
    roles = {"staff": {"role": "viewer", "cameras": ["gate"]}, "chiefs": "administrator"}
    configure(server, create="mapped", roles=roles)
    async with browser(server) as client:
        await sign_in(client)
        [user] = access_of(server).users.all()
        assert (user.name, user.password_hash) == ("kim", None)
        assert user.grants == (Grant(Role.VIEWER, frozenset({"gate"})),)
        assert audited(server)[0][1]["created"]

        provider.user["groups"] = "chiefs"
        await sign_in(client)
        [user] = access_of(server).users.all()
        assert user.access.everywhere(Right.ADMINISTER)
        assert audited(server)[0][1]["rights_changed"]
    access_of(server).users.add("another administrator", (Grant(Role.ADMINISTRATOR),))
    provider.user["groups"] = ["unknown"]
    async with browser(server) as client:
        assert await refusal(client, await sign_in(client)) == "NO_ACCOUNT"
        assert not access_of(server).users.get(user.user_id).access.rights


async def test_nobody_is_created_whose_claim_gives_no_role(
    server: Running, provider: IdentityProvider
) -> None:
    configure(server, create="mapped", roles={"chiefs": "administrator"})
    for groups in ([], None, "chief", ["CHIEFS"], [["chiefs"]], {"chiefs": True}, 7):
        provider.user["groups"] = groups
        async with browser(server) as client:
            assert await refusal(client, await sign_in(client)) == "NO_ACCOUNT", groups
            access_of(server).throttle._records.clear()


async def test_everybody_can_be_a_user_without_any_right(server: Running) -> None:
    configure(server, create="everybody")
    async with browser(server) as client:
        await sign_in(client)
        assert (await client.get("/api/account")).json()["rights"] == {}
        assert (await client.get("/cameras")).status_code == 403


async def test_a_name_at_the_provider_is_no_way_into_an_account_here(
    server: Running, provider: IdentityProvider
) -> None:
    access_of(server).users.add("kim", (Grant(Role.ADMINISTRATOR),))
    async with browser(server) as client:
        assert await refusal(client, await sign_in(client)) == "NO_ACCOUNT"
        configure(server, create="everybody")
        await sign_in(client)
        account = (await client.get("/api/account")).json()
        assert (account["name"], account["rights"]) == ("kim (2)", {})


async def test_a_disabled_user_stays_out(server: Running) -> None:
    user = linked(server, Grant(Role.VIEWER))
    access_of(server).users.change(user.user_id, {"disabled": True})
    async with browser(server) as client:
        assert await refusal(client, await sign_in(client)) == "NO_ACCOUNT"


async def test_an_administrator_links_a_user_who_then_needs_no_password(server: Running) -> None:
    async with server.client(LOOPBACK) as admin:
        body = {"name": "Kim", "subject": "u-1", "grants": [{"role": "viewer"}]}
        made = await admin.post("/api/users", json=body)
        assert made.status_code == 201, made.text
        assert (made.json()["subject"], made.json()["has_password"]) == ("u-1", False)
        neither = await admin.post("/api/users", json={"name": "Lee", "grants": []})
        assert neither.status_code == 400
        taken = await admin.post("/api/users", json=body | {"name": "Lee"})
        assert taken.status_code == 409
        async with browser(server) as client:
            await sign_in(client)
            assert (await client.get("/api/account")).json()["name"] == "Kim"
        path = f"/api/users/{made.json()['user_id']}"
        assert (await admin.patch(path, json={"subject": None})).json()["subject"] is None
    async with browser(server) as client:
        assert await refusal(client, await sign_in(client)) == "NO_ACCOUNT"


# ── what is refused ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "what",
    [
        *("nonce", "no nonce", "aud", "azp", "iss", "exp", "no exp", "at_hash"),
        *("key", "signature", "none", "HS256", "sub", "no sub"),
    ],
)
async def test_a_token_with_something_wrong_is_refused(
    what: str, server: Running, provider: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    linked(server, Grant(Role.VIEWER))
    provider.spoil = what
    async with browser(server) as client:
        assert await refusal(client, await sign_in(client)) == "PROVIDER_NOT_TRUSTED"
    assert "cannot be trusted: " in caplog.text
    assert [token for token in provider.tokens if token in caplog.text] == []
    assert audited(server)[0][0] == "denied"


async def test_a_state_counts_once(server: Running, provider: IdentityProvider) -> None:
    linked(server, Grant(Role.VIEWER))
    async with browser(server) as client:
        begun = await client.get(BEGIN)
        cookie = client.cookies[COOKIE]
        back = await at_provider(begun.headers["location"])
        assert (await client.get(back)).headers["location"] == f"{SITE}/viewer"
    async with browser(server) as thief:
        thief.cookies.set(COOKIE, cookie, domain="watchpost.example")
        assert await refusal(thief, await thief.get(back)) == "SIGN_IN_EXPIRED"


async def test_a_sign_in_ends_in_the_browser_that_began_it(server: Running) -> None:
    """Or a foreign link could sign a person in as somebody else."""
    linked(server, Grant(Role.VIEWER))
    async with browser(server) as attacker, browser(server) as victim:
        begun = await attacker.get(BEGIN)
        back = await at_provider(begun.headers["location"])
        assert await refusal(victim, await victim.get(back)) == "SIGN_IN_EXPIRED"
        await victim.get(BEGIN)
        assert await refusal(victim, await victim.get(back)) == "SIGN_IN_EXPIRED"


async def test_a_sign_in_that_takes_too_long_is_refused(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked(server, Grant(Role.VIEWER))
    access = access_of(server)
    async with browser(server) as client:
        back = await at_provider((await client.get(BEGIN)).headers["location"])
        assert access.provider is not None
        clock = access.provider._clock
        monkeypatch.setattr(access.provider, "_clock", lambda: clock() + 601)
        assert await refusal(client, await client.get(back)) == "SIGN_IN_EXPIRED"


async def test_another_issuers_reply_is_refused(server: Running) -> None:
    linked(server, Grant(Role.VIEWER))
    async with browser(server) as client:
        back = await at_provider((await client.get(BEGIN)).headers["location"])
        mixed = await client.get(f"{back}&iss=https://other.example")
        assert await refusal(client, mixed) == "PROVIDER_NOT_TRUSTED"


async def test_what_the_provider_refuses_is_said(
    server: Running, provider: IdentityProvider
) -> None:
    provider.refused = "access_denied"
    async with browser(server) as client:
        assert await refusal(client, await sign_in(client)) == "PROVIDER_REFUSED"


@pytest.mark.parametrize("path", [BEGIN, CALLBACK])
async def test_a_provider_that_is_down_is_said(
    path: str, server: Running, provider: IdentityProvider
) -> None:
    linked(server, Grant(Role.VIEWER))
    async with browser(server) as client:
        if path == BEGIN:
            provider.down = True
            reply = await sign_in(client)
        else:
            back = await at_provider((await client.get(BEGIN)).headers["location"])
            provider.down = True
            reply = await client.get(back)
        assert await refusal(client, reply) == "PROVIDER_FAILED"
        program = await client.get(BEGIN, headers={"Accept": "application/json"})
        assert program.status_code == (502 if path == BEGIN else 303)


async def test_a_provider_that_cannot_be_reached_is_said(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = access_of(server).provider
    monkeypatch.setattr(provider, "_issuer", "http://127.0.0.1:9")
    async with browser(server) as client:
        assert await refusal(client, await sign_in(client)) == "PROVIDER_FAILED"


async def test_a_provider_under_another_name_is_refused(
    server: Running, provider: IdentityProvider
) -> None:
    provider.spoil = "metadata"
    async with browser(server) as client:
        assert await refusal(client, await sign_in(client)) == "PROVIDER_FAILED"


async def test_a_wrong_client_secret_is_said(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    configure(server, client_secret="wrong-secret-77")
    linked(server, Grant(Role.VIEWER))
    try:
        async with browser(server) as client:
            assert await refusal(client, await sign_in(client)) == "PROVIDER_FAILED"
    finally:
        configure(server, client_secret=CLIENT_SECRET)
    assert "invalid_client" in caplog.text
    assert "wrong-secret-77" not in caplog.text


async def test_trying_many_replies_is_slowed_down(server: Running) -> None:
    async with browser(server) as client:
        for _ in range(4):
            made_up = await client.get(f"{CALLBACK}?state=x&code=y")
            assert await refusal(client, made_up) == "SIGN_IN_EXPIRED"
        assert (await client.get(f"{CALLBACK}?state=x&code=y")).status_code == 429
        assert (await client.get(BEGIN)).status_code == 429


# ── off by default, and nothing is shown ─────────────────────────────────────────────────────


async def test_without_an_issuer_there_is_no_such_call(served: Running) -> None:
    async with browser(served) as client:
        assert (await client.get("/api/sign-in")).json()["provider"] is None
        assert (await client.get(BEGIN)).status_code == 404
        assert (await client.get(CALLBACK)).status_code == 404


async def test_no_secret_of_a_sign_in_is_kept(
    server: Running, provider: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    linked(server, Grant(Role.ADMINISTRATOR))
    async with browser(server) as client:
        begun = await client.get(BEGIN)
        asked, flow = query_of(begun.headers["location"]), client.cookies[COOKIE]
        back = await at_provider(begun.headers["location"])
        await client.get(back)
        cookie = client.cookies[SESSION_COOKIE]
        shown = [(await client.get(path)).text for path in ("/api/audit", "/api/users", "/metrics")]
    secrets = [
        CLIENT_SECRET,
        cookie,
        flow,
        asked["nonce"],
        query_of(back)["code"],
        *provider.tokens,
    ]
    folder: Path = server.app.state.settings.data_dir
    files = [file.read_bytes() for file in folder.iterdir() if file.is_file()]
    places = b"\n".join([*files, *map(str.encode, shown), caplog.text.encode()])
    assert [secret for secret in secrets if secret.encode() in places] == []
    assert CLIENT_SECRET not in repr(server.app.state.settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://sso.example.com", "client_id": "x"},
        {"issuer": "https://sso.example.com"},
        {"issuer": "https://sso.example.com", "client_id": "x", "scopes": ["email"]},
        {"issuer": "https://sso.example.com", "client_id": "x", "roles": {"a": "king"}},
        {"public_url": "ftp://x"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"value|Input"):
        OidcSettings.model_validate(wrong)
