"""``/api/nodes`` without a cluster; ``tests/cluster`` has one."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures import running

from app.config import AuthSettings, Settings
from app.main import create_app

pytestmark = pytest.mark.anyio


async def test_a_server_without_a_cluster_has_no_nodes(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, auth=AuthSettings(token="x"))
    async with running(create_app(settings)) as app, app.client() as client:
        reply = await client.get("/api/nodes")
        assert (reply.status_code, reply.json()) == (200, [])
        for change in ("drain", "resume"):
            reply = await client.post(f"/api/nodes/abc/{change}")
            assert (reply.status_code, reply.json()["code"]) == (404, "NODE_NOT_FOUND")
            assert reply.json()["details"] == {"node_id": "abc"}
