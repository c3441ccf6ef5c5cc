"""Messengers: Apprise in a process of its own, within limits, against a real receiver."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from fixtures import ROOT, clean_environment
from support.receiver import Receiver, answers, hang

from app import child_process
from app.analytics.bags.item import OBJECT as UNKNOWN_OBJECT
from app.analytics.rules import event_types
from app.config import NotifySettings
from app.errors import InvalidRequest
from app.notify.apprise_schemes import SCHEMES
from app.notify.base import Message
from app.notify.targets import apprise
from app.notify.texts import LANGUAGES, WORDS, Language, text_of
from app.types import LABELS

from .conftest import EVENT, Outbox, until

pytestmark = pytest.mark.anyio

JPEG = b"\xff\xd8\xff a blurred frame"


def ntfy(hook: Receiver) -> str:
    return f"ntfy://someone:s3cr3t-w0rd@127.0.0.1:{hook.port}/my-t0pic"


async def test_an_event_arrives_with_its_blurred_snapshot(outbox: Outbox, hook: Receiver) -> None:
    target = outbox.add_target("apprise", url=ntfy(hook), language="ru", timezone="Asia/Seoul")
    outbox.add_route(target)
    name = outbox.snapshots.save(1, 0.0, JPEG)
    async with outbox.working():
        outbox.happen(snapshot=True, snapshot_file=name)
        await until(lambda: outbox.answers()[0][0] == "sent", "", 30)
    said = "\n".join(str(one.headers) + str(one.body) for one in hook.received)
    assert any(JPEG in one.body for one in hook.received), hook.received
    assert "2026-11-01" in said or any("2026-11-01" in one.path for one in hook.received)
    assert "ntfy" in (outbox.answers()[0][1] or "").lower()


async def test_the_log_is_the_answer_and_has_no_secrets(outbox: Outbox, hook: Receiver) -> None:
    hook.behaviour = answers(403, '{"error": "my-t0pic is not for s3cr3t-w0rd"}')
    target = outbox.add_target("apprise", url=ntfy(hook))
    async with outbox.working() as dispatcher:
        refused = await dispatcher.test(target)
        hook.stop()
        gone = await dispatcher.test(target)
    assert not refused.ok
    assert "ntfy" in refused.answer.lower()
    assert "403" in refused.answer or "Forbidden" in refused.answer
    assert not gone.ok
    for answer in (refused.answer, gone.answer):
        assert "s3cr3t" not in answer
        assert "t0pic" not in answer
    shown = apprise.KIND.shown(apprise.KIND.read(target.options))
    assert shown["url"] == "ntfy://***"


async def test_a_local_address_needs_to_be_on_the_list(outbox: Outbox, hook: Receiver) -> None:
    """Apprise connects by itself, so the connection itself is checked."""
    target = outbox.add_target("apprise", url=ntfy(hook))
    async with outbox.working(NotifySettings()) as dispatcher:
        assert not (await dispatcher.test(target)).ok
    assert hook.received == []


async def test_a_messenger_that_hangs_is_ended_with_its_process(
    outbox: Outbox, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apprise, "TIMEOUT_S", 6.0)
    hook.behaviour = hang
    target = outbox.add_target("apprise", url=f"{ntfy(hook)}?rto=60&cto=60")
    async with outbox.working() as dispatcher:
        attempt = await dispatcher.test(target)
    assert not attempt.ok
    assert attempt.seconds < 15
    await asyncio.sleep(0.1)
    mine = [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
    assert not [one for one in mine if "apprise_child" in one]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "syslog://",
        "rsyslog://127.0.0.1",
        "dbus://",
        "qt://",
        "gnome://",
        "windows://",
        "macosx://",
        "kodi://127.0.0.1",
        "json://127.0.0.1",
        "xml://127.0.0.1",
        "form://127.0.0.1",
        "apprise://127.0.0.1/token",
        "mqtt://127.0.0.1",
        "vapid://a@b.example/c@d.example",
        "https://example.com",
        "tgram",
        "tgram://a b",
        "tgram://" + "a" * 5000,
    ],
)
def test_schemes_that_reach_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        apprise.KIND.read({"url": url})
    assert "passwd" not in str(refused.value)


def test_the_schemes_are_of_the_installed_apprise() -> None:
    code = (
        "import apprise, json; print(json.dumps([p for s in apprise.Apprise().details()['schemas']"
        " for p in [*(s['protocols'] or ()), *(s['secure_protocols'] or ())]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    known = set(json.loads(done.stdout))
    assert SCHEMES - known == set()
    assert len(SCHEMES) > 100


# ── the limits of the process ────────────────────────────────────────────────────────────────

TRIES = {
    "a local address": "socket.create_connection(('127.0.0.1', PORT), 2)",
    "link-local": "socket.create_connection(('169.254.169.254', 80), 2)",
    "a private address": "socket.create_connection(('10.0.0.1', 80), 2)",
    "a name": "socket.socket().connect(('localhost', PORT))",
    "a socket of this machine": "socket.socket(socket.AF_UNIX).connect('/run/dbus/socket')",
    "a datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "listening": "socket.socket().bind(('127.0.0.1', 0))",
    "a program": "subprocess.run(['true'])",
    "a shell": "os.system('true')",
    "reading a file": "open('/etc/passwd')",
    "reading a secret": "open(SECRET)",
    "writing a file": "open(SECRET + '.new', 'w')",
    "writing Python's files": "open(os.path.join(sys.prefix, 'new'), 'w')",
}


@pytest.mark.parametrize("what", TRIES)
def test_the_process_is_held_to_its_limits(what: str, tmp_path: Path, hook: Receiver) -> None:
    secret = tmp_path / "secret.key"
    secret.write_text("s3cr3t")
    code = f"""
