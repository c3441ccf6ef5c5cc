"""Webhooks: signed CloudEvents, delivered at least once and in order, whatever receivers do."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from support.receiver import (
    Behaviour,
    Handler,
    Receiver,
    accept,
    answers,
    drip,
    hang,
    lie,
    receiver,
    talk_nonsense,
)

from app.config import NotifySettings
from app.notifications import DeliveryFilter, DeliveryState, Target
from app.notify.targets import webhook
from app.notify.targets.webhook import OVERLAP_S

from .conftest import IMPATIENT, SETTINGS, Outbox, until

pytestmark = pytest.mark.anyio


def secret_of(target: Target) -> str:
    return str(target.options["signing_secret"])


async def sent(outbox: Outbox, count: int = 1) -> None:
    def done() -> bool:
        states = [state for state, _ in outbox.answers()]
        return states.count("sent") >= count

    await until(done, f"{count} sent: {outbox.answers()}")


# ── the form ─────────────────────────────────────────────────────────────────────────────────


async def test_an_event_arrives_as_a_signed_cloud_event(outbox: Outbox, hook: Receiver) -> None:
    target = outbox.add_target(url=hook.url + "/in?x=1", headers={"Authorization": "Bearer t0ken"})
    outbox.add_route(target)
    async with outbox.working(SETTINGS_WITH_URL):
        outbox.happen(snapshot=True, snapshot_file=outbox.snapshots.save(1, 0.0, b"jpeg"))
        await sent(outbox)
    (request,) = hook.received
    assert request.path == "/in?x=1"
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["authorization"] == "Bearer t0ken"
    Webhook(secret_of(target)).verify(request.body, request.headers)  # the reference library
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 5
    told = json.loads(request.body)
    assert told["specversion"] == "1.0"
    assert told["id"] == request.message_id
    assert told["type"] == "watchpost.bag_placed"
    assert (told["source"], told["subject"]) == ("https://cameras.example/sub", "gate")
    assert told["time"] == "2026-11-01T02:26:40.250000+00:00"
    assert told["data"]["event"] == "bag_placed"
    link = "https://cameras.example/sub/api/events/1/snapshot.jpg"
    assert told["data"]["snapshot"] == link
    assert outbox.answers() == [("sent", "200 thanks")]


SETTINGS_WITH_URL = NotifySettings(
    local_receivers=("127.0.0.1",), base_url="https://cameras.example/sub"
)


async def test_a_changed_body_does_not_verify(outbox: Outbox, hook: Receiver) -> None:
    target = outbox.add_target(url=hook.url)
    outbox.add_route(target)
    async with outbox.working():
        outbox.happen()
        await sent(outbox)
    (request,) = hook.received
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_of(target)).verify(request.body + b" ", request.headers)


async def test_after_a_rotation_both_secrets_verify_for_a_day(
    outbox: Outbox, hook: Receiver
) -> None:
    options, first = webhook.KIND.complete(webhook.KIND.read({"url": hook.url}))
    now = time.time()
    options, second = webhook._rotate(options, now)
    assert first
    assert first != second
    assert options.signing_secrets(now + OVERLAP_S - 1) == [second, first]
    assert options.signing_secrets(now + OVERLAP_S) == [second]
    outbox.add_route(outbox.add_target(**webhook_values(options)))
    async with outbox.working():
        outbox.happen()
        await sent(outbox)
    (request,) = hook.received
    assert len(request.headers["webhook-signature"].split()) == 2
    Webhook(first).verify(request.body, request.headers)
    Webhook(second).verify(request.body, request.headers)


def webhook_values(options: webhook.WebhookOptions) -> dict[str, Any]:
    from app.notify.base import plain

    return plain(options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"url": "ftp://example.com"},
        {"url": "https://"},
        {"url": "http://169.254.169.254/latest"},
        {"url": "https://example.com", "headers": {"Webhook-Id": "1"}},
        {"url": "https://example.com", "headers": {"X": "a\r\nHost: b"}},
        {"url": "https://example.com", "headers": {"a b": "c"}},
        {"url": "https://example.com", "signing_secret": "whsec_short"},
        {"url": "https://example.com", "signing_secret": base64.b64encode(bytes(32)).decode()},
        {"url": "https://example.com", "more": 1},
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    from app.errors import InvalidRequest

    with pytest.raises(InvalidRequest) as refused:
        webhook.KIND.read(options)
    assert str(refused.value).startswith("options")
    assert "whsec" not in str(refused.value).partition(":")[0]


# ── receivers that fail, hang, lie, and come back ────────────────────────────────────────────


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (answers(500, "out of order"), "500 out of order"),
        (answers(404, "no such hook"), "404 no such hook"),
        (hang, "no complete answer within 0.5 s"),
        (drip, "no complete answer within 0.5 s"),
        (lie, "not HTTP, or ended too early"),
        (talk_nonsense, "not HTTP, or ended too early"),
        (answers(302, location="/elsewhere"), "302"),
    ],
    ids=["500", "404", "hangs", "drips", "lies", "nonsense", "302"],
)
async def test_a_message_is_repeated_under_its_id_until_it_is_accepted(
    outbox: Outbox, hook: Receiver, behaviour: Behaviour, why: str
) -> None:
    outbox.add_route(outbox.add_target(url=hook.url))
    hook.behaviour = behaviour
    async with outbox.working(IMPATIENT if "0.5 s" in why else SETTINGS):
        outbox.happen()
        await until(lambda: len(hook.received) >= 2, "a second attempt")
        await until(lambda: why in (outbox.answers()[0][1] or ""), f"{why}: {outbox.answers()}")
        hook.behaviour = accept
        await sent(outbox)
    assert len(set(hook.ids)) == 1
    assert len({one.body for one in hook.received}) == 1


async def test_a_receiver_that_went_away_gets_everything_once_it_is_back(
    outbox: Outbox, hook: Receiver
) -> None:
    outbox.add_route(outbox.add_target(url=hook.url))
    hook.stop()
    async with outbox.working():
        for _ in range(5):
            outbox.happen()
        await until(lambda: "refused" in (outbox.answers()[0][1] or ""), "it was tried")
        hook.start()
        await sent(outbox, 5)
    told = [json.loads(one.body)["data"]["id"] for one in hook.received]
    assert told == [1, 2, 3, 4, 5]


async def test_messages_of_a_camera_wait_for_their_turn_until_five_failures(
    outbox: Outbox, hook: Receiver
) -> None:
    def refuse_first(handler: Handler) -> None:
        told = json.loads(hook.received[-1].body)["data"]["id"]
        handler.answer(422 if told == 1 else 200)

    hook.behaviour = refuse_first
    outbox.add_route(outbox.add_target(url=hook.url))
    async with outbox.working():
        outbox.happen("gate")
        outbox.happen("gate")
        outbox.happen("yard")
        await sent(outbox, 2)
    told = [json.loads(one.body)["data"]["id"] for one in hook.received]
    assert told.index(3) < told.index(2)  # another camera does not wait
    assert told[: told.index(2)].count(1) == 5


async def test_a_target_that_hangs_holds_up_no_other(outbox: Outbox, hook: Receiver) -> None:
    slow = NotifySettings(local_receivers=("127.0.0.1",), timeout_s=60)
    with receiver() as stuck:
        stuck.behaviour = hang
        outbox.add_route(outbox.add_target(url=stuck.url), outbox.add_target(url=hook.url))
        async with outbox.working(slow):
            for _ in range(3):
                outbox.happen()
            await until(lambda: len(hook.received) == 3, "the other target", 3.0)
            assert len(stuck.received) == 1


async def test_a_receiver_that_is_gone_for_good_is_not_tried_again(
    outbox: Outbox, hook: Receiver
) -> None:
    hook.behaviour = answers(410, "gone")
    outbox.add_route(outbox.add_target(url=hook.url))
    async with outbox.working():
        outbox.happen()
        await until(lambda: outbox.answers() == [("dead", "410 gone")])
    assert len(hook.received) == 1


async def test_what_is_dead_can_be_sent_again(outbox: Outbox, hook: Receiver) -> None:
    hook.behaviour = answers(500)
    outbox.add_route(outbox.add_target(url=hook.url))
    impatient = NotifySettings(local_receivers=("127.0.0.1",), give_up_s=1.5)
    async with outbox.working(impatient):
        outbox.happen()
        await until(lambda: outbox.answers()[0][0] == "dead")
        hook.behaviour = accept
        again = outbox.deliveries.send_again(DeliveryFilter(), time.time())
        assert again == 1
        outbox.written.set()
        await sent(outbox)
    assert len(set(hook.ids)) == 1
    assert len(hook.ids) > 2


async def test_an_erased_event_is_never_told(outbox: Outbox, hook: Receiver) -> None:
    from app.db.event_pruner import EventPruner

    outbox.add_route(outbox.add_target(url=hook.url))
    event = outbox.happen()
    EventPruner(outbox.engine, outbox.snapshots).delete_one(event.event_id)
    async with outbox.working():
        await until(lambda: outbox.answers() == [("dead", "its events were erased")])
    assert hook.received == []


async def test_answers_are_listed_without_secrets(outbox: Outbox, hook: Receiver) -> None:
    def echo(handler: Handler) -> None:
        key = handler.headers["x-key"]
        handler.answer(400, f"wrong\nkey {key}\x00 in {hook.url}/hook/{key}?token={key}")

    hook.behaviour = echo
    target = outbox.add_target(url=f"{hook.url}/s3cr3t-path", headers={"X-Key": "s3cr3t-value"})
    outbox.add_route(target)
    async with outbox.working() as dispatcher:
        outbox.happen()
        await until(lambda: outbox.answers()[0][1])
        attempt = await dispatcher.test(target)
    for text in (outbox.answers()[0][1], attempt.answer):
        assert text is not None
        assert text.startswith("400 wrong key ***")
        assert "s3cr3t" not in text
    shown = webhook.KIND.shown(webhook.KIND.read(target.options))
    assert shown["url"] == hook.url
    assert "s3cr3t" not in json.dumps(shown)
    assert "s3cr3t" not in repr(target)


async def test_secrets_are_encrypted_in_the_database(outbox: Outbox, hook: Receiver) -> None:
    outbox.add_target(url=f"{hook.url}/s3cr3t-path", headers={"X": "s3cr3t-value"})
    connection = outbox.engine.raw_connection()
    dump = "\n".join(connection.driver_connection.iterdump())  # type: ignore[union-attr]
    connection.close()
    assert "notify_targets" in dump
    assert "s3cr3t" not in dump


# ── where messages may go ────────────────────────────────────────────────────────────────────


async def test_local_receivers_need_to_be_on_the_list(outbox: Outbox, hook: Receiver) -> None:
    target = outbox.add_target(url=hook.url)
    async with outbox.working(NotifySettings()) as dispatcher:
        attempt = await dispatcher.test(target)
    assert not attempt.ok
    assert "LOCAL_RECEIVERS" in attempt.answer
    assert hook.received == []


@pytest.mark.parametrize("status", [307, 308])
async def test_redirects_are_followed_to_checked_addresses_only(
    outbox: Outbox, hook: Receiver, status: int
) -> None:
    target = outbox.add_target(url=f"{hook.url}/first")

    def redirect(handler: Handler) -> None:
        if handler.path == "/first":
            handler.answer(status, location=elsewhere)
        else:
            handler.answer(200)

    hook.behaviour = redirect
    async with outbox.working() as dispatcher:
        elsewhere = "/second"
        assert (await dispatcher.test(target)).ok
        assert [one.path for one in hook.received] == ["/first", "/second"]
        elsewhere = f"http://127.0.0.1:{hook.port}/third"
        assert (await dispatcher.test(target)).ok
        elsewhere = f"http://[::1]:{hook.port}/never"  # local, and not on the list
        refused = await dispatcher.test(target)
        assert not refused.ok
        assert "::1" in refused.answer
        elsewhere = "http://169.254.169.254/never"
        assert not (await dispatcher.test(target)).ok
        elsewhere = "/first"
        assert "too often" in (await dispatcher.test(target)).answer
    assert all(one.path != "/never" for one in hook.received)


async def test_a_name_that_changes_its_address_leads_nowhere_else(
    outbox: Outbox, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to the address that was checked; the name is not looked up again."""
    import socket

    looked_up: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host != "rebinding.example":
            return real(host, port, *args, **more)
        looked_up.append(host)
        address = "127.0.0.1" if len(looked_up) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    target = outbox.add_target(url=f"http://rebinding.example:{hook.port}/")
    async with outbox.working() as dispatcher:
        assert (await dispatcher.test(target)).ok
    assert looked_up == ["rebinding.example"]
    assert hook.received[0].headers["host"] == f"rebinding.example:{hook.port}"


# ── the outbox keeps its limits ──────────────────────────────────────────────────────────────


async def test_the_oldest_of_too_many_are_dropped_with_a_reason(outbox: Outbox) -> None:
    target = outbox.add_target(url="https://receiver.invalid/")
    outbox.add_route(target)
    for _ in range(7):
        outbox.happen()
    assert outbox.deliveries.tidy(time.time(), 60.0, 5) == 2
    states = [state for state, _ in outbox.answers()]
    assert states == ["dead"] * 2 + ["waiting"] * 5
    assert "too many" in (outbox.answers()[0][1] or "")
    assert outbox.deliveries.tidy(time.time() + 61, 60.0, 5) == 0
    left = outbox.deliveries.page(DeliveryFilter(), 100)
    assert {one.state for one in left} == {DeliveryState.WAITING}
