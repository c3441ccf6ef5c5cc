"""MQTT against a real broker: events, states, last will, TLS, refusals, discovery."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
import pytest
from fixtures import ROOT, clean_environment, eventually
from support.mosquitto import PASSWORD, USER, Broker, missing

from app.config import NotifySettings
from app.errors import InvalidRequest
from app.events import EventRow
from app.notifications import Target
from app.notify.rule_sensors import RuleStates
from app.notify.targets import mqtt
from app.places import Line, LineCount, PlaceCounts, Zone, ZoneCount
from app.types import StreamSpec, StreamState, StreamStats, StreamStatus

from .conftest import Outbox, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(missing()), reason="apt-get install mosquitto mosquitto-clients"),
]

SETTINGS = NotifySettings(timeout_s=2)
PATIENCE_S = 60.0
INSTANCE = "0123456789abcdef"


@pytest.fixture(scope="module")
def one_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


@pytest.fixture
def broker(one_broker: Broker) -> Broker:
    """Without kept messages."""
    one_broker.stop()
    one_broker.start()
    return one_broker


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "BACKOFF_FIRST_S", 0.05)
    monkeypatch.setattr(mqtt, "BACKOFF_MAX_S", 0.1)


def add(outbox: Outbox, broker: Broker, **more: Any) -> Target:
    options = {"host": "127.0.0.1", "port": broker.port, "username": USER, "password": PASSWORD}
    return outbox.add_target("mqtt", **{**options, "every_s": 0.1, **more})


def camera(camera_id: str = "gate", **stats: Any) -> StreamStatus:
    spec = StreamSpec(camera_id, "rtsp://cam/", name="Front gate", analytics={"smoking": {}})
    return StreamStatus(spec, StreamState.RUNNING, StreamStats(input_fps=14.6, **stats))


async def kept(broker: Broker, topic: str) -> dict[str, bytes]:
    return await asyncio.to_thread(broker.kept, topic)


async def state_of(broker: Broker, camera_id: str = "gate") -> dict[str, Any]:
    topic = f"watchpost/{camera_id}/state"
    for _ in range(20):
        if found := await kept(broker, topic):
            state: dict[str, Any] = json.loads(found[topic])
            return state
    raise AssertionError("no state")


async def switched(broker: Broker, *, on: bool) -> dict[str, Any]:
    """The state of the camera once it says that it is on, or off."""
    async with asyncio.timeout(PATIENCE_S):
        while (state := await state_of(broker))["on"] is not on:
            pass
    return state


async def test_events_arrive_in_order_and_rules_switch(outbox: Outbox, broker: Broker) -> None:
    target = add(outbox, broker)
    outbox.add_route(target)
    outbox.cameras.shown = [camera()]
    name = outbox.snapshots.save(1, 0.0, b"\xff\xd8 a JPEG")
    with broker.listening("watchpost/gate/#") as listener:
        async with outbox.working(SETTINGS) as dispatcher:
            assert (await dispatcher.test(target)).answer == "the broker accepted it"
            outbox.happen(kind="smoking_started", track_id=1, snapshot=True, snapshot_file=name)
            outbox.happen(kind="smoking_started", track_id=2)
            outbox.happen(kind="smoking_ended", track_id=1)
            outbox.happen(kind="smoking_ended", track_id=2)
            await until(lambda: [one for one, _ in outbox.answers()] == ["sent"] * 4)
        told = await until(lambda: eventful(listener.messages()) or None, "events")
    events = [json.loads(one["payload"]) for one in told if one["topic"].endswith("/events")]
    assert [one["event"] for one in events] == ["smoking_started"] * 2 + ["smoking_ended"] * 2
    assert len({one["message_id"] for one in events}) == 4
    assert events[0]["camera_name"] == "Front gate"
    assert events[0]["snapshot"] == "/api/events/1/snapshot.jpg"
    switched = [one["payload"] for one in told if one["topic"].endswith("/rules/smoking")]
    assert switched[-4:] == ["ON", "ON", "ON", "OFF"]  # the second one still smokes
    assert all(one["qos"] == 1 for one in told if one["topic"].endswith("/events"))


def eventful(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    events = [one for one in messages if one["topic"].endswith("/events")]
    switched = [one for one in messages if one["topic"].endswith("/rules/smoking")]
    return messages if len(events) == 4 and len(switched) >= 4 else []


async def test_states_are_the_newest_and_only_what_changes_is_said(
    outbox: Outbox, broker: Broker
) -> None:
    add(outbox, broker)
    places = PlaceCounts(
        date(2026, 1, 1),
        [ZoneCount("Dock", {"car": 1, "person": 2}, {"car": 5})],
        [LineCount("Door", {"a_to_b": {"person": 3}, "b_to_a": {}})],
    )
    outbox.cameras.shown = [camera(followed={"person": 2}, places=places)]
    with broker.listening("watchpost/gate/state") as listener:
        async with outbox.working(SETTINGS):
            state = await state_of(broker)
            assert state["state"] == "running"
            assert (state["on"], state["fps"]) == (True, 15)
            assert state["counts"] == {"face": 0, "person": 2}
            assert state["zones"] == {"Dock": {"now": 3, "today": 5}}
            assert state["lines"] == {"Door": {"a_to_b": 3, "b_to_a": 0}}
            await asyncio.sleep(0.5)
            assert len(listener.messages()) == 1
            outbox.cameras.shown = [replace(camera(), state=StreamState.STOPPED)]
            await until(lambda: len(listener.messages()) == 2)
        assert json.loads(listener.messages()[1]["payload"])["on"] is False


async def test_the_last_will_tells_of_a_killed_server(tmp_path: Path, broker: Broker) -> None:
    code = PROGRAM.format(root=str(ROOT), tests=str(ROOT / "tests"), port=broker.port)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], env=clean_environment(tmp_path)
    )
    try:
        eventually(lambda: said(broker) == b"online", "it is online")
        process.send_signal(signal.SIGKILL)
        process.wait()
        eventually(lambda: said(broker) == b"offline", "the broker tells of it")
    finally:
        process.kill()
        process.wait()


def said(broker: Broker) -> bytes | None:
    return broker.kept("watchpost/status").get("watchpost/status")


PROGRAM = """
import asyncio, sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from notify.conftest import Outbox
from support.mosquitto import PASSWORD, USER

