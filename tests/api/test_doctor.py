"""``GET /api/doctor``: checks over HTTP, for callers with the token only."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fixtures import REMOTE, Running

from app.api import doctor as doctor_module
from app.doctor import report

pytestmark = pytest.mark.anyio


async def test_the_checks_are_those_of_the_command(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.get("/api/doctor", params={"measure": False})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["costs"] is None
    names = {finding["name"] for finding in body["findings"]}
    assert {"cpu", "memory", "disk", "database", "data folder", "encoder"} <= names
    assert "port" not in names  # it is the server's own


async def test_another_machine_needs_the_token(served: Running) -> None:
    async with served.client(REMOTE) as remote:
        assert (await remote.get("/api/doctor")).status_code == 401


async def test_callers_at_the_same_time_share_one_examination(
    local_client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Any] = []
    examine = report.examine

    def counted(*given: Any, **options: Any) -> Any:
        runs.append(options)
        return examine(*given, **options)

    monkeypatch.setattr(doctor_module, "examine", counted)
    ask = local_client.get("/api/doctor", params={"measure": False})
    others = [local_client.get("/api/doctor", params={"measure": False}) for _ in range(3)]
    replies = await asyncio.gather(ask, *others)
    assert {reply.status_code for reply in replies} == {200}
    assert len(runs) == 1
    assert runs[0]["is_server"] is True