import os, socket, subprocess, sys
from pathlib import Path
from app.notify.apprise_child import Limits
PORT, SECRET = {hook.port}, {str(secret)!r}
Path({str(tmp_path / "own")!r}).mkdir()
def attempt():
    {TRIES[what]}
if sys.argv[1:]:
    sys.addaudithook(Limits([], Path({str(tmp_path / "own")!r})))
try:
    attempt()
except PermissionError as error:
    print("refused:", error)
except OSError as error:
    print("tried:", error)
else:
    print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "limited"],
        cwd=ROOT,
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("refused:"), done.stdout
    assert "s3cr3t" not in done.stdout
    assert hook.received == []


def test_what_is_needed_is_allowed(tmp_path: Path, hook: Receiver) -> None:
    code = f"""
import socket, sys
from pathlib import Path
from app.notify.apprise_child import Limits
sys.addaudithook(Limits(["127.0.0.1"], Path({str(tmp_path)!r})))
socket.create_connection(("127.0.0.1", {hook.port}), 2).close()
open({str(tmp_path / "snapshot.jpg")!r}).close()
import colorsys, certifi
open(certifi.where()).close()
"""
    (tmp_path / "snapshot.jpg").touch()
    environment = clean_environment(tmp_path)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def test_the_process_gets_neither_settings_nor_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHPOST_SECRET_KEY", "s3cr3t")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    environment = child_process.environment()
    assert environment["PATH"] == os.environ["PATH"]
    assert not [name for name in environment if "WATCHPOST" in name or "proxy" in name.lower()]


# ── texts ────────────────────────────────────────────────────────────────────────────────────


def message(*details: dict[str, Any], kind: str = "zone_entered") -> Message:
    from dataclasses import replace

    events = [replace(EVENT, type=kind, details=one) for one in details]
    return Message("msg_1", "gate", "Front gate", 0.0, events)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_event_and_label_has_words_in_every_language(language: Language) -> None:
    words = WORDS[language]
    assert set(words.events) == set(event_types())
    assert set(words.labels) == {*LABELS, "bag", UNKNOWN_OBJECT}
    assert set(words.more) == set(WORDS["en"].more)


def test_texts_say_what_happened_where_and_when() -> None:
    from zoneinfo import ZoneInfo

    seoul = ZoneInfo("Asia/Seoul")
    one = message({"label": "car", "zone": "Dock"})
    text = text_of(one, "en", seoul)
    assert text.title == "Front gate: Entered a zone"
    assert text.body == "car · Dock · 2026-11-01 11:26:40"
    assert text_of(one, "ko", seoul).body.startswith("승용차 · Dock")
    many = message(*[{"label": "person"}] * 25)
    text = text_of(many, "ru", seoul)
    assert text.title == "Front gate: События: 25"
    assert text.body.count("\n") == 20
    plate = message({"plate_number": "A123BC77"}, kind="plate_seen")
    assert "A123BC77" in text_of(plate, "en", None).body
    assert "test" in text_of(message(), "en", None).body