async def main():
    outbox = Outbox(Path(sys.argv[1]))
    outbox.add_target("mqtt", host="127.0.0.1", port={port}, username=USER, password=PASSWORD)
    async with outbox.working():
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_an_orderly_end_says_offline_too(outbox: Outbox, broker: Broker) -> None:
    target = add(outbox, broker)
    async with outbox.working(SETTINGS) as dispatcher:
        assert (await dispatcher.test(target)).ok
        assert await kept(broker, "watchpost/status") == {"watchpost/status": b"online"}
    assert await kept(broker, "watchpost/status") == {"watchpost/status": b"offline"}


async def test_what_happens_while_the_broker_is_away_arrives_once_it_is_back(
    outbox: Outbox, broker: Broker
) -> None:
    target = add(outbox, broker)
    outbox.add_route(target)
    outbox.cameras.shown = [camera()]
    async with outbox.working(NotifySettings(timeout_s=0.5)) as dispatcher:
        assert (await dispatcher.test(target)).ok
        broker.stop()
        for _ in range(3):
            outbox.happen()
        await until(lambda: outbox.answers()[0][1] is not None, "an attempt failed")
        assert outbox.answers()[0][0] == "waiting"
        await asyncio.to_thread(broker.start)
        with broker.listening("watchpost/gate/events"):
            await until(lambda: [one for one, _ in outbox.answers()] == ["sent"] * 3, "", 20)
        assert (await state_of(broker))["state"] == "running"  # said again
        assert await kept(broker, "watchpost/status") == {"watchpost/status": b"online"}


async def test_a_wrong_password_is_the_answer_of_a_test(outbox: Outbox, broker: Broker) -> None:
    target = add(outbox, broker, password="wr0ng-passw0rd")
    async with outbox.working(NotifySettings(timeout_s=1)) as dispatcher:
        attempt = await dispatcher.test(target)
    assert not attempt.ok
    assert "Not authorized" in attempt.answer or "Bad user name or password" in attempt.answer
    assert "wr0ng" not in attempt.answer


async def test_a_refused_message_is_not_taken_for_a_delivered_one(
    outbox: Outbox, broker: Broker
) -> None:
    target = add(outbox, broker, username="reader")
    async with outbox.working(NotifySettings(timeout_s=1)) as dispatcher:
        attempt = await dispatcher.test(target)
    assert not attempt.ok
    assert attempt.answer == "the broker refused it: Not authorized"


