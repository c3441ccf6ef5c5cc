"""Events over HTTP: live, resumed, paged, with their snapshots."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import uvicorn
import websockets
from fixtures import PATIENCE_S, running

from app.api.websockets import ClientSocket
from app.config import AuthSettings, Settings
from app.events import RuleEvent
from app.main import create_app
from app.pipeline.blur import conceal
from app.pipeline.event_log import CLIENT_BACKLOG, EventLog
from app.types import BlurredFrame, Box, Track

pytestmark = pytest.mark.anyio
TRACKS = (
    Track(7, "suitcase", 0.9, Box(10, 20, 30, 40)),
    Track(3, "person", 0.8, Box(0, 0, 90, 90)),
)


class Site:
    """A real server, and the event log of its streams."""

    def __init__(self, port: int, log: EventLog) -> None:
        self.url, self.log = f"http://127.0.0.1:{port}", log
        self.ws = f"ws://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S, trust_env=False)

    def tell(
        self,
        kind: str = "bag_placed",
        camera: str = "gate",
        *,
        ts: float = 1000.0,
        picture: bool = False,
        **details: Any,
    ) -> None:
        image = av.VideoFrame.from_ndarray(np.full((96, 64), 90, np.uint8), format="yuv420p")
        shown: BlurredFrame | None = conceal(image, [], "off", 0) if picture else None
        self.log.report(camera, RuleEvent(kind, TRACKS, 0.8, 1.5, details), ts, shown)


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Site]:
    settings = Settings(_env_file=None, data_dir=folder, auth=AuthSettings(disabled=True))
    async with running(create_app(settings)) as app:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app.app({**scope, "state": dict(app.state)}, receive, send)

        config = uvicorn.Config(with_state, lifespan="off", log_level="error")
        server = uvicorn.Server(config)
        listener = socket.create_server(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve([listener]))
        site = Site(listener.getsockname()[1], app.state["event_log"])
        try:
            async with site.http:
                yield site
        finally:
            site.log.close_clients()
            server.should_exit = True
            await asyncio.wait_for(task, 20)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path / "data") as site:
        yield site


async def read(response: httpx.Response, count: int) -> list[dict[str, Any]]:
    """The first events of an event stream, each with the id of its frame."""
    found: list[dict[str, Any]] = []
    number = None
    async for line in response.aiter_lines():
        if line.startswith("id: "):
            number = int(line[4:])
        if line.startswith("data: "):
            found.append({**json.loads(line[6:]), "frame": number})
            if len(found) == count:
                break
    return found


async def kept(site: Site, count: int) -> None:
    for _ in range(200):
        if (await site.http.get("/api/events")).json()["total"] == count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not {count} events")


# ── history ──────────────────────────────────────────────────────────────────────────────────


async def test_an_event_as_it_is_kept(site: Site) -> None:
    site.tell(picture=True, zone="dock")
    event = (await site.http.get("/api/events/1")).json()
    assert event == {
        "type": "event",
        "version": 1,
        "stream_id": "gate",
        "camera_id": "gate",
        "id": 1,
        "event": "bag_placed",
        "ts": 1000.0,
        "time": "1970-01-01T00:16:40+00:00",
        "track_id": 7,
        "person_id": 3,
        "bag_id": 7,
        "box": [10, 20, 30, 40],
        "confidence": 0.8,
        "duration_s": 1.5,
        "session_id": None,
        "snapshot": "/api/events/1/snapshot.jpg",
        "clip": None,
        "details": {"zone": "dock"},
    }
    reply = await site.http.get(event["snapshot"])
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.content[:2] == b"\xff\xd8"


async def test_an_event_without_a_picture(site: Site) -> None:
    site.tell()
    assert (await site.http.get("/api/events/1")).json()["snapshot"] is None
    reply = await site.http.get("/api/events/1/snapshot.jpg")
    assert (reply.status_code, reply.json()["code"]) == (404, "NO_SNAPSHOT")


async def test_an_event_whose_picture_was_removed_says_so(site: Site, tmp_path: Path) -> None:
    site.tell(picture=True)
    assert (await site.http.get("/api/events/1")).json()["snapshot"] is not None
    (picture,) = (tmp_path / "data" / "snapshots").glob("*/*.jpg")
    picture.unlink()
    (event,) = (await site.http.get("/api/events")).json()["events"]
    assert event["snapshot"] is None
    url, english = "/api/events/1/snapshot.jpg", {"Accept-Language": "en"}
    reply = await site.http.get(url, headers=english)
    assert (reply.status_code, reply.json()["code"]) == (404, "SNAPSHOT_REMOVED")
    assert reply.json()["message"] == "The snapshot of event 1 was removed."


async def test_history_pages_and_filters(site: Site) -> None:
    for number in range(10):
        site.tell(
            "bag_taken" if number % 2 else "bag_placed", f"cam-{number % 3}", ts=100.0 + number
        )
    await kept(site, 10)

    async def ids(**query: Any) -> list[int]:
        reply = await site.http.get("/api/events", params=query)
        assert reply.status_code == 200, reply.text
        return [event["id"] for event in reply.json()["events"]]

    assert await ids() == list(range(10, 0, -1))
    assert await ids(camera="cam-1") == [8, 5, 2]
    assert await ids(type="bag_taken") == [10, 8, 6, 4, 2]
    assert await ids(since=107, until=109) == [9, 8]
    assert await ids(since="1970-01-01T00:01:47Z", until="1970-01-01T01:01:49+01:00") == [9, 8]
    page = (await site.http.get("/api/events", params={"limit": 4})).json()
    assert (page["total"], page["cursor"]) == (10, 7)
    assert await ids(limit=4, cursor=7) == [6, 5, 4, 3]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/events?limit=0", 400, "INVALID_REQUEST"),
        ("/api/events?limit=501", 400, "INVALID_REQUEST"),
        ("/api/events?limit=x", 400, "INVALID_REQUEST"),
        ("/api/events?cursor=-1", 400, "INVALID_REQUEST"),
        ("/api/events?cursor=99999999999999999999", 400, "INVALID_REQUEST"),
        ("/api/events?since=yesterday", 400, "INVALID_REQUEST"),
        ("/api/events?since=nan", 400, "INVALID_REQUEST"),
        ("/api/events?until=inf", 400, "INVALID_REQUEST"),
        ("/api/events?until=1e400", 400, "INVALID_REQUEST"),
        ("/api/events/x", 400, "INVALID_REQUEST"),
        ("/api/events/-1", 400, "INVALID_REQUEST"),
        ("/api/events/9", 404, "EVENT_NOT_FOUND"),
        ("/api/events/9/snapshot.jpg", 404, "EVENT_NOT_FOUND"),
        ("/events?last_event_id=x", 400, "INVALID_REQUEST"),
        ("/events?last_event_id=-1", 400, "INVALID_REQUEST"),
    ],
)
async def test_wrong_values_are_said(
    local_client: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    reply = await local_client.get(path)
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
    assert set(reply.json()) == {"code", "message", "details"}


@pytest.mark.parametrize("path", ["/api/events?type=bag", "/events?type=bag"])
async def test_an_unknown_type_is_said_with_those_that_there_are(
    local_client: httpx.AsyncClient, path: str
) -> None:
    reply = await local_client.get(path)
    assert reply.status_code == 400
    body = reply.json()
    assert (body["code"], body["details"]["field"]) == ("INVALID_REQUEST", "type")
    assert "bag_placed" in body["message"]


async def test_an_unknown_type_closes_a_socket_with_the_reason(site: Site) -> None:
    async with websockets.connect(f"{site.ws}/ws/events?type=bag", proxy=None) as socket:
        refusal = json.loads(await socket.recv())
        assert (refusal["type"], refusal["code"]) == ("error", "INVALID_REQUEST")
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4400


async def test_a_wrong_last_event_id_is_said(site: Site) -> None:
    reply = await site.http.get("/events", headers={"Last-Event-ID": "seven"})
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, "last_event_id")


async def test_events_and_their_numbers_survive_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as site:
        site.tell(picture=True)
        site.tell()
    async with serving(tmp_path / "data") as site:
        site.tell()
        await kept(site, 3)
        assert (await site.http.get("/api/events/3")).status_code == 200
        assert (await site.http.get("/api/events/1/snapshot.jpg")).status_code == 200


# ── server-sent events ───────────────────────────────────────────────────────────────────────


async def test_events_are_sent_as_they_happen(site: Site) -> None:
    async with site.http.stream("GET", "/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        site.tell("bag_placed")
        site.tell("bag_taken", picture=True)
        found = await read(response, 2)
    assert [(event["frame"], event["id"], event["event"]) for event in found] == [
        (1, 1, "bag_placed"),
        (2, 2, "bag_taken"),
    ]
    assert found[1]["snapshot"] == "/api/events/2/snapshot.jpg"


async def test_a_client_that_comes_back_gets_what_it_missed(site: Site) -> None:
    for _ in range(5):
        site.tell()
    await kept(site, 5)
    async with site.http.stream("GET", "/events", headers={"Last-Event-ID": "2"}) as response:
        site.tell()
        found = await read(response, 4)
    assert [event["id"] for event in found] == [3, 4, 5, 6]
    async with site.http.stream("GET", "/events?last_event_id=5") as response:
        assert [event["id"] for event in await read(response, 1)] == [6]


async def test_filters_of_followers(site: Site) -> None:
    site.tell("bag_taken", "gate")
    async with site.http.stream(
        "GET", "/events", params={"camera": "gate", "type": "bag_taken", "last_event_id": 0}
    ) as response:
        site.tell("bag_placed", "gate")
        site.tell("bag_taken", "door")
        site.tell("bag_taken", "gate")
        assert [event["id"] for event in await read(response, 2)] == [1, 4]


async def test_a_silent_stream_has_a_heartbeat(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.events.HEARTBEAT_S", 0.1)
    async with site.http.stream("GET", "/events") as response:
        lines = response.aiter_lines()
        start = [await anext(lines) for _ in range(6)]
        assert start == ["retry: 2000", "", ": still here", "", ": still here", ""]
        site.tell()
        while (line := await anext(lines)) != "id: 1":
            assert line in (": still here", "")


async def test_clients_that_leave_are_forgotten(site: Site) -> None:
    for _ in range(5):
        async with site.http.stream("GET", "/events") as response:
            await anext(response.aiter_lines())
        async with websockets.connect(f"{site.ws}/ws/events"):
            pass
    for _ in range(100):
        if not site.log._clients._subscribers:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("somebody is still subscribed")


async def test_followers_are_let_go_at_the_end(site: Site) -> None:
    async with (
        site.http.stream("GET", "/events") as response,
        websockets.connect(f"{site.ws}/ws/events") as client,
    ):
        lines = response.aiter_lines()
        await anext(lines)
        await asyncio.sleep(0.1)
        site.log.close_clients()
        assert [line async for line in lines] == [""]
        with pytest.raises(websockets.ConnectionClosedOK):
            await client.recv()


# ── sockets ──────────────────────────────────────────────────────────────────────────────────


async def test_a_socket_gets_the_same(site: Site) -> None:
    site.tell("bag_taken")
    await kept(site, 1)
    async with websockets.connect(f"{site.ws}/ws/events?last_event_id=0&camera=gate") as client:
        site.tell("bag_placed", "door")
        site.tell("bag_placed", picture=True)
        got = [json.loads(await client.recv()) for _ in range(2)]
    assert [event["id"] for event in got] == [1, 3]
    assert got[1] == (await site.http.get("/api/events/3")).json()


async def test_a_socket_with_a_wrong_id_is_told(site: Site) -> None:
    async with websockets.connect(f"{site.ws}/ws/events?last_event_id=x") as client:
        assert json.loads(await client.recv())["code"] == "INVALID_REQUEST"
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400


async def test_a_slow_socket_is_told_how_many_it_missed(site: Site) -> None:
    """It stops reading; the kernel's buffers fill, then the server's queue for it."""
    async with websockets.connect(f"{site.ws}/ws/events", max_queue=1, compression=None) as client:
        filler = "x" * 50_000
        count = CLIENT_BACKLOG + 400
        for _ in range(count):
            site.tell(filler=filler)
            await asyncio.sleep(0)
        got: list[dict[str, Any]] = []
        while not got or got[-1].get("id") != count:
            got.append(json.loads(await asyncio.wait_for(client.recv(), 20)))
    missed = sum(message["events"] for message in got if message["type"] == "missed")
    events = [message["id"] for message in got if message["type"] == "event"]
    assert missed > 0
    assert missed + len(events) == count
    assert events == sorted(events)


class _Closed:
    """A socket that uvicorn closed itself because its pings were not answered."""

    async def receive(self) -> dict[str, str]:
        await asyncio.sleep(60)
        return {"type": "websocket.disconnect"}

    async def send_text(self, text: str) -> None:
        raise RuntimeError("Unexpected ASGI message 'websocket.send'")


@pytest.mark.parametrize("ours", [True, False])
async def test_a_socket_that_the_server_closed_itself_is_no_failure(ours: bool) -> None:
    client = ClientSocket(_Closed(), 5)  # type: ignore[arg-type]

    async def talk() -> None:
        if ours:
            raise RuntimeError("a mistake of ours")
        await client.send("{}")

    with pytest.raises(RuntimeError) if ours else contextlib.nullcontext():
        await client.run(talk())
