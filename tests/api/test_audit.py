"""What callers do is written to the audit log, with ids only, and refused calls too."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import Any

import pytest
from fixtures import LOOPBACK, REMOTE, Running

from app.access.audit import AuditLog
from app.audit import AuditEntry, AuditFilter
from app.errors import StoreError
from app.rights import RIGHTS_OF, Right, Role

from .test_rights import SEEN, call, streams, token_for

pytestmark = pytest.mark.anyio


def newest(served: Running) -> AuditEntry:
    audit: AuditLog = served.state["audit"]
    return audit.rows.page(AuditFilter(), 1)[0][0].entry


def count(served: Running) -> int:
    audit: AuditLog = served.state["audit"]
    return audit.rows.page(AuditFilter(), 1)[1]


async def test_the_start_is_written(served: Running) -> None:
    audit: AuditLog = served.state["audit"]
    [first] = [row for row in audit.rows.all(AuditFilter()) if row.audit_id == 1]
    assert first.entry == AuditEntry(
        "server", "", "start", "done", {"no_auth": False, "require_token": False}
    )


async def test_changes_are_written_with_ids(served: Running) -> None:
    streams(served)
    headers = token_for(served, RIGHTS_OF[Role.OPERATOR], SEEN)
    assert (await call(served, "POST", f"/api/streams/{SEEN}/stop", headers)).status == 200
    entry = newest(served)
    assert entry.actor.startswith("token ")
    assert entry.address == REMOTE[0]
    assert entry.action == "POST /api/streams/{stream_id}/stop"
    assert (entry.outcome, entry.details) == ("done", {"stream_id": SEEN})


async def test_watching_and_exports_are_written_before_they_are_sent(served: Running) -> None:
    streams(served)
    headers = token_for(served, RIGHTS_OF[Role.OPERATOR])
    await call(served, "WEBSOCKET", f"/ws/stream/{SEEN}", headers)
    assert newest(served).action == "WEBSOCKET /ws/stream/{stream_id}"
    async with served.client(REMOTE, headers=headers) as client:
        assert (await client.get("/api/plates/export.csv")).status_code == 200
        assert newest(served).action == "GET /api/plates/export.csv"
        watching = asyncio.ensure_future(client.get(f"/camera/{SEEN}/mjpeg"))
        await asyncio.sleep(0.3)
        assert newest(served).action == "GET /camera/{camera_id}/mjpeg"
        served.state["access"].calls.end(newest(served).actor)
        await watching
    assert newest(served).outcome == "done"


async def test_without_an_entry_there_is_no_export(
    served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = token_for(served, RIGHTS_OF[Role.OPERATOR])

    def full(_: object) -> None:
        raise StoreError(reason="disk full")

    monkeypatch.setattr(served.state["audit"].rows, "append", full)
    async with served.client(REMOTE, headers=headers) as client:
        reply = await client.get("/api/plates/export.csv")
    assert reply.status_code == 503
    assert "plate_number" not in reply.text
    streams(served)
    stopped = await call(served, "POST", f"/api/streams/{SEEN}/stop", headers)
    assert stopped.status == 200  # it has happened, and the log says that it is not written


async def test_refused_calls_are_written_once_a_minute(served: Running) -> None:
    before = count(served)
    viewer = token_for(served, frozenset({Right.VIEW}))
    for _ in range(5):
        assert (await call(served, "GET", "/api/users", viewer)).status == 403
    assert count(served) == before + 1
    assert (newest(served).action, newest(served).outcome) == ("GET /api/users", "denied")
    for path in ("/secret-path-1", "/secret-path-2"):
        assert (await call(served, "GET", path, {}, client=("192.0.2.99", 1))).status == 401
    assert count(served) == before + 2
    entry = newest(served)
    assert (entry.actor, entry.action) == ("nobody", "GET unknown path")


async def test_what_is_only_read_is_not_written(served: Running) -> None:
    before = count(served)
    async with served.client(LOOPBACK) as client:
        for path in ("/cameras", "/api/events", "/api/version", "/healthz", "/api/audit"):
            assert (await client.get(path)).status_code == 200
    assert count(served) == before


async def test_no_text_of_a_plate_and_no_password_is_written(served: Running) -> None:
    async with served.client(LOOPBACK) as client:
        watch: dict[str, Any] = {"number": "X999XX", "note": "a secret note"}
        assert (await client.post("/api/watchlist", json=watch)).status_code == 201
        body = {"name": "typed a password here", "password": "planted-password-1"}
        assert (await client.post("/api/sign-in", json=body)).status_code == 401
        exported = (await client.get("/api/audit/export.csv")).text
    for secret in ("X999XX", "secret note", "typed a password", "planted-password-1"):
        assert secret not in exported
    assert "POST /api/watchlist" in exported


async def test_the_log_is_read_in_pages_and_as_csv(served: Running) -> None:
    async with served.client(LOOPBACK) as client:
        page = (await client.get("/api/audit?limit=2&outcome=denied")).json()
        assert len(page["rows"]) == 2
        more = (await client.get(f"/api/audit?limit=2&cursor={page['cursor']}")).json()
        assert more["rows"][0]["audit_id"] < page["rows"][-1]["audit_id"]
        exported = (await client.get("/api/audit/export.csv?outcome=denied")).text
        rows = list(csv.DictReader(io.StringIO(exported)))
        assert len(rows) == page["total"]
        assert {row["outcome"] for row in rows} == {"denied"}
        assert (await client.get("/api/audit/check")).json() == {"ok": True, "problem": None}
