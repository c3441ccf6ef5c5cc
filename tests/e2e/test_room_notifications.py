"""The views of notifications and the system in a real browser, with a real server and receivers."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, Page, expect
from standardwebhooks import Webhook
from support import browser as chrome
from support.poll import eventually
from support.receiver import Receiver, answers, receiver
from support.room import OpenPage, pages
from support.watchpost import Server

from app.notify.vapid import base64url

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())
SLOW_MS = 60_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, near = tmp_path_factory.mktemp("room"), '["127.0.0.1"]'
    with Server(folder, notify__local_receivers=near, notify__give_up_s=0.01) as server:
        yield server


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[OpenPage]:
    """Opens a view; errors in the console fail the test."""
    with pages(browser, f"http://localhost:{server.port}", SLOW_MS, locale="en-US") as opener:
        yield opener


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


@pytest.fixture(autouse=True)
def nothing_left(server: Server) -> Iterator[None]:
    yield
    for kind in ("target", "route"):
        for made in server.http.get(f"/api/{kind}s").json():
            server.http.delete(f"/api/{kind}s/{made[f'{kind}_id']}")


# ── notifications ────────────────────────────────────────────────────────────────────────────


def test_a_webhook_is_added_tested_routed_and_sent_again(
    open_page: OpenPage, server: Server, hook: Receiver
) -> None:
    page = open_page("#/notifications")
    page.get_by_role("button", name="Add target").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Webhook", exact=True).click()
    dialog.get_by_label("Name").fill("Alarm centre")
    dialog.get_by_label("URL").fill(f"{hook.url}/in?key=hidden-key")
    dialog.get_by_role("button", name="Add").click()
    secret = page.locator(".notify-secret").inner_text()
    assert secret.startswith("whsec_")
    page.get_by_role("button", name="I have stored it").click()
    expect(page.get_by_text(hook.url, exact=True)).to_be_visible()
    assert "hidden-key" not in page.content()

    row = page.get_by_role("listitem").filter(has_text="Alarm centre")
    row.get_by_role("button", name="Test").click()
    expect(row.get_by_role("status")).to_contain_text("200 thanks")
    Webhook(secret).verify(hook.received[-1].body, hook.received[-1].headers)
    hook.behaviour = answers(403, "this key may not post")
    row.get_by_role("button", name="Test").click()
    expect(row.get_by_role("status")).to_contain_text("403 this key may not post")

    row.get_by_role("button", name="Send all events").click()
    expect(row.get_by_text("No route leads here")).to_be_hidden()
    page.get_by_role("tab", name="Routes").click()
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("dialog").get_by_text("Bag abandoned").click()
    page.get_by_role("dialog").get_by_role("button", name="Add hours").click()
    page.get_by_role("dialog").get_by_label("Most a minute").fill("6")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Bag abandoned · 22:00–06:00 · at most 6 a minute")).to_be_visible()
    (route,) = server.http.get("/api/routes").json()
    assert (route["types"], route["max_per_minute"]) == (["bag_abandoned"], 6)
    assert (route["hours"][0]["from"][:5], route["timezone"]) == ("22:00", "UTC")

    dead_delivery(server, route)
    page.get_by_role("tab", name="Deliveries").click()
    delivery = page.get_by_role("listitem").filter(has_text="→ Alarm centre")
    expect(delivery).to_contain_text("Dead")
    hook.behaviour = answers(200, "thanks")
    before = len(hook.received)
    page.get_by_role("button", name="Send again", exact=True).click()
    eventually(lambda: len(hook.received), lambda count: count > before, 20, "it is sent again")
    expect(delivery).to_contain_text("Sent")


def dead_delivery(server: Server, route: dict[str, Any]) -> None:
    """A message that was given up, as the outbox keeps it, about an event that is stored."""
    with sqlite3.connect(server.data / "watchpost.db", timeout=10) as rows:
        rows.execute(
            "INSERT INTO events (event_id, stream_id, type, ts, details) "
            "VALUES (1, 'gate', 'bag_abandoned', 1793500000, '{}')"
        )
        rows.execute(
            "INSERT INTO notify_deliveries (message_id, target_id, route_id, stream_id, event_ids, "
            "state, failures, created_ts, due_ts, finished_ts, answer) VALUES "
            "('msg_1', ?, ?, 'gate', '[1]', 'dead', 5, 1793500000, 1793500000, 1793500000, '500')",
            (route["targets"][0], route["route_id"]),
        )


# ── this device ──────────────────────────────────────────────────────────────────────────────

SUBSCRIBED = """
Object.defineProperty(Notification, "permission", { get: () => "granted" });
let mine = null;
PushManager.prototype.getSubscription = async () => mine;
PushManager.prototype.subscribe = async (options) => {
  window.asked = options;
  mine = { unsubscribe: async () => { mine = null; return true; }, toJSON: () => (SUBSCRIPTION) };
  return mine;
};
"""
"""A push service on this machine instead of that of the browser's maker, which is not in reach."""


