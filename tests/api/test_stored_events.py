"""The list of events over HTTP: filters, flags, comments, counts, days and exports."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fixtures import LOOPBACK, REMOTE, Running

from app.audit import AuditFilter
from app.events import EventRow
from app.rights import RIGHTS_OF, Right, Role

from .test_rights import token_for

pytestmark = pytest.mark.anyio

NOON = 1_764_331_200.0
"""2025-11-28, 12:00 UTC."""
ROWS = [
    EventRow(11, "gate", "zone_entered", NOON, details={"label": "person", "zone": "door"}),
    EventRow(12, "yard", "plate_seen", NOON + 60, details={"plate_number": "AB123"}),
    EventRow(13, "yard", "zone_left", NOON + 10 * 3600, details={"label": "car", "zone": "=1+1"}),
    EventRow(14, "gate", "bag_taken", NOON - 7200),  # noticed late
]


@pytest.fixture(scope="module")
async def stored(served: Running) -> None:
    assert served.state["event_repository"].add(ROWS) == 0


@pytest.fixture
async def client(served: Running, stored: None) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client(LOOPBACK) as client:
        yield client


async def ids(client: httpx.AsyncClient, **query: Any) -> list[int]:
    reply = await client.get("/api/events", params=query)
    assert reply.status_code == 200, reply.text
    return [event["id"] for event in reply.json()["events"]]


async def test_the_list_by_number_and_by_time(client: httpx.AsyncClient) -> None:
    assert await ids(client) == [14, 13, 12, 11]
    assert await ids(client, order="time") == [13, 12, 11, 14]
    first = (await client.get("/api/events?order=time&limit=2&count=false")).json()
    assert (first["total"], first["cursor"]) == (None, 12)
    assert await ids(client, order="time", cursor=12, limit=2) == [11, 14]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"plate": "ab-12"}, [12]),
        ({"plate": ""}, [14, 13, 12, 11]),
        ({"hours": "22:00-06:00"}, [13]),
        ({"hours": "22:00-06:00", "timezone": "America/New_York"}, [14]),
        ({"hours": "09:00-11:00"}, [14]),
        ({"flagged": "true"}, []),
        ({"since": NOON, "until": NOON + 1}, [11]),
    ],
)
async def test_filters(
    client: httpx.AsyncClient, query: dict[str, Any], expected: list[int]
) -> None:
    assert await ids(client, **query) == expected


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/events?hours=22-6", "hours"),
        ("/api/events?hours=22:00-24:00", "hours"),
        ("/api/events?hours=22:00-06:00&timezone=Mars", "timezone"),
        ("/api/events?order=size", "order"),
        ("/api/events/days?timezone=Mars", "timezone"),
        ("/api/events/days?since=0&until=1e9", "since"),
        ("/api/events/counts?type=bag", "type"),
        ("/events?hours=noon", "hours"),
    ],
)
async def test_a_wrong_filter_is_named(client: httpx.AsyncClient, path: str, field: str) -> None:
    reply = await client.get(path)
    assert (reply.status_code, reply.json()["code"]) == (400, "INVALID_REQUEST")
    assert reply.json()["details"]["field"] == field


async def test_a_plate_is_in_the_reply_and_nothing_else_is_added(
    client: httpx.AsyncClient,
) -> None:
    seen = (await client.get("/api/events/12")).json()
    assert seen["plate"] == "AB123"
    other = (await client.get("/api/events/11")).json()
    assert not {"plate", "flagged", "comment"} & set(other)


async def test_flags_and_comments_are_kept_and_audited(
    served: Running, client: httpx.AsyncClient
) -> None:
    body = {"flagged": True, "comment": "  the blue van\nagain "}
    changed = (await client.patch("/api/events/13", json=body)).json()
    assert changed["flagged"] is True
    assert changed["comment"]["text"] == "the blue van\nagain"
    assert changed["comment"]["by"] == "this machine"
    assert changed == (await client.get("/api/events/13")).json()
    assert await ids(client, flagged="true") == [13]
    entry = served.state["audit"].rows.page(AuditFilter(), 1, None)[0][0].entry
    assert entry.action == "PATCH /api/events/{event_id}"
    assert entry.details["event_id"] == "13"
    assert "van" not in str(entry.details)
    cleared = await client.patch("/api/events/13", json={"flagged": False, "comment": ""})
    assert not {"flagged", "comment"} & set(cleared.json())


@pytest.mark.parametrize(
    "body", [{"comment": "x" * 2001}, {"comment": "a\x00"}, {"flagged": 1}, {"note": "x"}]
)
async def test_a_wrong_change_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.patch("/api/events/13", json=body)).status_code == 400


async def test_changes_need_the_right_for_the_camera(
    served: Running, client: httpx.AsyncClient
) -> None:
    operator = token_for(served, RIGHTS_OF[Role.OPERATOR], "gate")
    viewer = token_for(served, RIGHTS_OF[Role.VIEWER])
    for headers, number, status in (
        (operator, 11, 200),
        (operator, 13, 404),
        (viewer, 11, 403),
    ):
        async with served.client(REMOTE, "http://watchpost.example", headers=headers) as other:
            reply = await other.patch(f"/api/events/{number}", json={"flagged": False})
            assert reply.status_code == status
    assert (await client.patch("/api/events/99", json={"flagged": True})).status_code == 404


async def test_what_happened_since_a_time(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/events/counts", params={"since": NOON})).json()
    assert body["total"] == 3
    assert {(one["camera_id"], one["event"], one["count"]) for one in body["counts"]} == {
        ("gate", "zone_entered", 1),
        ("yard", "plate_seen", 1),
        ("yard", "zone_left", 1),
    }


async def test_days_of_a_calendar(client: httpx.AsyncClient) -> None:
    query: dict[str, Any] = {
        "since": NOON - 86_400,
        "until": NOON + 86_400,
        "timezone": "Asia/Seoul",
    }
    days = (await client.get("/api/events/days", params=query)).json()["days"]
    assert days == [{"day": "2025-11-29", "count": 1}, {"day": "2025-11-28", "count": 3}]


async def test_exports(served: Running, client: httpx.AsyncClient) -> None:
    await client.patch("/api/events/11", json={"comment": "=cmd|' /C calc'!A0"})
    listed = (await client.get("/api/events/export.json", params={"camera": "gate"})).json()
    assert [event["id"] for event in listed] == [11, 14]
    empty = await client.get("/api/events/export.json", params={"zone": "nowhere"})
    assert empty.json() == []
    reply = await client.get("/api/events/export.csv")
    assert reply.headers["content-disposition"] == 'attachment; filename="events.csv"'
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert [row["id"] for row in rows] == ["13", "12", "11", "14"]
    assert rows[1]["plate"] == "AB123"
    assert rows[2]["comment"].startswith("'=cmd")
    actions = [
        row.entry.action for row in served.state["audit"].rows.page(AuditFilter(), 9, None)[0]
    ]
    assert actions.count("GET /api/events/export.csv") == 1


async def test_an_export_has_only_cameras_that_the_caller_may_export(
    served: Running, stored: None
) -> None:
    viewer = token_for(served, RIGHTS_OF[Role.VIEWER])
    operator = token_for(served, RIGHTS_OF[Role.OPERATOR], "gate")
    without_plates = token_for(served, frozenset({Right.VIEW, Right.EXPORT}))
    for headers, status, numbers in (
        (viewer, 403, None),
        (operator, 200, [11, 14]),
        (without_plates, 200, [13, 11, 14]),
    ):
        async with served.client(REMOTE, "http://watchpost.example", headers=headers) as other:
            reply = await other.get("/api/events/export.json")
            assert reply.status_code == status
            if numbers is not None:
                assert [event["id"] for event in reply.json()] == numbers
