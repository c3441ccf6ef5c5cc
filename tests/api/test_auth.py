"""Authentication: every route is protected, also those added later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fixtures import LOOPBACK, REMOTE, Running, asgi
from starlette.middleware import Middleware
from starlette.routing import Mount, Route, Router, WebSocketRoute

from app.api import auth
from app.api.auth import COOKIE, TokenAuthMiddleware
from app.config import AuthSettings, Settings
from app.main import create_app

from .conftest import TOKEN

pytestmark = pytest.mark.anyio

SECRET = "/secret"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def protected_app(*, disabled: bool = False, token: str | None = TOKEN, **options: Any) -> FastAPI:
    """A small app behind the middleware: one page for every method, one socket."""
    gate = Middleware(TokenAuthMiddleware, token=token, disabled=disabled, **options)
    app = FastAPI(middleware=[gate])

    @app.api_route(SECRET, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    async def secret() -> dict[str, bool]:
        return {"secret": True}

    @app.websocket(SECRET)
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    return app


async def status(*arguments: Any, app: Any = None, **options: Any) -> int | None:
    return (await asgi(app or protected_app(), SECRET, *arguments, **options)).status


# ── every route of the real app ──────────────────────────────────────────────────────────────


def walk(routes: Any, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Kind, method and path of every route, through mounts and included routers."""
    for route in routes:
        path = prefix + (getattr(route, "path", None) or "")
        nested = getattr(route, "routes", None) or getattr(route, "effective_routes", None)
        inner = getattr(route, "app", None)
        if isinstance(route, Mount):
            yield "http", "GET", f"{path}/some-file"
            yield from walk(route.routes or [], path)
        elif isinstance(route, WebSocketRoute) or "WebSocket" in type(route).__name__:
            yield "websocket", "", path
        elif getattr(route, "methods", None):
            for method in sorted(route.methods):
                yield "http", method, path
        elif nested:
            yield from walk(nested() if callable(nested) else nested, path)
        elif getattr(route, "original_router", None) is not None:
            yield from walk(route.original_router.routes, path)
        elif isinstance(inner, Router | FastAPI):
            yield from walk(inner.routes, path)
        else:
            raise AssertionError(f"cannot look into {route!r}: teach this test to")


def concrete(path: str) -> str:
    return path.replace("{stream_id}", "demo").replace("{path:path}", "x")


ALL_PATHS = sorted(set(walk(create_app(Settings(auth=AuthSettings(token="x"))).routes)))


def test_the_walk_finds_the_routes_there_are() -> None:
    found = {(method, path) for _, method, path in ALL_PATHS}
    for wanted in (
        ("GET", "/api/streams"),
        ("GET", "/api/streams/by-input"),
        ("POST", "/api/streams/register"),
        ("POST", "/api/streams/{stream_id}/start"),
        ("GET", "/api/streams/{stream_id}/mjpeg"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("POST", "/stream/request"),
        ("GET", "/stream/video/{stream_id}"),
        ("HEAD", "/stream/video/{stream_id}"),
        ("GET", "/cameras"),
        ("", "/ws/stream/{stream_id}"),
        ("GET", "/healthz"),
    ):
        assert wanted in found


def test_the_walk_looks_into_mounts_and_sockets() -> None:
    async def endpoint(*_: Any) -> None: ...

    inner = FastAPI(openapi_url=None)
    inner.add_api_websocket_route("/ws", endpoint)
    app = FastAPI(openapi_url=None)
    app.mount("/inner", inner)
    app.mount("/plain", Router([Route("/x", endpoint)]))
    found = set(walk(app.routes))
    assert ("websocket", "", "/inner/ws") in found
    assert ("http", "GET", "/plain/x") in found


@pytest.mark.parametrize(("kind", "method", "path"), ALL_PATHS)
async def test_a_stranger_without_a_token_gets_nowhere(
    kind: str, method: str, path: str, served: Running
) -> None:
    reply = await asgi(
        served.asgi, concrete(path), kind=kind, method=method or "GET", client=REMOTE
    )
    if kind == "websocket":
        assert not reply.accepted
        assert reply.closed_with == 1008
    elif auth.is_open(path):
        assert reply.status != 401
    else:
        assert reply.status == 401
        if method != "HEAD":
            assert json.loads(reply.body)["code"] == "UNAUTHORIZED"
        assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/nope", "/api/nope", "/apI/streams", "//api/streams", "/static"])
async def test_a_stranger_does_not_learn_which_paths_exist(path: str, served: Running) -> None:
    assert (await asgi(served.app, path, client=REMOTE)).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/static/../api/streams",
        "/static/..",
        "/static/%2e%2e/api/streams",
        "/viewer/../api/streams",
        "/viewer/",
        "/healthz/",
        "/healthzx",
        "/static/../../data/token",
        "/static//etc/passwd",
    ],
)
async def test_no_path_through_an_open_one_leads_to_data(path: str, served: Running) -> None:
    reply = await asgi(served.app, path, client=REMOTE)
    assert reply.status in (401, 404, 405)
    assert b"stream_id" not in reply.body


