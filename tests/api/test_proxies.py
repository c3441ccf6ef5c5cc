"""Trusted proxies: only they are believed when they name the client and the user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fixtures import Running, running
from pydantic import ValidationError
from starlette.datastructures import Headers

from app.api.credentials import TrustedProxies
from app.config import AuthSettings, Settings
from app.main import create_app
from app.rights import Grant, Role

pytestmark = pytest.mark.anyio
PROXY, OTHER = ("10.0.0.7", 4), ("192.0.2.9", 4)


@pytest.fixture
async def server(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Running]:
    auth = AuthSettings(
        token="x" * 40, trusted_proxies=("10.0.0.0/24",), proxy_user_header="Remote-User"
    )
    settings = Settings(_env_file=None, data_dir=tmp_path, auth=auth)
    async with running(create_app(settings)) as app:
        app.state["access"].users.add("kim", (Grant(Role.VIEWER),))
        yield app


async def who(server: Running, peer: tuple[str, int], **headers: str) -> tuple[int, str | None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with server.client(peer, "http://watchpost.example", headers=named) as client:
        reply = await client.get("/api/account")
        return reply.status_code, reply.json().get("name")


async def test_a_user_whom_the_proxy_signed_in_is_that_user(server: Running) -> None:
    assert await who(server, PROXY, Remote_User="KIM") == (200, "kim")


async def test_nobody_else_can_name_a_user(server: Running) -> None:
    forwarded = {"X_Forwarded_For": "10.0.0.7"}
    assert (await who(server, OTHER, Remote_User="kim"))[0] == 401
    assert (await who(server, OTHER, Remote_User="kim", **forwarded))[0] == 401
    assert (await who(server, ("127.0.0.1", 4), Remote_User="kim"))[0] == 401


async def test_unknown_and_disabled_users_are_refused(server: Running) -> None:
    assert (await who(server, PROXY, Remote_User="lee"))[0] == 401
    users = server.state["access"].users
    users.change(users.named("kim").user_id, {"disabled": True})
    assert (await who(server, PROXY, Remote_User="kim"))[0] == 401


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
        ("10.0.0.7", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.7", "203.0.113.5, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.7", "198.51.100.1, 10.0.0.8", "198.51.100.1"),
        ("::ffff:10.0.0.7", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.7", "", "10.0.0.7"),
        ("10.0.0.7", "10.0.0.9, 10.0.0.8", "10.0.0.9"),
    ],
)
def test_the_client_is_whom_the_last_trusted_proxy_saw(
    peer: str, forwarded: str, address: str
) -> None:
    proxies = TrustedProxies(["10.0.0.0/24"])
    headers = Headers({"x-forwarded-for": forwarded} if forwarded else {})
    assert proxies.client_address({"client": (peer, 1)}, headers) == address


def test_without_the_setting_nobody_is_believed() -> None:
    headers = Headers({"x-forwarded-for": "198.51.100.1", "remote-user": "kim"})
    scope = {"client": ("127.0.0.1", 1)}
    assert TrustedProxies().client_address(scope, headers) == "127.0.0.1"
    assert TrustedProxies().user_name(scope, headers) is None
    assert TrustedProxies(["127.0.0.1"]).user_name(scope, headers) is None


def test_nonsense_is_refused_at_the_start() -> None:
    with pytest.raises(ValidationError):
        AuthSettings(trusted_proxies=("proxy.example",))
