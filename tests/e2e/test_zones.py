"""Somebody passes a real server's camera, from one side of a line into a zone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.passage import LINE, ZONE, write_passage
from support.poll import eventually
from support.watchpost import Server

STARTS_S = 60


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    write_passage(tmp_path / "passage.mp4")
    server = Server(tmp_path, media_dirs=tmp_path, streams__start_timeout_s=STARTS_S).start()
    yield server
    server.stop()
    server.http.close()


def events(server: Server, **query: str) -> list[dict[str, Any]]:
    """Stored events of the camera, oldest first."""
    reply = server.http.get("/api/events", params={"camera": "hall", **query})
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["events"]
    return found[::-1]


def test_somebody_crosses_a_line_and_enters_a_zone(own: Server, tmp_path: Path) -> None:
    body = {
        "camera_id": "hall",
        "source": str(tmp_path / "passage.mp4"),
        "analytics": {"objects": {"labels": ["person"], "loiter_s": 0.5}},
        "zones": [ZONE],
        "lines": [LINE],
    }
    assert own.http.post("/cameras", json=body, timeout=STARTS_S + 30).status_code == 201
    eventually(
        lambda: [one["event"] for one in events(own)],
        lambda kinds: "object_left" in kinds,
        STARTS_S,
        "the person has left",
    )
    kinds = [one["event"] for one in events(own)]
    assert kinds == [
        "object_appeared",
        "line_crossed",
        "zone_entered",
        "zone_loitering",
        "zone_left",
        "object_left",
    ]
    (crossed,) = events(own, line="middle", label="person")
    details = crossed["details"]
    assert (details["direction"], details["from"], details["to"]) == ("a_to_b", "left", "right")
    assert [one["event"] for one in events(own, zone="right", type="zone_entered")] == [
        "zone_entered"
    ]
    assert own.http.get(crossed["snapshot"]).content[:2] == b"\xff\xd8"
    assert counts(own.http)["lines"] == [
        {"name": "middle", "today": {"a_to_b": {"person": 1}, "b_to_a": {}}}
    ]
    own.stop()
    own.start()
    eventually(
        lambda: own.http.get("/camera/hall").status_code,
        lambda status: status == 200,
        STARTS_S,
        "the camera is known again",
    )
    again = own.http.patch("/camera/hall", json={"name": "Hall"}, timeout=STARTS_S + 30)
    assert again.status_code == 200, again.text
    assert counts(own.http)["zones"] == [{"name": "right", "now": {}, "today": {"person": 1}}]
    metrics = own.http.get("/metrics").text
    assert 'watchpost_zone_entered_today{label="person",stream="hall",zone="right"} 1.0' in metrics


def counts(http: httpx.Client) -> dict[str, Any]:
    """The counts of the camera's zones and lines."""
    places: dict[str, Any] = http.get("/camera/hall/stats").json()["places"]
    return places