async def test_what_is_open_holds_no_data() -> None:
    assert set(auth.OPEN) == {"/", "/viewer", "/healthz"}
    # Below /shared/ each link is signed, for one snapshot and a time.
    assert set(auth.OPEN_BELOW) == {"/static/", "/shared/"}


# ── loopback ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "localhost."]
)
async def test_clients_on_this_machine_need_nothing(address: str, host: str) -> None:
    assert await status(client=(address, 5), headers={"host": host}) == 200
    assert await status(client=(address, 5), headers={"host": host}, method="POST") == 200


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.1", "10.0.0.1", "172.17.0.1", "0.0.0.0", "::", "fe80::1", "::ffff:192.0.2.1",
        "169.254.1.1", "2130706433", "localhost.evil.example", "testclient", "",
    ],
)  # fmt: skip
async def test_everybody_else_needs_the_token(address: str) -> None:
    assert await status(client=(address, 5)) == 401


async def test_without_an_address_nobody_is_local() -> None:
    assert await status(client=None) == 401


@pytest.mark.parametrize(
    "name",
    ["Forwarded", "X-Forwarded-For", "x-forwarded-for", "X-Forwarded-Host", "X-Real-IP", "Via"],
)
@pytest.mark.parametrize("value", ["192.0.2.1", "127.0.0.1", "for=127.0.0.1", ""])
async def test_what_a_proxy_forwarded_is_not_local(name: str, value: str) -> None:
    assert await status(headers={name: value}) == 401
    assert await status(headers={name: value, **BEARER}) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "evil.example@localhost:8000x",
        "localhost:80@evil.example",
        "[::1",
        "",
        "0.0.0.0:8000",
    ],
)
async def test_a_foreign_name_that_leads_here_is_no_free_pass(host: str) -> None:
    """DNS rebinding: the page's own name resolves to 127.0.0.1 for its second request."""
    assert await status(headers={"host": host}) == 401
    assert await status(headers={"host": host, **BEARER}) == 200


async def test_with_require_token_there_is_no_free_pass() -> None:
    app = protected_app(require_token=True)
    assert await status(app=app) == 401
    assert await status(app=app, headers=BEARER) == 200


async def test_with_no_auth_everybody_may_do_everything() -> None:
    app = protected_app(disabled=True, token=None)
    evil = {"host": "evil.example", "origin": "http://x.example", "sec-fetch-site": "cross-site"}
    assert await status(app=app, client=REMOTE, headers=evil, method="POST") == 200
    reply = await asgi(app, SECRET, kind="websocket", client=REMOTE, headers=evil)
    assert reply.accepted


@pytest.mark.parametrize("token", [None, ""])
async def test_without_a_token_of_its_own_no_token_opens(token: str | None) -> None:
    app = protected_app(token=token)
    for given in ("", "None", "null"):
        headers = {"Authorization": f"Bearer {given}", "Cookie": f"{COOKIE}={given}"}
        query = f"token={given}"
        assert await status(app=app, client=REMOTE, headers=headers, query=query) == 401


