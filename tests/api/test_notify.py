"""Targets, routes and deliveries over HTTP, from an event of a stream to a receiver."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures import Running, running
from prometheus_client.parser import text_string_to_metric_families
from standardwebhooks import Webhook
from support.receiver import Receiver, accept, answers, receiver

from app.config import AuthSettings, NotifySettings, Settings
from app.events import RuleEvent
from app.main import create_app

from .conftest import TOKEN

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def notifying(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    folder: Path = tmp_path_factory.mktemp("data")
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        auth=AuthSettings(token=TOKEN),
        notify=NotifySettings(local_receivers=("127.0.0.1",), give_up_s=0.01, timeout_s=2),
    )
    async with running(create_app(settings)) as app:
        yield app


@pytest.fixture
async def client(notifying: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with notifying.client() as one:
        yield one
        for kind in ("target", "route"):
            for made in (await one.get(f"/api/{kind}s")).json():
                await one.delete(f"/api/{kind}s/{made[f'{kind}_id']}")


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


async def add_target(client: httpx.AsyncClient, url: str, **options: Any) -> dict[str, Any]:
    body = {"kind": "webhook", "name": "Alarm", "options": {"url": url, **options}}
    reply = await client.post("/api/targets", json=body)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def add_route(client: httpx.AsyncClient, target: dict[str, Any], **more: Any) -> Any:
    body = {"name": "all", "targets": [target["target_id"]], **more}
    reply = await client.post("/api/routes", json=body)
    assert reply.status_code == 201, reply.text
    return reply.json()


def report(notifying: Running, kind: str = "bag_placed") -> None:
    log = notifying.state["event_log"]
    log.report("gate", RuleEvent(kind, details={"label": "bag"}), time.time(), None)


async def listed(client: httpx.AsyncClient, state: str) -> list[dict[str, Any]]:
    """Deliveries, once one of them has a state."""
    for _ in range(500):
        page = (await client.get("/api/deliveries", params={"state": state})).json()
        if page["deliveries"]:
            found: list[dict[str, Any]] = page["deliveries"]
            return found
        await asyncio.sleep(0.02)
    raise AssertionError((await client.get("/api/deliveries")).text)


async def test_an_event_of_a_stream_reaches_the_receiver(
    notifying: Running, client: httpx.AsyncClient, hook: Receiver
) -> None:
    target = await add_target(client, hook.url)
    await add_route(client, target, types=["bag_placed"])
    began = time.monotonic()
    report(notifying, "bag_taken")
    report(notifying)
    (delivery,) = await listed(client, "sent")
    assert delivery["answer"] == "200 thanks"
    (request,) = hook.received
    assert request.at - began < 1.0  # it does not wait for a poll
    Webhook(target["secret"]).verify(request.body, request.headers)
    told = json.loads(request.body)["data"]
    event = (await client.get(f"/api/events/{told['id']}")).json()
    assert told == event
    metrics = (await client.get("/metrics")).text
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
    }
    assert samples["watchpost_notifications_total", "webhook", "sent"] >= 1


async def test_secrets_are_shown_once(client: httpx.AsyncClient, hook: Receiver) -> None:
    made = await add_target(client, hook.url + "/s3cr3t", headers={"X": "s3cr3t-header"})
    assert made["secret"].startswith("whsec_")
    path = f"/api/targets/{made['target_id']}"
    shown = [await client.get(path), await client.get("/api/targets")]
    shown.append(await client.patch(path, json={"name": "New name"}))
    for reply in shown:
        assert reply.status_code == 200
        assert made["secret"] not in reply.text
        assert "s3cr3t" not in reply.text
        assert hook.url in reply.text
    rotated = (await client.post(f"{path}/rotate")).json()
    assert rotated["secret"] != made["secret"]
    assert rotated["name"] == "New name"
    assert (await client.post(f"{path}/test")).json()["ok"]
    (request,) = hook.received
    assert request.path == "/s3cr3t"  # what was not changed has stayed
    assert request.headers["x"] == "s3cr3t-header"
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(request.body, request.headers)


async def test_what_is_written_back_as_it_was_shown_keeps_its_secrets(
    client: httpx.AsyncClient, hook: Receiver
) -> None:
    """A client reads a target, changes a field, and writes all of it."""
    made = await add_target(client, hook.url + "/s3cr3t", headers={"X": "s3cr3t-header"})
    path = f"/api/targets/{made['target_id']}"
    options = (await client.get(path)).json()["options"]
    options["headers"]["Y"] = "new"
    assert (await client.patch(path, json={"options": options})).status_code == 200
    assert (await client.post(f"{path}/test")).json()["ok"]
    (request,) = hook.received
    Webhook(made["secret"]).verify(request.body, request.headers)
    assert (request.path, request.headers["x"]) == ("/s3cr3t", "s3cr3t-header")
    assert request.headers["y"] == "new"


async def test_a_test_tells_the_answer_of_the_other_side(
    client: httpx.AsyncClient, hook: Receiver
) -> None:
    target = await add_target(client, hook.url)
    path = f"/api/targets/{target['target_id']}/test"
    good = (await client.post(path)).json()
    assert (good["ok"], good["answer"]) == (True, "200 thanks")
    hook.behaviour = answers(403, "this key may not post")
    bad = (await client.post(path)).json()
    assert (bad["ok"], bad["answer"]) == (False, "403 this key may not post")
    hook.stop()
    assert (await client.post(path)).json()["answer"] == "connection refused"
    assert json.loads(hook.received[0].body)["type"] == "watchpost.test"
    assert (await client.get("/api/deliveries")).json()["deliveries"] == []


async def test_dead_deliveries_are_listed_with_their_reason_and_sent_again(
    notifying: Running, client: httpx.AsyncClient, hook: Receiver
) -> None:
    hook.behaviour = answers(418, "I am a teapot")
    await add_route(client, await add_target(client, hook.url))
    report(notifying)
    (dead,) = await listed(client, "dead")
    assert dead["answer"] == "418 I am a teapot"
    path = f"/api/deliveries/{dead['delivery_id']}"
    hook.behaviour = accept
    again = await client.post(f"{path}/send")
    assert again.status_code == 200
    (sent,) = await listed(client, "sent")
    assert sent["message_id"] == dead["message_id"]
    refused = await client.post(f"{path}/send")
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_DEAD")
    assert (await client.post("/api/deliveries/send-dead")).json() == {"deliveries": 0}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("targets", {"kind": "pigeon", "name": "x"}, "kind"),
        ("targets", {"kind": "webhook", "name": ""}, "name"),
        ("targets", {"kind": "webhook", "name": "x"}, "options.url"),
        ("targets", {"kind": "webhook", "name": "x", "options": {"url": 1}}, "options.url"),
        ("targets", {"kind": "webhook", "name": "x", "options": {"url": "x://y"}}, "options.url"),
        ("routes", {"name": "x", "targets": []}, "targets"),
        ("routes", {"name": "x", "targets": [1], "types": ["no_such_type"]}, "types"),
        ("routes", {"name": "x", "targets": [1], "labels": ["persn"]}, "labels"),
        ("routes", {"name": "x", "targets": [1], "timezone": "Mars/Base"}, "timezone"),
        ("routes", {"name": "x", "targets": [1], "group_s": -1}, "group_s"),
        ("routes", {"name": "x", "targets": [1], "max_per_minute": 0}, "max_per_minute"),
        ("routes", {"name": "x", "targets": [1], "hours": [{"from": "25:00", "to": "1"}]}, "hours"),
    ],
)
async def test_invalid_requests_name_the_field(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    reply = await client.post(f"/api/{path}", json=body)
    assert reply.status_code == 400, reply.text
    assert reply.json()["details"]["field"].startswith(field)


async def test_unknown_ids_are_404(client: httpx.AsyncClient) -> None:
    for path, code in (
        ("targets", "TARGET_NOT_FOUND"),
        ("routes", "ROUTE_NOT_FOUND"),
        ("deliveries", "DELIVERY_NOT_FOUND"),
    ):
        reply = await client.get(f"/api/{path}/987654")
        assert (reply.status_code, reply.json()["code"]) == (404, code)
    reply = await client.post("/api/routes", json={"name": "x", "targets": [987654]})
    assert (reply.status_code, reply.json()["code"]) == (404, "TARGET_NOT_FOUND")


async def test_routes_are_changed_field_by_field(client: httpx.AsyncClient, hook: Receiver) -> None:
    target = await add_target(client, hook.url)
    hours = [{"days": ["sun"], "from": "22:00:00", "to": "06:00:00"}]
    made = await add_route(
        client, target, cameras=["gate"], hours=[{**hours[0], "from": "22:00", "to": "06:00"}]
    )
    assert made["hours"] == hours
    path = f"/api/routes/{made['route_id']}"
    changed = (await client.patch(path, json={"max_per_minute": 3})).json()
    assert changed == {**made, "max_per_minute": 3}
    assert (await client.get(path)).json() == changed
    assert (await client.delete(path)).status_code == 200
    assert (await client.get(path)).status_code == 404


async def test_kinds_have_the_schema_of_their_options(client: httpx.AsyncClient) -> None:
    kinds = {one["kind"]: one for one in (await client.get("/api/targets/kinds")).json()}
    assert "url" in kinds["webhook"]["options"]["required"]
