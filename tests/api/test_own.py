"""Callers of one camera: lists contain only its data, and nothing else can be found by its id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fixtures import LOOPBACK, REMOTE, Running

from app.events import EventRow
from app.jobs import Job, JobSpec, JobState, Part
from app.plates import NewPlate, NewSession, PlateRead
from app.rights import RIGHTS_OF, Right, Role
from app.types import Box

from .test_rights import OTHER, SEEN, call, streams, token_for

pytestmark = pytest.mark.anyio

OPERATOR = RIGHTS_OF[Role.OPERATOR]
NUMBERS = {SEEN: "A111AA", OTHER: "B222BB", "upload": "C333CC"}


@pytest.fixture(scope="module")
async def ids(served: Running) -> dict[str, dict[str, Any]]:
    """Events, plates and jobs of two cameras, and of an upload; ids by source and kind."""
    streams(served)
    found: dict[str, dict[str, Any]] = {source: {} for source in NUMBERS}
    events, plates = served.state["event_repository"], served.state["plates"].repository
    for number, source in enumerate((SEEN, OTHER)):
        rows = [
            EventRow(100 + number, source, "bag_taken", 1000.0),
            EventRow(200 + number, source, "plate_seen", 1001.0, details={"plate_number": "X"}),
        ]
        assert events.add(rows) == 0
        found[source] |= {"event": 100 + number, "plate_event": 200 + number}
        part = Part("stream", source, source)
        job = Job(f"job-of-{source}", JobSpec((source,)), JobState.COMPLETED, [part])
        served.state["job_repository"].save(job)
        found[source]["job"] = job.job_id
    url = Part("open", "rtsp://192.0.2.1/x", "rtsp://192.0.2.1/x")
    both = [Part("stream", name, name) for name in (SEEN, OTHER)]
    for name, parts in (("url", [url]), ("both", both), ("none", [])):
        job = Job(f"job-of-{name}", JobSpec(), JobState.COMPLETED, list(parts))
        served.state["job_repository"].save(job)
    for source, text in NUMBERS.items():
        read = PlateRead(text, 0.9, Box(0, 0, 10, 10))
        session = plates.add(NewSession("x.jpg", source, "", 1.0, [NewPlate(read, "")]))
        found[source] |= {
            "session": session.session_id,
            "plate": session.plates[0].plate_id,
        }
    return found


@pytest.fixture
async def operator(served: Running, ids: Any) -> AsyncIterator[httpx.AsyncClient]:
    """An operator of one camera, on another machine."""
    headers = token_for(served, OPERATOR, SEEN)
    async with served.client(REMOTE, "http://watchpost.example", headers=headers) as client:
        yield client


async def test_lists_of_streams_contain_only_own_ones(operator: httpx.AsyncClient) -> None:
    assert [one["camera_id"] for one in (await operator.get("/cameras")).json()] == [SEEN]


async def test_events(operator: httpx.AsyncClient, ids: Any) -> None:
    page = (await operator.get("/api/events")).json()
    assert page["total"] == 2
    assert {event["camera_id"] for event in page["events"]} == {SEEN}
    assert (await operator.get(f"/api/events?camera={OTHER}")).json()["total"] == 0
    for kind in ("event", "plate_event"):
        mine = await operator.get(f"/api/events/{ids[SEEN][kind]}")
        assert mine.status_code == 200
        for path in ("", "/snapshot.jpg"):
            foreign = await operator.get(f"/api/events/{ids[OTHER][kind]}{path}")
            unknown = await operator.get(f"/api/events/999999{path}")
            assert foreign.status_code == unknown.status_code == 404
            assert foreign.json()["code"] == unknown.json()["code"] == "EVENT_NOT_FOUND"


async def test_events_with_a_plate_need_its_right(served: Running, ids: Any) -> None:
    headers = token_for(served, frozenset({Right.VIEW}))
    async with served.client(REMOTE, "http://watchpost.example", headers=headers) as viewer:
        page = (await viewer.get("/api/events")).json()
        assert {event["event"] for event in page["events"]} == {"bag_taken"}
        hidden = await viewer.get(f"/api/events/{ids[SEEN]['plate_event']}")
        assert hidden.status_code == 404


async def test_resumed_live_events_are_filtered_too(served: Running, ids: Any) -> None:
    reply = await call(
        served, "GET", "/events", token_for(served, OPERATOR, SEEN), query="last_event_id=0"
    )
    assert OTHER.encode() not in reply.body


async def test_plates(operator: httpx.AsyncClient, ids: Any) -> None:
    for path in ("/api/plates", "/api/sessions"):
        reply = await operator.get(path)
        assert reply.headers["X-Total-Count"] == "1"
        assert NUMBERS[SEEN] in reply.text
        assert NUMBERS[OTHER] not in reply.text
        assert NUMBERS["upload"] not in reply.text
    for path in ("/api/plates?source=upload", "/api/plates?plate_number=B222"):
        assert (await operator.get(path)).json() == []
    for query, count in (("A111", 1), ("B222", 0), ("B222BC", 0), ("C333CC", 0)):
        assert len((await operator.get(f"/api/search?query={query}")).json()) == count
    statistics = (await operator.get("/api/statistics")).json()
    assert (statistics["total_plates"], statistics["total_sessions"]) == (1, 1)
    assert len(statistics["recent_plates"]) == 1
    activity = (await operator.get("/api/statistics/activity")).json()
    assert activity["by_source"] == {SEEN: 1}
    exported = (await operator.get("/api/plates/export.csv")).text
    assert NUMBERS[SEEN] in exported
    assert NUMBERS[OTHER] not in exported


@pytest.mark.parametrize("source", [OTHER, "upload"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/plates/{plate}"),
        ("GET", "/api/plates/{plate}/details"),
        ("GET", "/api/plates/{plate}/image"),
        ("PUT", "/api/plates/{plate}"),
        ("DELETE", "/api/plates/{plate}"),
        ("DELETE", "/api/plates/{plate}/data"),
        ("GET", "/api/sessions/{session}"),
        ("GET", "/api/sessions/{session}/image"),
    ],
)
async def test_foreign_plates_do_not_exist(
    operator: httpx.AsyncClient, ids: Any, method: str, path: str, source: str
) -> None:
    body: dict[str, Any] = {"json": {"is_verified": True}} if method == "PUT" else {}
    foreign = await operator.request(method, path.format(**ids[source]), **body)
    unknown = await operator.request(method, path.format(plate=99999, session=99999), **body)
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json()["code"] == unknown.json()["code"]


async def test_the_foreign_plate_is_unchanged(served: Running, ids: Any) -> None:
    plate = served.state["plates"].repository.plate(ids[OTHER]["plate"])
    assert not plate.is_deleted
    assert not plate.is_verified


async def test_an_export_needs_both_rights(served: Running, ids: Any) -> None:
    for rights, status in (({Right.EXPORT}, 403), ({Right.PLATES}, 403)):
        headers = token_for(served, frozenset(rights))
        reply = await call(served, "GET", "/api/plates/export.csv", headers)
        assert reply.status == status


async def test_jobs(operator: httpx.AsyncClient, ids: Any) -> None:
    listed = (await operator.get("/collect/jobs")).json()
    assert [job["job_id"] for job in listed["jobs"]] == [f"job-of-{SEEN}"]
    assert listed["total"] == 1
    for name in (OTHER, "url", "both", "none"):
        for path in ("", "/logs", "/files", "/files/1"):
            foreign = await operator.get(f"/collect/jobs/job-of-{name}{path}")
            assert foreign.status_code == 404
            assert foreign.json()["code"] == "JOB_NOT_FOUND"
        assert (await operator.delete(f"/collect/jobs/job-of-{name}")).status_code == 404
        patched = await operator.patch(f"/collect/jobs/job-of-{name}", json={"flagged": True})
        assert patched.status_code == 404


async def test_a_socket_of_a_foreign_job_is_that_of_none(served: Running, ids: Any) -> None:
    headers = token_for(served, OPERATOR, SEEN)
    for name in (f"job-of-{OTHER}", "no-such-job"):
        reply = await call(served, "WEBSOCKET", f"/ws/{name}", headers)
        assert reply.closed_with == 4404


async def test_sockets_of_foreign_streams_are_those_of_none(served: Running, ids: Any) -> None:
    streams(served)
    headers = token_for(served, OPERATOR, SEEN)
    for name in (OTHER, "no-such-stream"):
        for kind in ("stream", "camera"):
            reply = await call(served, "WEBSOCKET", f"/ws/{kind}/{name}", headers)
            assert reply.closed_with == 4404, (name, kind)


async def test_jobs_record_only_own_cameras(operator: httpx.AsyncClient, served: Running) -> None:
    streams(served)
    for sources in ([OTHER], [SEEN, OTHER], ["rtsp://192.0.2.1/x"], ["/etc/passwd"], ["nothing"]):
        refused = await operator.post("/collect", json={"sources": sources})
        assert refused.status_code == 403, refused.text
        schedule = {"sources": sources, "cron": "0 3 * * *"}
        assert (await operator.post("/collect/schedules", json=schedule)).status_code == 403
    everything = {"cron": "0 3 * * *"}
    assert (await operator.post("/collect/schedules", json=everything)).status_code == 400
    await served.client(LOOPBACK).post(
        "/collect/schedules", json={"sources": [OTHER], "cron": "0 3 * * *"}
    )
    assert (await operator.get("/collect/schedules")).json() == []


async def test_without_sources_a_job_takes_the_own_cameras(
    operator: httpx.AsyncClient, served: Running
) -> None:
    streams(served)
    await served.state["manager"].registry.load()
    served.state["job_manager"]._ready.set()
    started = await operator.post("/collect", json={"duration": 0.2, "retries": 0})
    assert started.status_code == 200, started.text
    job = (await operator.get(f"/collect/jobs/{started.json()['job_id']}")).json()
    assert [part["source"] for part in job["sources"]] == [SEEN]
    assert (await operator.delete(f"/collect/jobs/{job['job_id']}")).status_code == 200
