"""Signing in, users and API tokens, as clients use them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from fixtures import LOOPBACK, REMOTE, Running, running

from app.access.passwords import Passwords
from app.access.service import AccessService
from app.api.credentials import SESSION_COOKIE
from app.config import AuthSettings, Settings
from app.main import create_app
from app.rights import Grant, Role
from app.types import StreamSpec

from .conftest import TOKEN

pytestmark = pytest.mark.anyio

PASSWORD = "a long enough password"
OTHER_MACHINE = ("192.0.2.78", 50_000)
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.fixture(scope="module")
async def server(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("accounts"),
        auth=AuthSettings(token=TOKEN),
    )
    async with running(create_app(settings)) as app:
        app.state["access"].passwords._hasher = QUICK
        app.state["manager"].start_ephemeral(StreamSpec("seen", "push:"))
        yield app


@pytest.fixture(autouse=True)
def fresh(server: Running) -> None:
    """No users, and nobody is slowed down."""
    access: AccessService = server.state["access"]
    access.throttle._records.clear()
    with access.users._engine.begin() as connection:
        for table in ("api_tokens", "user_sessions", "users"):
            connection.exec_driver_sql(f"DELETE FROM {table}")


def access_of(server: Running) -> AccessService:
    access: AccessService = server.state["access"]
    return access


async def add(server: Running, name: str, *grants: Grant) -> int:
    access = access_of(server)
    hashed = await access.passwords.hash(PASSWORD)
    return access.users.add(name, grants, password_hash=hashed).user_id


def browser(server: Running, address: tuple[str, int] = REMOTE) -> httpx.AsyncClient:
    """A client that keeps cookies and names the server, as a browser does."""
    return server.client(
        address,
        "http://watchpost.example:8000",
        headers={"Origin": "http://watchpost.example:8000", "Accept-Language": "en"},
    )


@asynccontextmanager
async def signed_in(
    server: Running, name: str, password: str = PASSWORD
) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(server) as client:
        reply = await client.post("/api/sign-in", json={"name": name, "password": password})
        assert reply.status_code == 200, reply.text
        yield client


# ── the first user ───────────────────────────────────────────────────────────────────────────


async def test_this_machine_makes_the_first_user_without_a_code(server: Running) -> None:
    async with server.client(LOOPBACK) as client:
        assert (await client.get("/api/sign-in")).json()["setup"] == "open"
        reply = await client.post("/api/setup", json={"name": "kim", "password": PASSWORD})
        assert reply.status_code == 201
        assert reply.json()["rights"]["administer"] == ["*"]
        again = await client.post("/api/setup", json={"name": "lee", "password": PASSWORD})
        assert again.status_code == 409


async def test_another_machine_needs_the_code_of_the_log(server: Running) -> None:
    async with browser(server) as client:
        assert (await client.get("/api/sign-in")).json() == {
            "signed_in": False,
            "users": False,
            "setup": "code",
            "provider": None,
            "problem": None,
        }
        body = {"name": "kim", "password": PASSWORD}
        assert (await client.post("/api/setup", json=body)).status_code == 401
        assert (await client.post("/api/setup", json={**body, "code": "x"})).status_code == 401
        code = access_of(server).setup_code
        done = await client.post("/api/setup", json={**body, "code": code})
        assert done.status_code == 201
        assert (await client.get("/api/users")).status_code == 200


# ── sessions ─────────────────────────────────────────────────────────────────────────────────


async def test_a_signed_in_viewer_sees_the_stream_and_may_not_stop_it(server: Running) -> None:
    await add(server, "Kim", Grant(Role.VIEWER, frozenset({"seen"})))
    async with signed_in(server, "kim") as client:
        assert (await client.get("/api/streams/seen")).status_code == 200
        refused = await client.post("/api/streams/seen/stop")
        assert refused.status_code == 403
        assert refused.json()["details"] == {"right": "control"}
        account = (await client.get("/api/account")).json()
        assert account["name"] == "Kim"
        assert account["rights"] == {"view": ["seen"]}


async def test_the_cookie_is_not_for_scripts_nor_other_sites(server: Running) -> None:
    await add(server, "kim", Grant(Role.VIEWER))
    async with browser(server) as client:
        reply = await client.post("/api/sign-in", json={"name": "kim", "password": PASSWORD})
        [cookie] = [
            value
            for name, value in reply.headers.multi_items()
            if name == "set-cookie" and value.startswith(SESSION_COOKIE)
        ]
        for word in ("HttpOnly", "SameSite=Strict", "Path=/"):
            assert word in cookie
        assert "Secure" not in cookie  # over plain HTTP a browser would drop it


async def test_signing_out_ends_the_session(server: Running) -> None:
    await add(server, "kim", Grant(Role.VIEWER))
    async with signed_in(server, "kim") as client:
        value = client.cookies[SESSION_COOKIE]
        assert (await client.post("/api/sign-out")).status_code == 200
        assert SESSION_COOKIE not in client.cookies
    async with browser(server) as client:
        client.cookies.set(SESSION_COOKIE, value)
        assert (await client.get("/api/account")).status_code == 401


async def test_a_foreign_page_cannot_sign_anybody_in(server: Running) -> None:
    await add(server, "kim", Grant(Role.VIEWER))
    async with browser(server) as client:
        body = {"name": "kim", "password": PASSWORD}
        evil = {"Origin": "http://evil.example"}
        assert (await client.post("/api/sign-in", json=body, headers=evil)).status_code == 401


async def test_sign_ins_are_listed_and_can_be_ended(server: Running) -> None:
    await add(server, "kim", Grant(Role.VIEWER))
    async with signed_in(server, "kim") as one, signed_in(server, "kim") as other:
        listed = (await one.get("/api/account/sign-ins")).json()
        assert [entry["current"] for entry in listed] == [False, True]
        ended = await one.delete(f"/api/account/sign-ins/{listed[0]['session_id']}")
        assert ended.status_code == 200
        assert (await other.get("/api/account")).status_code == 401
        assert (await one.get("/api/account")).status_code == 200


async def test_nobody_can_end_the_sign_in_of_somebody_else(server: Running) -> None:
    await add(server, "kim", Grant(Role.ADMINISTRATOR))
    await add(server, "lee", Grant(Role.VIEWER))
    async with signed_in(server, "kim") as kim, signed_in(server, "lee") as lee:
        [mine] = (await kim.get("/api/account/sign-ins")).json()
        reply = await lee.delete(f"/api/account/sign-ins/{mine['session_id']}")
        assert reply.status_code == 404
        assert (await kim.get("/api/account")).status_code == 200


async def test_a_changed_password_ends_the_other_sign_ins(server: Running) -> None:
    await add(server, "kim", Grant(Role.VIEWER))
    new = "another long password"
    async with signed_in(server, "kim") as one, signed_in(server, "kim") as other:
        wrong = {"current": "not the password", "new": new}
        assert (await one.put("/api/account/password", json=wrong)).status_code == 401
        short = {"current": PASSWORD, "new": "short"}
        assert (await one.put("/api/account/password", json=short)).status_code == 400
        right = {"current": PASSWORD, "new": new}
        assert (await one.put("/api/account/password", json=right)).status_code == 200
        assert (await one.get("/api/account")).status_code == 200
        assert (await other.get("/api/account")).status_code == 401
    async with signed_in(server, "kim", new):
        pass


async def test_a_disabled_user_is_out_at_once(server: Running) -> None:
    user_id = await add(server, "kim", Grant(Role.VIEWER))
    async with signed_in(server, "kim") as client, server.client(LOOPBACK) as admin:
        done = await admin.patch(f"/api/users/{user_id}", json={"disabled": True})
        assert done.status_code == 200
        assert (await client.get("/api/account")).status_code == 401
        body = {"name": "kim", "password": PASSWORD}
        assert (await client.post("/api/sign-in", json=body)).status_code == 401


async def test_an_open_stream_ends_with_the_session(server: Running) -> None:
    await add(server, "kim", Grant(Role.VIEWER))
    async with signed_in(server, "kim") as client:
        watching = asyncio.ensure_future(client.get("/api/streams/seen/mjpeg"))
        await asyncio.sleep(0.2)
        assert not watching.done()
        await client.post("/api/sign-out")
        done, _ = await asyncio.wait([watching], timeout=5)
        assert done


# ── guessing ─────────────────────────────────────────────────────────────────────────────────


async def test_guessing_a_password_is_slowed_down_and_nobody_is_locked_out(
    server: Running,
) -> None:
    await add(server, "kim", Grant(Role.VIEWER))
    body = {"name": "kim", "password": PASSWORD}
    async with signed_in(server, "kim"), browser(server, OTHER_MACHINE) as attacker:
        replies = [
            await attacker.post("/api/sign-in", json={"name": "kim", "password": f"guess {n}"})
            for n in range(12)
        ]
        statuses = [reply.status_code for reply in replies]
        assert statuses[:4] == [401] * 4
        assert set(statuses[4:]) == {429}
        assert int(replies[-1].headers["retry-after"]) >= 1
        # Even with the right password, as nobody knows who guesses.
        assert (await attacker.post("/api/sign-in", json=body)).status_code == 429
        # From where kim has signed in before, the attacker's guesses do not count.
        async with browser(server) as home:
            assert (await home.post("/api/sign-in", json=body)).status_code == 200


async def test_guessing_a_token_is_slowed_down(server: Running) -> None:
    async with server.client(OTHER_MACHINE, "http://watchpost.example") as client:
        statuses = [
            (await client.get("/cameras", headers={"Authorization": f"Bearer {n}"})).status_code
            for n in range(12)
        ]
        assert statuses[0] == 401
        assert statuses[-1] == 429
        old = [(await client.get("/cameras?token=old")).status_code for _ in range(2)]
        assert set(old) == {429}


async def test_a_program_with_an_old_token_gets_401_for_ever(server: Running) -> None:
    async with server.client(OTHER_MACHINE, "http://watchpost.example") as client:
        for _ in range(12):
            assert (await client.get("/cameras?token=old")).status_code == 401


async def test_unknown_names_take_as_long_and_say_the_same(server: Running) -> None:
    await add(server, "kim", Grant(Role.VIEWER))
    async with browser(server) as client:
        replies = [
            await client.post("/api/sign-in", json={"name": name, "password": "wrong password"})
            for name in ("kim", "nobody")
        ]
        assert replies[0].content == replies[1].content


async def test_hashing_has_a_bounded_queue_and_does_not_block_the_loop(tmp_path: Path) -> None:
    passwords = Passwords()
    slower = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
    stored = await Passwords(slower).hash(PASSWORD)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    tries = [passwords.matches(stored, f"guess {n}") for n in range(20)]
    results: list[Any] = await asyncio.gather(*tries, return_exceptions=True)
    ticking.cancel()
    refused = [result for result in results if not isinstance(result, bool)]
    assert len(refused) == 12
    assert ticks >= 2
    assert passwords._waiting == 0
    passwords.close()


# ── users ────────────────────────────────────────────────────────────────────────────────────


async def test_an_administrator_manages_users(server: Running) -> None:
    async with server.client(LOOPBACK) as admin:
        body = {
            "name": "Lee",
            "password": PASSWORD,
            "grants": [{"role": "operator", "cameras": ["seen"], "also": ["clear_view"]}],
        }
        made = await admin.post("/api/users", json=body)
        assert made.status_code == 201
        assert made.json()["grants"] == body["grants"]
        assert PASSWORD not in made.text
        assert "argon2" not in made.text
        taken = await admin.post("/api/users", json={**body, "name": "LEE"})
        assert taken.status_code == 409
        user_id = made.json()["user_id"]
        assert (await admin.delete(f"/api/users/{user_id}")).status_code == 200
        assert (await admin.get(f"/api/users/{user_id}")).status_code == 404


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
async def test_a_bad_password_is_refused_and_not_repeated(server: Running, password: str) -> None:
    async with server.client(LOOPBACK) as admin:
        body = {"name": "lee", "password": password, "grants": []}
        refused = await admin.post("/api/users", json=body)
        assert refused.status_code == 400
        assert not password or password not in refused.text


async def test_the_last_administrator_stays(server: Running) -> None:
    user_id = await add(server, "kim", Grant(Role.ADMINISTRATOR))
    await add(server, "lee", Grant(Role.VIEWER))
    async with signed_in(server, "kim") as kim:
        changes: tuple[dict[str, Any], ...] = ({"grants": []}, {"disabled": True})
        for change in changes:
            assert (await kim.patch(f"/api/users/{user_id}", json=change)).status_code == 409
        assert (await kim.delete(f"/api/users/{user_id}")).status_code == 409
        assert (await kim.get("/api/users")).status_code == 200


# ── API tokens ───────────────────────────────────────────────────────────────────────────────


async def test_a_token_is_shown_once_and_allows_what_it_says(server: Running) -> None:
    await add(server, "kim", Grant(Role.OPERATOR))
    async with signed_in(server, "kim") as kim:
        body = {"name": "dashboard", "rights": ["view"], "cameras": ["seen"]}
        made = (await kim.post("/api/tokens", json=body)).json()
        listed = await kim.get("/api/tokens")
        assert made["token"] not in listed.text
        assert [token["name"] for token in listed.json()] == ["dashboard"]
        async with server.client(REMOTE, "http://watchpost.example") as program:
            query = f"?token={made['token']}"
            assert (await program.get(f"/api/streams/seen{query}")).status_code == 200
            assert (await program.get(f"/api/streams/x{query}")).status_code == 404
            assert (await program.post(f"/api/streams/seen/stop{query}")).status_code == 403
            revoked = await kim.delete(f"/api/tokens/{made['token_id']}")
            assert revoked.status_code == 200
            assert (await program.get(f"/api/streams/seen{query}")).status_code == 401


async def test_a_token_cannot_allow_more_than_its_owner(server: Running) -> None:
    await add(server, "kim", Grant(Role.VIEWER, frozenset({"seen"})))
    async with signed_in(server, "kim") as kim:
        for rights, cameras in ((["control"], ["seen"]), (["view"], ["*"]), (["view"], ["x"])):
            body = {"name": "t", "rights": rights, "cameras": cameras}
            assert (await kim.post("/api/tokens", json=body)).status_code == 403


async def test_a_token_loses_what_its_owner_loses(server: Running) -> None:
    user_id = await add(server, "kim", Grant(Role.VIEWER))
    async with signed_in(server, "kim") as kim, server.client(REMOTE, "http://x") as program:
        made = (await kim.post("/api/tokens", json={"name": "t", "rights": ["view"]})).json()
        path = f"/api/streams/seen?token={made['token']}"
        assert (await program.get(path)).status_code == 200
        access_of(server).users.change(user_id, {"grants": ()})
        assert (await program.get(path)).status_code == 404
        access_of(server).users.delete(user_id)
        assert (await program.get(path)).status_code == 401


async def test_an_expired_token_opens_nothing(server: Running) -> None:
    async with server.client(LOOPBACK) as admin, server.client(REMOTE, "http://x") as program:
        body = {"name": "t", "rights": ["view"], "expires_ts": time.time() + 60}
        made = (await admin.post("/api/tokens", json=body)).json()
        path = f"/api/streams/seen?token={made['token']}"
        assert (await program.get(path)).status_code == 200
        with access_of(server).users._engine.begin() as connection:
            connection.exec_driver_sql("UPDATE api_tokens SET expires_ts = 1")
        assert (await program.get(path)).status_code == 401
        past = {**body, "expires_ts": 1.0}
        assert (await admin.post("/api/tokens", json=past)).status_code == 400


async def test_a_token_makes_no_token(server: Running) -> None:
    async with server.client(LOOPBACK) as admin, server.client(REMOTE, "http://x") as program:
        body = {"name": "t", "rights": ["view", "administer"]}
        made = (await admin.post("/api/tokens", json=body)).json()
        again = await program.post(f"/api/tokens?token={made['token']}", json=body)
        assert again.status_code == 403
        assert again.json()["code"] == "SIGN_IN_NEEDED"


async def test_todays_token_is_an_administrators(server: Running) -> None:
    async with server.client(REMOTE, "http://x", headers={"Authorization": f"Bearer {TOKEN}"}) as c:
        assert (await c.get("/api/users")).status_code == 200
        assert (await c.get("/api/account")).json()["caller"] == "server token"