def test_this_device_subscribes_and_is_told(
    open_page: OpenPage, server: Server, hook: Receiver
) -> None:
    key, auth = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    subscription = {
        "endpoint": f"{hook.url}/send/1",
        "keys": {"p256dh": base64url(point), "auth": base64url(auth)},
    }
    hook.behaviour = answers(201)
    script = SUBSCRIBED.replace("SUBSCRIPTION", json.dumps(subscription))
    page = open_page("#/notifications", script, permissions=["notifications"])
    page.get_by_label("Name of this device").fill("My phone")
    page.get_by_role("button", name="Switch on").click()
    card = page.locator(".phone")
    expect(card.get_by_text("My phone")).to_be_visible()
    asked = page.evaluate("window.asked")
    assert asked["userVisibleOnly"]
    public = server.http.get("/api/targets/web-push-key").json()["public_key"]
    assert asked["applicationServerKey"] == public
    (route,) = server.http.get("/api/routes").json()
    assert route["name"] == "My phone"

    card.get_by_role("button", name="Test").click()
    expect(card.get_by_role("status")).to_contain_text("Accepted")
    body = hook.received[-1].body
    told = http_ece.decrypt(body, private_key=key, auth_secret=auth, version="aes128gcm").decode()
    assert shown_by_the_service_worker(page, server, told) == [
        ["Watchpost", "This is a test message of Watchpost.", json.loads(told)["tag"], "#/events"]
    ]
    card.get_by_role("button", name="Switch off").click()
    expect(card.get_by_role("button", name="Switch on")).to_be_visible()
    assert server.http.get("/api/targets").json() == []


SHOWN = """async () => {
  const registration = await navigator.serviceWorker.ready;
  for (let tries = 0; tries < 100; tries++) {
    const found = await registration.getNotifications();
    if (found.length) return found.map((one) => [one.title, one.body, one.tag, one.data.place]);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return [];
}"""


def shown_by_the_service_worker(page: Page, server: Server, message: str) -> list[list[str]]:
    """The notifications after a push message, which the browser hands to the service worker."""
    session = page.context.new_cdp_session(page)
    registrations: list[dict[str, Any]] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    page.wait_for_function("navigator.serviceWorker.ready")
    deadline = time.monotonic() + SLOW_MS / 1000
    while not registrations:
        assert time.monotonic() < deadline, "the browser knows no service worker"
        page.wait_for_timeout(50)
    session.send(
        "ServiceWorker.deliverPushMessage",
        {
            "origin": f"http://localhost:{server.port}/",
            "registrationId": registrations[0]["registrationId"],
            "data": message,
        },
    )
    found: list[list[str]] = page.evaluate(SHOWN)
    return found


def test_without_https_the_page_says_what_is_needed(browser: Browser, server: Server) -> None:
    token = (server.data / "token").read_text().strip()
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.goto(f"http://{chrome.OUTSIDE}:{server.port}/?token={token}#/notifications")
        expect(page.locator(".phone")).to_contain_text("need HTTPS")


# ── the system ───────────────────────────────────────────────────────────────────────────────


def test_the_system_shows_settings_and_downloads_a_backup(
    open_page: OpenPage, server: Server, tmp_path: Path
) -> None:
    page = open_page("#/system")
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download a backup").click()
    file = tmp_path / "backup.db"
    download.value.save_as(file)
    with sqlite3.connect(file) as rows:
        assert rows.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert rows.execute("SELECT count(*) FROM notify_targets").fetchone() == (0,)

    page.get_by_role("tab", name="Settings").click()
    page.get_by_label("Keep clips, days").fill("3")
    expect(page.get_by_text("WATCHPOST_RECORDING__EVENT_DAYS=3")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Keep clips, days")).to_have_value("3")
    eventually(
        lambda: {
            one["name"]: one["value"] for one in server.http.get("/api/system/settings").json()
        },
        lambda settings: settings["recording.event_days"] == 3,
        20,
        "the setting is kept",
    )

    server.http.post("/api/targets/999/test")
    page.get_by_role("tab", name="Log").click()
    expect(page.get_by_text("at most 200 different messages")).to_be_visible()