async def test_tls_needs_the_name_and_the_authority_of_the_broker(
    outbox: Outbox, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def here(host: Any, *args: Any, **more: Any) -> Any:
        known = ("broker.example", "another.example")
        return real("127.0.0.1" if host in known else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    tls = {"tls": True, "port": broker.tls_port, "host": "broker.example"}
    good = add(outbox, broker, **tls, ca=broker.certificate)
    other = add(outbox, broker, **{**tls, "host": "another.example"}, ca=broker.certificate)
    unknown = add(outbox, broker, **tls)
    for target in (other, unknown):
        outbox.targets.save(replace(target, enabled=False))
    async with outbox.working(NotifySettings(timeout_s=1)) as dispatcher:
        assert (await dispatcher.test(good)).ok
        answer = (await dispatcher.test(other)).answer
        assert "TLS failed" in answer
        assert "another.example" in answer
        assert "self-signed" in (await dispatcher.test(unknown)).answer


async def test_home_assistant_finds_a_device_for_each_camera(
    outbox: Outbox, broker: Broker
) -> None:
    add(outbox, broker)
    gate = with_places(camera(followed={"person": 2}), 'Do"ck {{1}}')
    outbox.cameras.shown = [gate, camera("yard/1")]
    async with outbox.working(SETTINGS):
        await state_of(broker)
        found = await kept(broker, "homeassistant/device/+/config")
        told = json.loads(found[f"homeassistant/device/watchpost_{INSTANCE}_gate/config"])
        assert told["device"]["name"] == "Front gate"
        assert told["device"]["identifiers"] == [f"watchpost_{INSTANCE}_gate"]
        assert told["availability"] == [{"topic": "watchpost/status"}]
        parts = told["components"]
        platforms = {key: one["platform"] for key, one in parts.items()}
        assert platforms["run"] == "switch"
        assert platforms["snapshot"] == "image"
        assert platforms["smoking"] == "binary_sensor"
        assert platforms["count_person"] == "sensor"
        assert "bag_abandoned" not in parts  # its rule does not run here
        zone = next(one for one in parts.values() if one["name"] == 'Do"ck {{1}}')
        assert zone["platform"] == "binary_sensor"
        state = await state_of(broker)
        assert shown(zone, state) == "ON"  # a name is no template
        ids = [one["unique_id"] for one in parts.values()]
        assert len(set(ids)) == len(ids)
        topics = {one.get("state_topic") for one in parts.values()} - {None}
        rules = {f"watchpost/gate/rules/{name}" for name in ("smoking", "loitering")}
        assert topics == {"watchpost/gate/state", *rules}
        assert await kept(broker, "watchpost/gate/rules/#") == dict.fromkeys(rules, b"OFF")
        assert "watchpost/yard%2F1/state" in await kept(broker, "watchpost/+/state")


async def test_zones_and_lines_stay_in_home_assistant_while_the_camera_is_stopped(
    outbox: Outbox, broker: Broker
) -> None:
    """It forgets what is taken away, with the names and rooms that its user has given it."""
    add(outbox, broker)
    running = with_places(camera(), "Dock")
    outbox.cameras.shown = [running]
    topic = f"homeassistant/device/watchpost_{INSTANCE}_gate/config"
    async with outbox.working(SETTINGS):
        state = await state_of(broker)
        parts = json.loads((await kept(broker, topic))[topic])["components"]
        values = {key: shown(one, state) for key, one in parts.items() if is_place(key)}
        assert len(values) == 5
        assert sorted(values.values()) == ["0", "1", "3", "5", "ON"]
        stopped = replace(running, state=StreamState.STOPPED, stats=StreamStats())
        outbox.cameras.shown = [stopped]
        state = await switched(broker, on=False)
        assert json.loads((await kept(broker, topic))[topic])["components"].items() >= parts.items()
        values = {key: shown(one, state) for key, one in parts.items() if is_place(key)}
        assert sorted(values.values()) == ["0", "None", "None", "None", "OFF"]
        spec = replace(running.spec, zones=(), lines=())
        outbox.cameras.shown = [replace(running, spec=spec, stats=StreamStats())]
        await switched(broker, on=True)
        parts = json.loads((await kept(broker, topic))[topic])["components"]
        assert all(one.keys() == {"platform"} for key, one in parts.items() if is_place(key))


def with_places(status: StreamStatus, zone: str) -> StreamStatus:
    """A camera with one zone and one line that count."""
    spec = replace(
        status.spec,
        analytics={**status.spec.analytics, "objects": {}},
        zones=(Zone("count", ((0, 0), (1, 0), (1, 1)), zone),),
        lines=(Line(((0, 0), (1, 1)), "Door"),),
    )
    places = PlaceCounts(
        date(2026, 1, 1),
        [ZoneCount(zone, {"car": 1}, {"car": 5})],
        [LineCount("Door", {"a_to_b": {"person": 3}, "b_to_a": {}})],
    )
    return replace(status, spec=spec, stats=replace(status.stats, places=places))


def is_place(key: str) -> bool:
    return key.startswith(("zone_", "line_"))


def shown(component: dict[str, Any], state: dict[str, Any]) -> str:
    """What Home Assistant makes of a state: its templates are Jinja's."""
    template = jinja2.Environment().from_string(component["value_template"])
    return template.render(value_json=state)


async def test_what_goes_on_stays_on_until_it_ends_or_the_camera_starts_again(
    outbox: Outbox, broker: Broker
) -> None:
    target = add(outbox, broker)
    outbox.add_route(target)
    outbox.cameras.shown = [camera(session_id="S_1")]
    topic = "watchpost/gate/rules/smoking"
    async with outbox.working(SETTINGS):
        await state_of(broker)
        outbox.happen(kind="smoking_started", track_id=1, session_id="S_1")
        await until(lambda: outbox.answers() == [("sent", "the broker accepted it")])
        assert await kept(broker, topic) == {topic: b"ON"}
        with broker.listening("watchpost/gate/#") as listener:  # Home Assistant starts again
            await until(lambda: any(one["retain"] for one in listener.messages()))
            count = len(listener.messages())
            await asyncio.to_thread(broker.publish, "homeassistant/status", "online")
            await until(lambda: topic in topics_of(listener.messages()[count:]))
        assert await kept(broker, topic) == {topic: b"ON"}
        outbox.cameras.shown = [camera(session_id="S_2")]  # nothing ends what S_1 has begun
        async with asyncio.timeout(PATIENCE_S):
            while (await kept(broker, topic)) != {topic: b"OFF"}:
                pass


def topics_of(messages: list[dict[str, Any]]) -> set[str]:
    return {one["topic"] for one in messages}


def test_a_sensor_knows_who_has_begun_though_tracks_break() -> None:
    states = RuleStates()
    stays = {"object_id": 5, "zone": "Dock"}
    began = EventRow(1, "gate", "zone_loitering", 0.0, track_id=1, details=stays)
    other = replace(began, event_id=2, type="zone_left", details={**stays, "object_id": 6})
    outer = replace(other, event_id=3, details={**stays, "zone": "Yard"})
    ended = replace(began, event_id=4, type="zone_left", track_id=9)
    seen = [states.seen(one) for one in (began, other, outer, ended)]
    assert seen == [{"loitering": on} for on in (True, True, True, False)]
    smoked = EventRow(5, "gate", "smoking_started", 0.0, track_id=1, person_id=1)
    assert states.seen(smoked) == {"smoking": True}
    assert states.seen(replace(smoked, type="smoking_ended", track_id=7)) == {"smoking": False}


async def test_a_camera_is_switched_by_the_broker(outbox: Outbox, broker: Broker) -> None:
    add(outbox, broker)
    outbox.cameras.shown = [camera("yard/1")]
    async with outbox.working(SETTINGS):
        await state_of(broker, "yard%2F1")
        await asyncio.to_thread(broker.publish, "watchpost/yard%2F1/run/set", "OFF")
        await until(lambda: outbox.cameras.switched == [("yard/1", False)])
        await asyncio.to_thread(broker.publish, "watchpost/yard%2F1/run/set", "nonsense")
        await asyncio.to_thread(broker.publish, "watchpost/yard%2F1/run/set", "ON")
        await until(lambda: outbox.cameras.switched[1:] == [("yard/1", True)])


async def test_a_removed_camera_is_removed_from_the_broker(outbox: Outbox, broker: Broker) -> None:
    add(outbox, broker)
    outbox.cameras.shown = [camera(), camera("yard")]
    async with outbox.working(SETTINGS):
        await state_of(broker, "yard")
        outbox.cameras.shown = [camera()]
        await until(lambda: True)
        for _ in range(10):
            if not (left := await kept(broker, "watchpost/yard/#")):
                break
        assert left == {}
    outbox.cameras.shown = []  # removed while the server did not run
    async with outbox.working(SETTINGS):
        for _ in range(10):
            if not (left := await kept(broker, "watchpost/gate/#")):
                break
        assert left == {}
    assert await kept(broker, "homeassistant/#") == {}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "broker:1883"},
        {"host": "a:b:c"},
        {"host": "a b"},
        {"host": "x", "port": 0},
        {"host": "x", "topic": "a/#"},
        {"host": "x", "topic": "a/+/b"},
        {"host": "x", "topic": "/a"},
        {"host": "x", "ca": "no PEM"},
        {"host": "x", "every_s": 0},
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        mqtt.KIND.read(options)


async def test_a_forbidden_address_is_never_connected_to(outbox: Outbox) -> None:
    target = outbox.add_target("mqtt", host="169.254.169.254")
    async with outbox.working(NotifySettings(timeout_s=0.5)) as dispatcher:
        attempt = await dispatcher.test(target)
    assert "169.254.169.254" in attempt.answer
