"""Two-factor sign-in, as a client uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from fixtures import LOOPBACK, REMOTE, Running, running

from app.access.service import AccessService
from app.config import AuthSettings, Settings
from app.db.vault import Vault
from app.main import create_app
from app.rights import Grant, Role

from .conftest import TOKEN
from .test_accounts import PASSWORD, QUICK, browser

pytestmark = pytest.mark.anyio
MINE = "/api/account/two-factor"


class Clock:
    """Seconds that a test moves."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
async def server(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("two-factor")
    settings = Settings(_env_file=None, data_dir=folder, auth=AuthSettings(token=TOKEN))
    async with running(create_app(settings)) as app:
        app.state["access"].passwords._hasher = QUICK
        yield app


@pytest.fixture
def clock(server: Running, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """No users, nobody is slowed down, and a clock for the codes."""
    access, clock = access_of(server), Clock()
    for throttle in (access.throttle, access.two_factor._throttle):
        throttle._records.clear()
    with access.users._engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")
    monkeypatch.setattr(access.two_factor, "_clock", clock)
    return clock


def access_of(server: Running) -> AccessService:
    access: AccessService = server.state["access"]
    return access


async def add(server: Running, name: str = "kim") -> int:
    access = access_of(server)
    hashed = await access.passwords.hash(PASSWORD)
    return access.users.add(name, (Grant(Role.VIEWER),), password_hash=hashed).user_id


async def sign_in(client: httpx.AsyncClient, code: str | None = None) -> httpx.Response:
    body = {"name": "kim", "password": PASSWORD}
    return await client.post("/api/sign-in", json=body | ({"one_time_code": code} if code else {}))


def code_of(reply: httpx.Response) -> str:
    assert reply.status_code in (401, 409, 429), reply.text
    return str(reply.json()["code"])


async def enrol(client: httpx.AsyncClient, clock: Clock) -> tuple[pyotp.TOTP, list[str]]:
    """Sign in and turn it on; returns the app, and the recovery codes."""
    assert (await sign_in(client)).status_code == 200
    begun = await client.post(MINE, json={"password": PASSWORD})
    assert begun.status_code == 200, begun.text
    app = pyotp.TOTP(begun.json()["secret"])
    body = {"one_time_code": app.at(clock.now)}
    confirmed = await client.post(f"{MINE}/confirm", json=body)
    assert confirmed.status_code == 200, confirmed.text
    clock.now += 30
    return app, confirmed.json()["recovery_codes"]


async def test_a_sign_in_needs_the_password_and_the_code(server: Running, clock: Clock) -> None:
    await add(server)
    async with browser(server) as client:
        app, recovery = await enrol(client, clock)
        shown = (await client.get(MINE)).json()
        assert shown == {"enabled": True, "recovery_codes_left": 10}
        assert len(set(recovery)) == 10
    async with browser(server) as client:
        assert code_of(await sign_in(client)) == "CODE_NEEDED"
        assert (await client.get("/api/account")).status_code == 401
        assert code_of(await sign_in(client, "000000")) == "WRONG_CODE"
        assert (await sign_in(client, app.at(clock.now))).status_code == 200
        assert (await client.get("/api/account")).json()["name"] == "kim"


async def test_the_secret_is_one_for_every_app(server: Running, clock: Clock) -> None:
    await add(server)
    async with browser(server) as client:
        await sign_in(client)
        begun = (await client.post(MINE, json={"password": PASSWORD})).json()
        url = urlsplit(begun["otpauth_url"])
        assert (url.scheme, url.netloc, url.path) == ("otpauth", "totp", "/Watchpost:kim")
        assert parse_qs(url.query)["secret"] == [begun["secret"]]
        assert len(begun["secret"]) == 32
        parsed = pyotp.parse_uri(begun["otpauth_url"])
        assert isinstance(parsed, pyotp.TOTP)
        assert (parsed.interval, parsed.digits) == (30, 6)


def test_the_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B, the last six of eight digits, for SHA-1."""
    app = pyotp.TOTP("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    assert [app.at(seconds) for seconds in (59, 1111111109, 20000000000)] == [
        "287082",
        "081804",
        "353130",
    ]


async def test_a_code_counts_once_and_so_do_older_ones(server: Running, clock: Clock) -> None:
    await add(server)
    async with browser(server) as client:
        app, _ = await enrol(client, clock)
        code, before = app.at(clock.now), app.at(clock.now - 30)
        assert (await sign_in(client, code)).status_code == 200
        assert code_of(await sign_in(client, code)) == "WRONG_CODE"
        assert code_of(await sign_in(client, before)) == "WRONG_CODE"
        clock.now += 30
        assert (await sign_in(client, app.at(clock.now))).status_code == 200


async def test_a_clock_may_differ_by_half_a_minute(server: Running, clock: Clock) -> None:
    await add(server)
    async with browser(server) as client:
        app, _ = await enrol(client, clock)
        clock.now += 90
        for offset, status in ((-60, 401), (-30, 200), (30, 200), (90, 401)):
            reply = await sign_in(client, app.at(clock.now + offset))
            assert reply.status_code == status, offset


async def test_a_secret_that_is_not_confirmed_counts_for_nothing(
    server: Running, clock: Clock
) -> None:
    await add(server)
    async with browser(server) as client:
        await sign_in(client)
        await client.post(MINE, json={"password": PASSWORD})
        wrong = await client.post(f"{MINE}/confirm", json={"one_time_code": "12345"})
        assert code_of(wrong) == "WRONG_CODE"
        assert (await sign_in(client)).status_code == 200


async def test_setting_up_needs_the_password_and_ends_other_sign_ins(
    server: Running, clock: Clock
) -> None:
    await add(server)
    async with browser(server) as one, browser(server) as other:
        assert (await sign_in(other)).status_code == 200
        await sign_in(one)
        wrong = await one.post(MINE, json={"password": "not the password"})
        assert code_of(wrong) == "WRONG_PASSWORD"
        early = await one.post(f"{MINE}/confirm", json={"one_time_code": "123456"})
        assert code_of(early) == "TWO_FACTOR_OFF"
        await enrol(one, clock)
        assert (await other.get("/api/account")).status_code == 401
        assert (await one.get("/api/account")).status_code == 200
        again = await one.post(MINE, json={"password": PASSWORD})
        assert code_of(again) == "TWO_FACTOR_ON"


async def test_a_recovery_code_counts_once_however_it_is_typed(
    server: Running, clock: Clock
) -> None:
    await add(server)
    async with browser(server) as client:
        _, [first, second, *_] = await enrol(client, clock)
        assert (await sign_in(client, first)).status_code == 200
        assert code_of(await sign_in(client, first)) == "WRONG_CODE"
        typed = f" {second.lower().replace('-', ' ')}"
        assert (await sign_in(client, typed)).status_code == 200
        assert (await client.get(MINE)).json()["recovery_codes_left"] == 8


async def test_recovery_codes_are_renewed(server: Running, clock: Clock) -> None:
    await add(server)
    async with browser(server) as client:
        app, [old, *_] = await enrol(client, clock)
        body = {"password": PASSWORD, "one_time_code": app.at(clock.now)}
        renewed = await client.post(f"{MINE}/recovery-codes", json=body)
        [new, *_] = renewed.json()["recovery_codes"]
        assert code_of(await sign_in(client, old)) == "WRONG_CODE"
        assert (await sign_in(client, new)).status_code == 200


async def test_turning_off_needs_the_password_and_a_code(server: Running, clock: Clock) -> None:
    await add(server)
    async with browser(server) as client:
        app, _ = await enrol(client, clock)
        for body in (
            {"password": PASSWORD, "one_time_code": "000000"},
            {"password": "not the password", "one_time_code": app.at(clock.now)},
        ):
            assert (await client.post(f"{MINE}/remove", json=body)).status_code == 401
        right = {"password": PASSWORD, "one_time_code": app.at(clock.now)}
        assert (await client.post(f"{MINE}/remove", json=right)).status_code == 200
        assert (await sign_in(client)).status_code == 200
        assert code_of(await client.post(f"{MINE}/remove", json=right)) == "TWO_FACTOR_OFF"


async def test_guessing_codes_is_slowed_down_also_from_a_known_address(
    server: Running, clock: Clock
) -> None:
    await add(server)
    async with browser(server) as client:
        app, _ = await enrol(client, clock)
        replies = [await sign_in(client, f"{number:06}") for number in range(1, 10)]
        codes = [code_of(reply) for reply in replies]
        assert codes[:6] == ["WRONG_CODE"] * 6
        assert set(codes[6:]) == {"TOO_MANY_ATTEMPTS"}
        assert int(replies[-1].headers["retry-after"]) >= 3
        # Even the right one, as nobody knows who guesses; and from every address.
        assert code_of(await sign_in(client, app.at(clock.now))) == "TOO_MANY_ATTEMPTS"
    async with browser(server, ("192.0.2.99", 1)) as client:
        assert code_of(await sign_in(client, app.at(clock.now))) == "TOO_MANY_ATTEMPTS"


async def test_without_the_password_nobody_learns_who_has_it(server: Running, clock: Clock) -> None:
    await add(server)
    async with browser(server) as client:
        app, _ = await enrol(client, clock)
    async with browser(server) as stranger:
        for code in ({}, {"one_time_code": app.at(clock.now)}):
            body = {"name": "kim", "password": "not the password", **code}
            reply = await stranger.post("/api/sign-in", json=body)
            assert code_of(reply) == "WRONG_PASSWORD"


async def test_an_administrator_resets_it_and_the_audit_says_so(
    server: Running, clock: Clock
) -> None:
    user_id = await add(server)
    async with browser(server) as client, server.client(LOOPBACK) as admin:
        await enrol(client, clock)
        assert (await admin.get(f"/api/users/{user_id}")).json()["two_factor"] is True
        refused = await client.delete(f"/api/users/{user_id}/two-factor")
        assert refused.status_code == 403
        done = await admin.delete(f"/api/users/{user_id}/two-factor")
        assert done.status_code == 200
        [listed] = (await admin.get("/api/users")).json()
        assert listed["two_factor"] is False
        assert (await sign_in(client)).status_code == 200
        assert (await admin.delete("/api/users/987654/two-factor")).status_code == 404
        rows = (await admin.get("/api/audit", params={"action": "two-factor"})).json()["rows"]
    written = [(row["actor"], row["outcome"], row["action"].split(" ")[0]) for row in rows]
    assert written[:2] == [("this machine", "failed", "DELETE"), ("this machine", "done", "DELETE")]
    assert (f"user {user_id}", "done", "POST") in written


async def test_with_another_key_only_a_recovery_code_counts(
    server: Running, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restored backup without its ``secret.key``: it fails closed."""
    await add(server)
    async with browser(server) as client:
        app, [recovery, *_] = await enrol(client, clock)
        monkeypatch.setattr(access_of(server).two_factor.rows, "_vault", Vault(b"x" * 32))
        assert code_of(await sign_in(client, app.at(clock.now))) == "SECRET_UNREADABLE"
        assert (await sign_in(client, recovery)).status_code == 200


async def test_tokens_and_this_machine_have_no_second_factor(server: Running, clock: Clock) -> None:
    async with server.client(LOOPBACK) as local:
        assert (await local.get(MINE)).status_code == 403
    async with server.client(REMOTE, "http://watchpost.example") as program:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        reply = await program.post(MINE, json={"password": PASSWORD}, headers=bearer)
        assert reply.status_code == 403


async def test_no_secret_or_code_is_stored_or_logged(
    server: Running, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    user_id = await add(server)
    async with browser(server) as client, server.client(LOOPBACK) as admin:
        app, recovery = await enrol(client, clock)
        used = app.at(clock.now)
        await sign_in(client, used)
        paths = ("/api/users", f"/api/users/{user_id}", "/api/audit", "/metrics", "/api/privacy")
        shown = [(await admin.get(path)).content for path in paths]
    folder: Path = server.app.state.settings.data_dir
    files = [file.read_bytes() for file in folder.iterdir() if file.is_file()]
    places = b"\n".join([*files, *shown, caplog.text.encode()])
    planted = [app.secret, *recovery, *(code.replace("-", "") for code in recovery)]
    assert [secret for secret in planted if secret.encode() in places] == []
    assert f'"{used}"'.encode() not in places
