"""Security headers of every kind of reply."""

from __future__ import annotations

import pytest
from fixtures import LOOPBACK, REMOTE, Running

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "client", "status"),
    [
        ("/api/version", LOOPBACK, 200),
        ("/healthz", REMOTE, 200),
        ("/docs", LOOPBACK, 200),
        ("/viewer", REMOTE, 200),
        ("/static/app/main.js", REMOTE, 200),
        ("/static/viewer/main.js", REMOTE, 200),
        ("/static/nothing", REMOTE, 404),
        ("/api/nothing", LOOPBACK, 404),
        ("/cameras", REMOTE, 401),
        ("/api/streams/x", LOOPBACK, 404),
    ],
)
async def test_every_reply_has_them(
    path: str, client: tuple[str, int], status: int, served: Running
) -> None:
    async with served.client(client) as caller:
        reply = await caller.get(path)
    assert reply.status_code == status
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert "cache-control" in reply.headers
    assert "strict-transport-security" not in reply.headers
    if path != "/docs":
        assert "unsafe" not in reply.headers["content-security-policy"]


async def test_under_tls_browsers_stay_with_it(served: Running) -> None:
    async with served.client(REMOTE, "https://watchpost.example") as client:
        reply = await client.get("/healthz")
        assert reply.headers["strict-transport-security"].startswith("max-age=")
        refused = await client.get("/cameras")
        assert "strict-transport-security" in refused.headers
