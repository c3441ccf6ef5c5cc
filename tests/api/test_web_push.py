"""A phone subscribes, is told of an event, and opens the signed link without signing in."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import http_ece
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fixtures import Running, running
from support.receiver import Receiver, answers, receiver

from app.config import AuthSettings, NotifySettings, Settings
from app.events import EventRow
from app.main import create_app
from app.notify.vapid import base64url, from_base64url

from .conftest import TOKEN

pytestmark = pytest.mark.anyio

KEY = ec.generate_private_key(ec.SECP256R1())
AUTH = os.urandom(16)
JPEG = b"\xff\xd8 a blurred frame \xff\xd9"


@pytest.fixture(scope="module")
async def server(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("data"),
        auth=AuthSettings(token=TOKEN, require_token=True),
        notify=NotifySettings(local_receivers=("127.0.0.1",), timeout_s=2),
    )
    async with running(create_app(settings)) as app:
        yield app


@pytest.fixture
async def client(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as one:
        one.headers["authorization"] = f"Bearer {TOKEN}"
        yield one


@pytest.fixture
async def stranger(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as one:
        one.headers.pop("authorization", None)
        yield one


@pytest.fixture
def service() -> Iterator[Receiver]:
    with receiver() as one:
        one.behaviour = answers(201)
        yield one


async def subscribe(client: httpx.AsyncClient, service: Receiver) -> dict[str, Any]:
    point = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    options = {
        "endpoint": f"{service.url}/send/s3cret",
        "p256dh": base64url(point),
        "auth": base64url(AUTH),
        "language": "ru",
    }
    body = {"kind": "web_push", "name": "My phone", "options": options}
    reply = await client.post("/api/targets", json=body)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


def message(service: Receiver) -> dict[str, Any]:
    decrypted: dict[str, Any] = json.loads(
        http_ece.decrypt(
            service.received[-1].body, private_key=KEY, auth_secret=AUTH, version="aes128gcm"
        )
    )
    return decrypted


async def test_a_phone_subscribes_and_a_test_reaches_it(
    client: httpx.AsyncClient, service: Receiver
) -> None:
    key = (await client.get("/api/targets/web-push-key")).json()["public_key"]
    assert len(from_base64url(key)) == 65
    target = await subscribe(client, service)
    assert "s3cret" not in json.dumps(target)
    reply = await client.post(f"/api/targets/{target['target_id']}/test")
    assert reply.json()["ok"], reply.text
    assert message(service)["body"] == "Это проверочное сообщение Watchpost."
    assert service.received[-1].headers["authorization"].endswith(f"k={key}")
    service.behaviour = answers(410)
    reply = await client.post(f"/api/targets/{target['target_id']}/test")
    assert not reply.json()["ok"]
    for _ in range(200):
        if (await client.get("/api/targets")).json() == []:
            return
    pytest.fail("the subscription that is gone is still listed")


async def test_the_link_shows_one_snapshot_and_opens_nothing_else(
    server: Running, stranger: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    path = kept_event(server)
    reply = await stranger.get(path)
    assert (reply.status_code, reply.content) == (200, JPEG), reply.text
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["cache-control"] == "no-store"
    assert "set-cookie" not in reply.headers
    for refused in (
        path.replace("/7.jpg", "/8.jpg"),
        path.replace("until=1", "until=2"),
        path.replace("key=", "key=1"),
        path[:-4] + "AAAA",
    ):
        reply = await stranger.get(refused)
        assert (reply.status_code, reply.json()["code"]) == (404, "LINK_NOT_VALID"), refused
    reply = await stranger.get("/shared/snapshots/7.jpg")
    assert (reply.status_code, reply.json()["code"]) == (400, "INVALID_REQUEST")
    query = path.partition("?")[2]
    for closed in ("/api/events/7/snapshot.jpg", "/api/events", "/api/events/7"):
        assert (await stranger.get(f"{closed}?{query}")).status_code == 401
    assert (await stranger.delete("/api/snapshot-links")).status_code == 401
    assert (await stranger.get("/api/targets/web-push-key")).status_code == 401
    assert (await client.delete("/api/snapshot-links")).status_code == 200
    assert (await stranger.get(path)).status_code == 404


async def test_an_erased_event_has_no_picture_any_more(
    server: Running, stranger: httpx.AsyncClient
) -> None:
    path = kept_event(server, event_id=17)
    file = server.state["event_repository"].get(17).snapshot_file
    assert (await stranger.get(path)).status_code == 200
    server.state["event_repository"]._snapshots.delete([file])
    assert (await stranger.get(path)).status_code == 404


def kept_event(server: Running, event_id: int = 7) -> str:
    """A stored event with a snapshot; returns the link to it, as the pipeline's target makes it."""
    repository, links = server.state["event_repository"], server.state["notify"].links
    file = repository._snapshots.save(event_id, time.time(), JPEG)
    row = EventRow(event_id, "gate", "bag_placed", time.time(), snapshot=True, snapshot_file=file)
    assert repository.add([row]) == 0
    path: str = links.path(row, time.time())
    return path
