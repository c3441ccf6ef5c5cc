"""Messages to phones: a real receiver decrypts them as a browser does, with other libraries."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02
from support.receiver import Receiver, answers, hang, receiver

from app.errors import InvalidRequest, LinkNotValid, TargetNotFound
from app.notify.push_encryption import MAX_BODY, MAX_TEXT, encrypt
from app.notify.snapshot_links import ROTATE_S, SnapshotLinks
from app.notify.targets import web_push
from app.notify.vapid import base64url, from_base64url
from app.types import StreamSpec, StreamState, StreamStats, StreamStatus
from app.urls import MASK

from .conftest import SETTINGS, Outbox, until

pytestmark = pytest.mark.anyio

NOW = 1_793_500_000.0


class Phone:
    """A browser that has subscribed at a push service on this machine."""

    def __init__(self, service: Receiver) -> None:
        self.service = service
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = os.urandom(16)
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.subscription = {
            "endpoint": f"{service.url}/send/s3cret-of-the-phone",
            "p256dh": base64url(point),
            "auth": base64url(self.auth),
        }

    def read(self) -> list[dict[str, Any]]:
        """The messages that its push service got, decrypted."""
        return [
            json.loads(
                http_ece.decrypt(
                    one.body, private_key=self.key, auth_secret=self.auth, version="aes128gcm"
                )
            )
            for one in self.service.received
        ]


@pytest.fixture
def phone() -> Iterator[Phone]:
    with receiver() as service:
        service.behaviour = answers(201)
        yield Phone(service)


def happen_with_snapshot(outbox: Outbox) -> Any:
    name = outbox.snapshots.save(1, NOW, b"a blurred jpeg")
    return outbox.happen(snapshot=True, snapshot_file=name)


async def told(outbox: Outbox, phone: Phone, count: int = 1) -> list[dict[str, Any]]:
    def sent() -> bool:
        return [state for state, _ in outbox.answers()].count("sent") >= count

    await until(sent, f"sent: {outbox.answers()}")
    return phone.read()


# ── the message ──────────────────────────────────────────────────────────────────────────────


def test_the_example_of_the_specification_comes_out_byte_for_byte() -> None:
    """RFC 8291, section 5 and appendix A."""
    private = int.from_bytes(from_base64url("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")
    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        from_base64url(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        ),
        from_base64url("BTBZMqHH6r4Tts7J_aSIgg"),
        from_base64url("DGv6ra1nlYgDCS1FRnbzlw"),
        ec.derive_private_key(private, ec.SECP256R1()),
    )
    assert base64url(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAm"
        "S6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_"
        "Qulcy4a-fN"
    )


async def test_an_event_arrives_encrypted_signed_and_in_the_language_of_the_phone(
    outbox: Outbox, phone: Phone
) -> None:
    shown = StreamSpec("gate", "rtsp://192.0.2.1/x", name="Main gate")
    outbox.cameras.shown = [StreamStatus(shown, StreamState.RUNNING, StreamStats())]
    options = {**phone.subscription, "language": "ko", "timezone": "Asia/Seoul"}
    outbox.add_route(outbox.add_target("web_push", **options))
    async with outbox.working():
        happen_with_snapshot(outbox)
        (message,) = await told(outbox, phone)
    (request,) = phone.service.received
    assert request.headers["content-encoding"] == "aes128gcm"
    assert (request.headers["ttl"], request.headers["urgency"]) == ("86400", "high")
    assert b"gate" not in request.body
    token = request.headers["authorization"].split("t=")[1].split(",")[0]
    public = request.headers["authorization"].rpartition("k=")[2]
    assert public == outbox.vapid.public_key
    assert Vapid02.verify(request.headers["authorization"])
    claims = json.loads(from_base64url(token.split(".")[1]))
    assert claims["aud"] == phone.service.url
    assert time.time() < claims["exp"] < time.time() + 86_400
    assert claims["sub"].startswith("https://")
    assert message["title"] == "Main gate: 가방을 내려놓음"
    assert "2026-11-01 11:26:40" in message["body"]
    assert (message["event_id"], message["language"]) == (1, "ko")
    assert message["snapshot"].startswith("/shared/snapshots/1.jpg?until=")
    assert outbox.answers() == [("sent", "201")]


async def test_repeats_have_the_same_tag(outbox: Outbox, phone: Phone) -> None:
    phone.service.behaviour = answers(503)
    outbox.add_route(outbox.add_target("web_push", **phone.subscription))
    async with outbox.working():
        outbox.happen()
        await until(lambda: len(phone.service.received) >= 2, "a second attempt")
        phone.service.behaviour = answers(201)
        messages = await told(outbox, phone)
    assert len({one["tag"] for one in messages}) == 1


@pytest.mark.parametrize("letter", ["x", "й", "가", '"', "😀"])
def test_a_long_message_is_cut_to_what_push_services_take(letter: str) -> None:
    content = {"title": letter * 100, "body": letter * 5000, "snapshot": "/" * 200}
    data = web_push.shortened(content)
    assert 500 < len(data) <= MAX_TEXT
    assert json.loads(data)["body"].endswith("…")
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    encoded = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert len(encrypt(bytes(MAX_TEXT), encoded, bytes(16))) == MAX_BODY


# ── subscriptions ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_is_gone_is_removed_and_others_go_on(
    outbox: Outbox, phone: Phone, status: int
) -> None:
    with receiver() as other_service:
        other_service.behaviour = answers(201)
        gone = outbox.add_target("web_push", **phone.subscription)
        other = outbox.add_target("web_push", **Phone(other_service).subscription)
        outbox.add_route(gone, other)
        phone.service.behaviour = answers(status, "unsubscribed")
        async with outbox.working():
            for _ in range(3):
                outbox.happen()
            await until(lambda: outbox.targets.all() == [other], "it is removed")
            await until(lambda: len(other_service.received) == 3, "the other one got all")
    assert len(phone.service.received) == 1
    assert outbox.routes.all()[0].target_ids == (other.target_id,)


async def test_a_test_tells_the_answer_and_removes_what_is_gone(
    outbox: Outbox, phone: Phone
) -> None:
    target = outbox.add_target("web_push", **phone.subscription)
    async with outbox.working() as dispatcher:
        attempt = await dispatcher.test(target)
        assert (attempt.ok, attempt.answer) == (True, "201")
        assert phone.read()[0]["body"] == "This is a test message of Watchpost."
        phone.service.behaviour = answers(403, "invalid key for s3cret-of-the-phone")
        attempt = await dispatcher.test(target)
        assert not attempt.ok
        assert attempt.answer.startswith("403 invalid key")
        assert outbox.targets.all() == [target]
        phone.service.behaviour = answers(410)
        assert not (await dispatcher.test(target)).ok
        await until(lambda: outbox.targets.all() == [], "it is removed")
    with pytest.raises(TargetNotFound):
        outbox.targets.get(target.target_id)


async def test_a_push_service_that_hangs_holds_up_no_other_phone(
    outbox: Outbox, phone: Phone
) -> None:
    with receiver() as slow:
        slow.behaviour = hang
        outbox.add_route(outbox.add_target("web_push", **Phone(slow).subscription))
        outbox.add_route(outbox.add_target("web_push", **phone.subscription))
        async with outbox.working():
            outbox.happen()
            assert len(await told(outbox, phone)) == 1


async def test_private_addresses_get_nothing(outbox: Outbox, phone: Phone) -> None:
    outbox.add_route(outbox.add_target("web_push", **phone.subscription))
    async with outbox.working(SETTINGS.model_copy(update={"local_receivers": ()})):
        outbox.happen()
        await until(lambda: outbox.answers()[0][1] is not None, "it was tried")
    assert "127.0.0.1" in (outbox.answers()[0][1] or "")
    assert phone.service.received == []


def test_replies_show_the_push_service_and_no_more(phone: Phone) -> None:
    options = web_push.KIND.read(phone.subscription)
    shown = web_push.KIND.shown(options)
    assert shown["endpoint"] == phone.service.url
    assert (shown["p256dh"], shown["auth"]) == (MASK, MASK)
    assert "s3cret" not in repr(options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "ftp://push.example/x"},
        {"endpoint": "http://169.254.169.254/latest"},
        {"p256dh": "AAAA"},
        {"p256dh": base64url(b"\x04" + bytes(64))},
        {"p256dh": "no base64!"},
        {"auth": "AAAA"},
        {"auth": "\u00e4" * 22},
        {"more": 1},
    ],
)
def test_subscriptions_that_cannot_be_used_are_refused(phone: Phone, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        web_push.KIND.read({**phone.subscription, **wrong})
    assert str(refused.value).startswith("options")


# ── links to snapshots ───────────────────────────────────────────────────────────────────────


def parts(path: str) -> dict[str, Any]:
    query = dict(one.split("=") for one in path.partition("?")[2].split("&"))
    return {
        "event_id": int(path.partition("snapshots/")[2].partition(".")[0]),
        "until": int(query["until"]),
        "key_id": int(query["key"]),
        "signature": query["signature"],
    }


async def test_a_link_shows_one_picture_until_it_expires(outbox: Outbox) -> None:
    path = outbox.links.path(happen_with_snapshot(outbox), NOW)
    assert path is not None
    link = parts(path)
    end = NOW + SETTINGS.link_s
    outbox.links.check(**link, now=end - 1)
    for change in (
        {"now": end},
        {"event_id": 2},
        {"until": link["until"] + 1},
        {"key_id": link["key_id"] + 1},
        {"signature": link["signature"][:-2] + "AA"},
        {"signature": ""},
        {"signature": "\u00e4"},
    ):
        with pytest.raises(LinkNotValid):
            outbox.links.check(**{"now": NOW, **link, **change})


async def test_keys_rotate_and_survive_a_restart(outbox: Outbox) -> None:
    event = happen_with_snapshot(outbox)
    first = outbox.links.path(event, NOW)
    later = NOW + ROTATE_S + 1
    second = outbox.links.path(event, later)
    assert first is not None
    assert second is not None
    assert parts(first)["key_id"] != parts(second)["key_id"]
    again = SnapshotLinks(outbox.keys, SETTINGS.link_s)
    again.check(**parts(second), now=later)
    again.check(**parts(first), now=NOW + 1)
    again.path(event, later + ROTATE_S + SETTINGS.link_s + 1)  # the first key signs nothing valid
    with pytest.raises(LinkNotValid):
        again.check(**parts(first), now=NOW + 1)


async def test_all_links_can_be_ended(outbox: Outbox) -> None:
    path = outbox.links.path(happen_with_snapshot(outbox), NOW)
    assert path is not None
    outbox.links.end_all()
    for links in (outbox.links, SnapshotLinks(outbox.keys, SETTINGS.link_s)):
        with pytest.raises(LinkNotValid):
            links.check(**parts(path), now=NOW)


async def test_an_event_without_a_snapshot_has_no_link(outbox: Outbox) -> None:
    """So has every event of a stream whose faces are not covered."""
    assert outbox.links.path(outbox.happen(), NOW) is None


async def test_keys_are_encrypted_at_rest(outbox: Outbox) -> None:
    outbox.links.path(happen_with_snapshot(outbox), NOW)
    with outbox.engine.connect() as connection:
        (stored,) = connection.exec_driver_sql("SELECT secret FROM server_keys").one()
    (key,) = outbox.keys.all("snapshot links")
    assert key.secret.encode() not in stored