# ── foreign pages ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("headers", [{}, BEARER, {"Cookie": f"{COOKIE}={TOKEN}"}])
async def test_a_page_of_another_site_is_refused_everywhere(
    method: str, headers: dict[str, str]
) -> None:
    headers = {**headers, "Sec-Fetch-Site": "cross-site"}
    assert await status(method=method, headers=headers) == 401
    assert await status(method=method, headers=headers, query=f"token={TOKEN}") == 401


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_the_own_page_and_the_address_bar_pass(site: str) -> None:
    assert await status(headers={"Sec-Fetch-Site": site}) == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:3000", "http://localhost", "", "file://"],
)
async def test_an_unsafe_call_from_another_origin_is_refused(method: str, origin: str) -> None:
    headers = {"Origin": origin, "Cookie": f"{COOKIE}={TOKEN}"}
    assert await status(method=method, headers=headers) == 401


@pytest.mark.parametrize("origin", ["http://localhost:8000", "https://LOCALHOST:8000"])
async def test_an_unsafe_call_from_the_own_origin_passes(origin: str) -> None:
    assert await status(method="POST", headers={"Origin": origin}) == 200


async def test_a_safe_call_may_name_any_origin() -> None:
    assert await status(headers={"Origin": "http://localhost:3000"}) == 200


# ── tokens ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (BEARER, ""),
        ({"Authorization": f"bearer {TOKEN}"}, ""),
        ({"Authorization": f"Bearer   {TOKEN} "}, ""),
        ({"Cookie": f"{COOKIE}={TOKEN}"}, ""),
        ({"Cookie": f"a=b; {COOKIE}={TOKEN}; c=d"}, ""),
        ({}, f"token={TOKEN}"),
        ({}, f"a=b&token={TOKEN}"),
        ({"Authorization": "Bearer wrong"}, f"token={TOKEN}"),
        ({"Authorization": "Basic dTpw", "Cookie": f"{COOKIE}={TOKEN}"}, ""),
    ],
)
async def test_the_token_opens_from_anywhere(headers: dict[str, str], query: str) -> None:
    headers = {"host": "camera-server.example", **headers}
    assert await status(client=REMOTE, headers=headers, query=query) == 200


@pytest.mark.parametrize(
    "given",
    ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "Bearer", "ключ", "\x00", "%00", "*"],
)
async def test_a_wrong_token_opens_nothing(given: str) -> None:
    raw = given.encode().decode("latin-1")
    for headers, query in (
        ({"Authorization": f"Bearer {raw}"}, ""),
        ({"Authorization": raw}, ""),
        ({"Cookie": f"{COOKIE}={raw}"}, ""),
        ({}, "token=" + given.encode("unicode_escape").decode()),
    ):
        assert await status(client=REMOTE, headers=headers, query=query) == 401


async def test_the_token_in_other_places_opens_nothing() -> None:
    for headers, query in (
        ({"Authorization": TOKEN}, ""),
        ({"Authorization": f"Basic {TOKEN}"}, ""),
        ({"X-Token": TOKEN}, ""),
        ({"Cookie": f"token={TOKEN}"}, ""),
        ({}, f"access_token={TOKEN}"),
        ({}, TOKEN),
    ):
        assert await status(client=REMOTE, headers=headers, query=query) == 401


@pytest.mark.parametrize("token", ["with space", "semi;colon", "a,b", 'quo"te', "ключ-из-букв"])
async def test_a_token_of_any_characters_works_as_a_query(token: str) -> None:
    from urllib.parse import quote

    app = protected_app(token=token)
    query = f"token={quote(token)}"
    assert await status(app=app, client=REMOTE, query=query) == 200


@pytest.mark.parametrize("token", ["plain-token_1", "with space", "semi;colon", "a,b", "ключ"])
async def test_the_cookie_that_a_page_gets_opens_what_the_page_loads(token: str) -> None:
    from urllib.parse import quote

    app = protected_app(token=token)
    page = await asgi(
        app,
        SECRET,
        client=REMOTE,
        query=f"token={quote(token)}",
        headers={"Accept": "text/html,*/*"},
    )
    assert page.status == 200
    cookie = page.headers["set-cookie"].partition("; Path")[0]
    assert await status(app=app, client=REMOTE, headers={"Cookie": cookie}) == 200


