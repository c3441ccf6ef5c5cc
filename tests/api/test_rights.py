"""The table of rights: it is complete, and every route and socket obeys it for every role."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from fastapi import FastAPI
from fixtures import REMOTE, Reply, Running, asgi
from starlette.middleware import Middleware

from app.access.secrets import TOKEN_PREFIX, digest, new_secret
from app.access.service import AccessService
from app.api.authorization import RightsMiddleware
from app.api.route_rights import SOCKET, TABLE, Reach, RightsTable, RouteRight
from app.config import AuthSettings, Settings
from app.main import create_app
from app.rights import EVERYTHING, RIGHTS_OF, Access, Caller, Grant, Right, Role
from app.types import StreamSpec

from .test_auth import walk

pytestmark = pytest.mark.anyio

SEEN, OTHER = "seen", "other"
UNUSED = "rtsp://192.0.2.1/nobody-publishes"
"""The streams never publish, but so they belong to the API that stops them."""
BODIES = ("POST", "PUT", "PATCH")


# ── the table and the routes ─────────────────────────────────────────────────────────────────


def routes() -> set[tuple[str, str]]:
    found = walk(create_app(Settings(auth=AuthSettings(token="x"))).routes)
    return {
        (method or SOCKET, path.replace("/some-file", "/{path:path}")) for _, method, path in found
    }


def rows() -> set[tuple[str, str]]:
    found = {(method, row.path) for row in TABLE for method in row.methods}
    mounts = [path for _, path in found if path.endswith("{path:path}")]
    return found - {("HEAD", path) for path in mounts}  # the walk names mounts with GET only


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert routes() - rows() == set()
    assert rows() - routes() == set()


@pytest.mark.parametrize(
    ("method", "row"),
    [(method, row) for row in TABLE for method in row.methods],
    ids=lambda value: value if isinstance(value, str) else value.path,
)
def test_a_path_is_found_in_its_own_row(method: str, row: RouteRight) -> None:
    """A row above it that matches as well would decide instead."""
    assert RightsTable().find(method, concrete(row.path, SEEN)).row == row


def test_rows_say_what_they_need() -> None:
    for row in TABLE:
        assert (row.right is None) == (row.reach in (Reach.OPEN, Reach.SIGNED_IN)), row
        assert bool(row.camera) == (row.reach is Reach.CAMERA), row


async def test_a_route_without_a_row_is_closed_to_everybody() -> None:
    app = FastAPI(middleware=[Middleware(RightsMiddleware, table=RightsTable())])

    @app.get("/forgotten")
    async def forgotten() -> str:
        return "secret"

    async def as_administrator(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {"caller": Caller("x", EVERYTHING)}}, receive, send)

    assert (await asgi(as_administrator, "/forgotten")).status == 404
    assert (await asgi(as_administrator, "/forgotten/")).status == 404


# ── every route and every role ───────────────────────────────────────────────────────────────


def concrete(path: str, camera: str) -> str:
    for name in ("{stream_id}", "{camera_id}"):
        path = path.replace(name, camera)
    for name in ("{job_id}", "{schedule_id}"):
        path = path.replace(name, "no-such-job")
    path = path.replace("{path:path}", "viewer/main.js")
    names = ("event", "session", "plate", "watch", "file", "user", "token")
    for name in (*names, "target", "route", "delivery"):
        path = path.replace(f"{{{name}_id}}", "987654")
    return path


def token_for(served: Running, rights: frozenset[Right], *cameras: str) -> dict[str, str]:
    """The header of a new API token."""
    access: AccessService = served.state["access"]
    secret = new_secret(TOKEN_PREFIX)
    access.tokens.add(
        digest(secret),
        name="test",
        user_id=None,
        rights=rights,
        cameras=frozenset(cameras) or None,
        now=time.time(),
        expires_ts=None,
    )
    return {"Authorization": f"Bearer {secret}"}


def streams(served: Running) -> None:
    """The two streams of these tests, whatever earlier ones did to them."""
    manager = served.state["manager"]
    for stream_id in (SEEN, OTHER):
        entry = manager.registry.get(stream_id)
        if entry is None or not entry.alive:
            manager.registry.forget(stream_id)
            # Nobody pushes frames, so that each restart waits that long.
            manager.start_ephemeral(StreamSpec(stream_id, "push:", UNUSED, start_timeout_s=0.2))


async def call(
    served: Running, method: str, path: str, headers: dict[str, str], **options: Any
) -> Reply:
    options.setdefault("client", REMOTE)
    if path == "/api/doctor":
        options["query"] = "measure=false"  # which would take seconds
    if method == SOCKET:
        return await asgi(served.asgi, path, kind="websocket", headers=headers, **options)
    return await asgi(served.asgi, path, method=method, headers=headers, **options)


def expected(row: RouteRight, role: Role, camera: str, *, limited: bool) -> int | None:
    """The status that a role must get, or None for any but a refusal."""
    if row.right is None:
        return None
    hidden = limited and camera != SEEN
    if row.reach is Reach.CAMERA and hidden:
        return 404
    if row.right not in RIGHTS_OF[role] or (row.reach is Reach.ALL and limited):
        return 403
    return None


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.path)
async def test_every_role_gets_what_the_table_says(row: RouteRight, served: Running) -> None:
    for role in Role:
        for cameras in ((SEEN,), ()):
            headers = token_for(served, RIGHTS_OF[role], *cameras)
            for camera in (SEEN, OTHER) if row.camera else (SEEN,):
                streams(served)
                path = concrete(row.path, camera)
                for method in row.methods:
                    reply = await call(served, method, path, headers)
                    wanted = expected(row, role, camera, limited=bool(cameras))
                    what = (role, cameras, method, path, reply.status, reply.body[:200])
                    if wanted is not None and method == SOCKET:
                        assert reply.closed_with == 1008, what
                        assert not reply.accepted, what
                    elif wanted is not None:
                        assert reply.status == wanted, what
                    else:
                        assert reply.status not in (401, 405, 500), what
                        assert not reply.body.startswith(b'{"code":"FORBIDDEN"'), what
                        assert reply.closed_with != 1008, what


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        (Role.VIEWER, "GET", f"/api/streams/{SEEN}", 200),
        (Role.VIEWER, "GET", f"/camera/{SEEN}/stats", 200),
        (Role.VIEWER, "GET", f"/api/streams/{OTHER}", 404),
        (Role.VIEWER, "GET", f"/camera/{OTHER}/jpeg", 404),
        (Role.VIEWER, "GET", f"/stream/video/{OTHER}", 404),
        (Role.VIEWER, "POST", f"/api/streams/{SEEN}/stop", 403),
        (Role.VIEWER, "POST", f"/api/streams/{OTHER}/stop", 404),
        (Role.VIEWER, "DELETE", f"/camera/{SEEN}", 403),
        (Role.VIEWER, "GET", "/api/plates", 403),
        (Role.VIEWER, "GET", "/collect/jobs", 403),
        (Role.VIEWER, "GET", "/metrics", 403),
        (Role.VIEWER, "GET", "/api/users", 403),
        (Role.OPERATOR, "POST", f"/api/streams/{SEEN}/stop", 200),
        (Role.OPERATOR, "POST", f"/api/streams/{OTHER}/stop", 404),
        (Role.OPERATOR, "POST", "/cameras", 403),
        (Role.OPERATOR, "GET", "/api/plates", 200),
        (Role.OPERATOR, "GET", "/metrics", 403),
        (Role.OPERATOR, "GET", "/api/users", 403),
    ],
)
async def test_roles_of_one_camera_in_plain_words(
    role: Role, method: str, path: str, status: int, served: Running
) -> None:
    streams(served)
    reply = await call(served, method, path, token_for(served, RIGHTS_OF[role], SEEN))
    assert reply.status == status


async def test_an_id_of_somebody_else_looks_like_one_that_does_not_exist(served: Running) -> None:
    streams(served)
    viewer = token_for(served, RIGHTS_OF[Role.VIEWER], SEEN)
    foreign = await call(served, "GET", f"/api/streams/{OTHER}", viewer)
    unknown = await call(served, "GET", "/api/streams/no-such", viewer)
    assert foreign.body.replace(OTHER.encode(), b"x") == unknown.body.replace(b"no-such", b"x")
    assert foreign.status == unknown.status == 404


async def test_an_unknown_method_is_405_and_tells_the_others(served: Running) -> None:
    headers = token_for(served, RIGHTS_OF[Role.ADMINISTRATOR])
    reply = await call(served, "DELETE", "/api/streams", headers)
    assert reply.status == 405
    assert reply.headers["allow"] == "GET"
    assert json.loads(reply.body)["code"] == "METHOD_NOT_ALLOWED"


# ── the values ───────────────────────────────────────────────────────────────────────────────


def test_grants_add_up_per_right() -> None:
    access = Access.of(
        [
            Grant(Role.VIEWER),
            Grant(Role.OPERATOR, frozenset({"a"})),
            Grant(Role.VIEWER, frozenset({"b"}), also=frozenset({Right.PLATES})),
        ]
    )
    assert access.everywhere(Right.VIEW)
    assert access.cameras(Right.CONTROL) == frozenset({"a"})
    assert access.cameras(Right.PLATES) == frozenset({"a", "b"})
    assert not access.somewhere(Right.ADMINISTER)


def test_without_a_grant_there_is_nothing() -> None:
    for right in Right:
        assert not Access().somewhere(right)
        assert not Access().everywhere(right)


def test_a_token_allows_what_it_and_its_owner_allow() -> None:
    owner = Access.of([Grant(Role.OPERATOR, frozenset({"a", "b"}))])
    both = Access({Right.VIEW: None, Right.ADMINISTER: None}).limited_to(owner)
    assert both.cameras(Right.VIEW) == frozenset({"a", "b"})
    assert not both.somewhere(Right.ADMINISTER)
    assert not both.somewhere(Right.CONTROL)
    narrow = Access({Right.VIEW: frozenset({"b", "c"})}).limited_to(owner)
    assert narrow.cameras(Right.VIEW) == frozenset({"b"})
