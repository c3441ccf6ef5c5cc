"""Uncovered faces: the right, a reason, an end, an entry in the audit log; and they end."""

from __future__ import annotations

import time
from typing import Any

import pytest
from fixtures import LOOPBACK, REMOTE, Running

from app.access.audit import AuditLog
from app.audit import AuditFilter
from app.rights import RIGHTS_OF, Right, Role
from app.types import StreamSpec

from .test_rights import call, token_for

pytestmark = pytest.mark.anyio
FILE = {"source": "missing.mp4"}


def asked(**changes: Any) -> dict[str, Any]:
    return {"reason": "lost child", "until": time.time() + 600} | changes


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "POST",
        "/api/streams/clear-1/start",
        {"rtsp_url": "rtsp://192.0.2.1:9/x", "blur": "off"},
    ),
    ("POST", "/cameras", {"camera_id": "clear-2", "blur": "off", **FILE}),
    ("POST", "/stream/request", {"blur": "off"}),
    ("POST", "/collect", {"sources": ["rtsp://192.0.2.1:9/x"], "blur": False}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=lambda value: str(value)[:30])
async def test_the_right_the_reason_and_the_end_are_needed(
    method: str, path: str, body: dict[str, Any], served: Running
) -> None:
    operator = token_for(served, RIGHTS_OF[Role.OPERATOR])
    async with served.client(REMOTE, "http://x", headers=operator) as client:
        refused = await client.request(method, path, json=body | {"clear_view": asked()})
        assert refused.status_code == 403
        assert refused.json()["details"] == {"right": "clear_view"}
    async with served.client(LOOPBACK) as client:
        for wrong in (
            {},
            {"clear_view": asked(reason="")},
            {"clear_view": asked(until=time.time() - 1)},
            {"clear_view": asked(until=time.time() + 30 * 86_400)},
            {"clear_view": {"reason": "without an end"}},
        ):
            reply = await client.request(method, path, json=body | wrong)
            assert reply.status_code == 400, reply.text
            assert reply.json()["details"]["field"].startswith("clear_view")


async def test_covered_faces_need_nothing_of_this(served: Running) -> None:
    async with served.client(LOOPBACK) as client:
        reply = await client.post("/stream/request", json={"clear_view": asked()})
        assert reply.status_code == 400
        assert (await client.post("/stream/request", json={})).status_code == 201


async def test_it_is_written_with_reason_and_end(served: Running) -> None:
    until = time.time() + 600
    async with served.client(LOOPBACK) as client:
        body = {"blur": "off", "clear_view": asked(until=until)}
        made = await client.post("/stream/request", json=body)
        assert made.status_code == 201
    audit: AuditLog = served.state["audit"]
    entry = audit.rows.page(AuditFilter(action="/stream/request"), 1)[0][0].entry
    assert entry.details == {
        "clear_view_until": until,
        "reason": "lost child",
        "stream_id": made.json()["stream_id"],
    }


@pytest.mark.parametrize("path", ["/camera/{}/jpeg", "/camera/{}/mjpeg", "/stream/video/{}"])
async def test_only_who_has_the_right_watches_it(path: str, served: Running) -> None:
    manager = served.state["manager"]
    spec = StreamSpec("clear-3", "push:", blur="off", clear_until=time.time() + 600)
    manager.start_ephemeral(spec)
    headers = token_for(served, frozenset({Right.VIEW}))
    async with served.client(REMOTE, "http://x", headers=headers) as viewer:
        assert (await viewer.get(path.format("clear-3"))).status_code == 403
        assert (await viewer.get("/camera/clear-3/stats")).status_code == 200
    pictures = await call(served, "WEBSOCKET", "/ws/stream/clear-3", headers, query="pictures=1")
    assert pictures.closed_with == 4403
    camera = await call(served, "WEBSOCKET", "/ws/camera/clear-3", headers)
    assert camera.closed_with == 4403
    numbers = await call(served, "WEBSOCKET", "/ws/stream/clear-3", headers)
    assert numbers.closed_with != 4403


async def test_a_clear_camera_is_not_turned_elsewhere_without_the_right(served: Running) -> None:
    manager = served.state["manager"]
    spec = StreamSpec("clear-4", "webcam:99", blur="off", clear_until=time.time() + 600)
    manager.start_ephemeral(spec)
    operator = token_for(served, RIGHTS_OF[Role.OPERATOR])
    async with served.client(REMOTE, "http://x", headers=operator) as client:
        reply = await client.patch("/camera/clear-4", json={"name": "x"})
        assert reply.status_code == 403
        collected = await client.post("/collect", json={"sources": ["clear-4"], "duration": 1})
        assert collected.status_code == 403
    await manager.disconnect("clear-4")


async def test_a_job_ends_before_its_clear_view(served: Running) -> None:
    async with served.client(LOOPBACK) as client:
        body = {"sources": ["rtsp://192.0.2.1:9/x"], "blur": False, "duration": 3600}
        reply = await client.post("/collect", json=body | {"clear_view": asked()})
        assert reply.status_code == 400
        assert reply.json()["details"]["field"] == "clear_view.until"
        schedule = body | {"clear_view": asked(), "cron": "0 3 * * *"}
        assert (await client.post("/collect/schedules", json=schedule)).status_code == 400


def test_at_its_end_faces_are_covered() -> None:
    spec = StreamSpec("x", "push:", blur="off", clear_until=1000.0)
    assert spec.is_clear(999.9)
    assert not spec.is_clear(1000.0)
    assert spec.cover == "gaussian"
    assert not StreamSpec("x", "push:", blur="solid").is_clear(0)