async def test_a_page_opened_with_the_token_gets_a_cookie_that_scripts_cannot_read() -> None:
    page = await asgi(
        protected_app(),
        SECRET,
        client=REMOTE,
        query=f"token={TOKEN}",
        headers={"Accept": "text/html"},
    )
    cookie = page.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}={TOKEN};")
    for word in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert word in cookie


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        ("", "text/html"),
        ("token=wrong", "text/html"),
        (f"token={TOKEN}", "*/*"),
        (f"token={TOKEN}", "image/jpeg"),
    ],
)
async def test_nobody_else_gets_a_cookie(query: str, accept: str) -> None:
    page = await asgi(protected_app(), SECRET, query=query, headers={"Accept": accept})
    assert "set-cookie" not in page.headers


async def test_an_open_page_asked_for_with_the_token_gives_the_cookie_too(served: Running) -> None:
    page = await asgi(
        served.app,
        "/viewer",
        client=REMOTE,
        query=f"token={TOKEN}",
        headers={"Accept": "text/html"},
    )
    assert page.headers["set-cookie"].startswith(COOKIE)


async def test_a_wrong_token_is_never_repeated() -> None:
    reply = await asgi(protected_app(), SECRET, client=REMOTE, query="token=my-typo-1")
    assert reply.status == 401
    assert b"my-typo-1" not in reply.body
    assert "my-typo-1" not in str(reply.headers)


@pytest.mark.parametrize(
    ("language", "word"), [("ko", "인증"), ("en", "token"), ("ru", "Требуется")]
)
async def test_a_refusal_is_in_the_callers_language(language: str, word: str) -> None:
    reply = await asgi(
        protected_app(), SECRET, client=REMOTE, headers={"Accept-Language": language}
    )
    body = json.loads(reply.body)
    assert set(body) == {"code", "message", "details"}
    assert word in body["message"]
    assert "in the Authorization header (Bearer)" in body["message"]


# ── sockets ──────────────────────────────────────────────────────────────────────────────────


async def socket(**options: Any) -> Any:
    return await asgi(
        options.pop("app", None) or protected_app(), SECRET, kind="websocket", **options
    )


async def test_a_socket_from_this_machine_opens() -> None:
    assert (await socket()).accepted
    assert (await socket(headers={"Origin": "http://localhost:8000"})).accepted


@pytest.mark.parametrize(
    "options",
    [
        {"client": REMOTE},
        {"client": REMOTE, "query": "token=wrong"},
        {"headers": {"Origin": "http://evil.example"}},
        {"headers": {"Origin": "null"}},
        {"headers": {"Origin": "http://localhost:3000"}},
        {"headers": {"Origin": "http://evil.example"}, "query": f"token={TOKEN}"},
        {"headers": {"host": "evil.example", "Origin": "http://evil.example"}},
        {"headers": {"Sec-Fetch-Site": "cross-site"}},
        {"headers": {"X-Forwarded-For": "192.0.2.1"}},
    ],
)
async def test_a_socket_that_may_not_open_is_closed_and_never_accepted(
    options: dict[str, Any],
) -> None:
    refused = await socket(**options)
    assert not refused.accepted
    assert refused.closed_with == 1008


async def test_a_socket_opens_with_the_token_from_anywhere() -> None:
    assert (await socket(client=REMOTE, query=f"token={TOKEN}")).accepted
    assert (await socket(client=REMOTE, headers=BEARER)).accepted
    assert (await socket(client=REMOTE, headers={"Cookie": f"{COOKIE}={TOKEN}"})).accepted


async def test_where_the_server_can_a_refused_socket_gets_the_error_form() -> None:
    refused = await socket(client=REMOTE, extensions={"websocket.http.response": {}})
    assert refused.status == 401
    assert json.loads(refused.body)["code"] == "UNAUTHORIZED"


async def test_the_real_app_asks_the_gate_before_anything_else(served: Running) -> None:
    reply = await asgi(served.app, "/api/streams/a/start", method="POST", client=REMOTE)
    assert reply.status == 401
    reply = await asgi(served.app, "/api/streams", client=LOOPBACK, headers={"via": "1.1 proxy"})
    assert reply.status == 401
