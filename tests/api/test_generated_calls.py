"""Generated calls of every operation, as nobody, as a viewer and as an administrator.

There must be no status 500, and no secret of the server in a reply. The number of examples is small
here; WATCHPOST_GENERATED_EXAMPLES sets a larger one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fixtures import REMOTE, Running, running
from hypothesis import HealthCheck, given, settings

from app.api.auth import is_open
from app.config import AuthSettings, Settings, StreamSettings
from app.main import create_app
from app.rights import RIGHTS_OF, Role

from .test_rights import SEEN, streams, token_for

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
pytestmark = pytest.mark.anyio

EXAMPLES = int(os.environ.get("WATCHPOST_GENERATED_EXAMPLES", "2"))
TOKEN = "the-secret-token-of-the-server-0123456789"
ENDLESS = ("/events", "/api/doctor")
"""Replies that do not end, or take long by design; others with a fixed list of tests."""


@pytest.fixture(scope="module")
async def server(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    quick = StreamSettings(start_timeout_s=0.2, open_timeout_s=0.2, stop_timeout_s=1)
    folder = tmp_path_factory.mktemp("generated")
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        media_dirs=[folder],
        auth=AuthSettings(token=TOKEN),
        streams=quick,
    )
    async with running(create_app(settings)) as app:
        yield app


def operations(app: Running) -> Iterator[Any]:
    schema = schemathesis.openapi.from_dict(app.app.openapi())
    for result in schema.get_all_operations():
        operation = result.ok()
        path = operation.path
        if path not in ENDLESS and not path.endswith("mjpeg") and "/stream/video" not in path:
            yield operation


def generated(operation: Any) -> list[Any]:
    """Some cases of an operation; always the same ones."""
    found: list[Any] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def collect(case: Any) -> None:
        found.append(case)

    collect()
    return found


async def send(client: httpx.AsyncClient, case: Any) -> httpx.Response:
    given = case.as_transport_kwargs(base_url="http://watchpost.example")
    names = ("method", "url", "params", "json", "data", "files", "cookies")
    call = {name: given[name] for name in names if given.get(name) is not None}
    body = call.pop("data", None)
    if isinstance(body, bytes | str):
        call["content"] = body
    elif body is not None:
        call["data"] = body
    headers = {
        name: str(value).encode("utf-8", "replace").decode("latin-1")
        for name, value in dict(given.get("headers") or {}).items()
        if name.lower() not in ("authorization", "content-length", "cookie", "host", "origin")
    }
    call.pop("cookies", None)
    async with asyncio.timeout(20):
        return await client.request(**call, headers=headers)


@pytest.mark.parametrize("who", ["nobody", "viewer", "administrator"])
async def test_no_generated_call_fails_or_shows_a_secret(who: str, server: Running) -> None:
    streams(server)
    headers: dict[str, str] = {}
    if who != "nobody":
        role = Role(who)
        headers = token_for(server, RIGHTS_OF[role], *([SEEN] if role is Role.VIEWER else []))
    secret = headers.get("Authorization", "").removeprefix("Bearer ") or TOKEN
    calls, problems = 0, []
    async with server.client(REMOTE, "http://watchpost.example", headers=headers) as client:
        for operation in operations(server):
            for case in generated(operation):
                calls += 1
                server.app.state.throttle.succeeded("address 192.0.2.77")
                reply = await send(client, case)
                what = f"{operation.method} {operation.path}: {reply.status_code}"
                if reply.status_code == 500:
                    problems.append(what)
                if who == "nobody" and not is_open(operation.path) and reply.status_code != 401:
                    problems.append(what)
                if TOKEN in reply.text or secret in reply.text:
                    problems.append(f"{what}: a secret is shown")
    assert problems == []
    assert calls > 60
