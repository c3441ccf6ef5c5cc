"""SIGKILL while sending loses nothing: a real process is killed at each step, and started again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures import ROOT, clean_environment, eventually
from support.receiver import Handler, Receiver, accept, hang, receiver

from app.db.deliveries import DeliveryRepository
from app.db.engine import open_database
from app.notifications import DeliveryFilter, DeliveryState

PROGRAM = """
import asyncio, os, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from notify.conftest import Outbox
from app.db import events
from app.db.deliveries import DeliveryRepository
from app.notify.targets.webhook import WebhookSender

step, folder, url = sys.argv[1:]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    outbox = Outbox(Path(folder))
    if not outbox.targets.all():
        outbox.add_route(outbox.add_target(url=url))
    if step == "stored with half of the outbox":
        real = events.enqueue
        events.enqueue = lambda *args: (real(*args), die())
    if step == "before it is sent":
        WebhookSender.send = die
    if step == "accepted, but not marked":
        DeliveryRepository.sent = die
    if step == "failed, but not marked":
        DeliveryRepository.failed = die
    async with outbox.working():
        if step != "again":
            for _ in range(3):
                outbox.happen()
            print("written", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def start(step: str, folder: Path, url: str) -> subprocess.Popen[str]:
    code = PROGRAM.format(root=str(ROOT), tests=str(ROOT / "tests"))
    return subprocess.Popen(
        [sys.executable, "-c", code, step, str(folder), url],
        env=clean_environment(folder),
        stdout=subprocess.PIPE,
        text=True,
    )


def listed(folder: Path) -> dict[str, DeliveryState]:
    engine = open_database(f"sqlite:///{folder / 'watchpost.db'}")
    try:
        found = DeliveryRepository(engine).page(DeliveryFilter(), 100)
        return {one.message_id: one.state for one in found}
    finally:
        engine.dispose()


def all_sent_after_another_start(folder: Path, hook: Receiver, count: int) -> dict[str, int]:
    """Start again until everything is sent; returns how often each message arrived."""
    process = start("again", folder, hook.url)
    try:
        eventually(
            lambda: list(listed(folder).values()) == [DeliveryState.SENT] * count, "all are sent"
        )
    finally:
        process.kill()
        process.communicate()
    return {message_id: hook.ids.count(message_id) for message_id in listed(folder)}


def test_killed_between_event_and_outbox_leaves_neither(tmp_path: Path) -> None:
    """The event and its message are of one transaction."""
    with receiver() as hook:
        process = start("stored with half of the outbox", tmp_path, hook.url)
        assert process.wait(60) == -signal.SIGKILL
        process.communicate()
        assert listed(tmp_path) == {}
        engine = open_database(f"sqlite:///{tmp_path / 'watchpost.db'}")
        with engine.connect() as connection:
            count = connection.exec_driver_sql("SELECT count(*) FROM events").scalar_one()
        engine.dispose()
        assert count == 0
        assert hook.received == []


def test_killed_before_sending_sends_each_once(tmp_path: Path) -> None:
    with receiver() as hook:
        process = start("before it is sent", tmp_path, hook.url)
        assert process.wait(60) == -signal.SIGKILL
        process.communicate()
        assert hook.received == []
        count = len(listed(tmp_path))
        assert count >= 1
        arrived = all_sent_after_another_start(tmp_path, hook, count)
        assert set(arrived.values()) == {1}


def test_killed_while_the_receiver_has_not_answered(tmp_path: Path) -> None:
    with receiver() as hook:
        hook.behaviour = hang
        process = start("while it is sent", tmp_path, hook.url)
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        eventually(lambda: hook.received, "the request has arrived")
        process.kill()
        process.communicate()
        first = hook.ids[0]
        hook.behaviour = accept
        arrived = all_sent_after_another_start(tmp_path, hook, 3)
        assert arrived[first] >= 2  # again, under the same id
        assert len(arrived) == 3


@pytest.mark.parametrize("accepts", [True, False], ids=["accepted", "failed"])
def test_killed_before_the_result_is_kept(tmp_path: Path, accepts: bool) -> None:
    with receiver() as hook:
        if not accepts:
            hook.behaviour = lambda handler: handler.answer(500)
        step = "accepted, but not marked" if accepts else "failed, but not marked"
        process = start(step, tmp_path, hook.url)
        assert process.wait(60) == -signal.SIGKILL
        process.communicate()
        first = hook.ids[0]
        hook.behaviour = accept
        count = len(listed(tmp_path))
        arrived = all_sent_after_another_start(tmp_path, hook, count)
        assert arrived.pop(first) == 2  # at least once: a receiver drops it by its id
        assert set(arrived.values()) <= {1}


def slowly(handler: Handler) -> None:
    time.sleep(0.05)
    accept(handler)


def test_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    with receiver() as hook:
        hook.behaviour = slowly
        process = start("while it is sent", tmp_path, hook.url)
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        for pause_s in (0.02, 0.07, 0.11):
            time.sleep(pause_s)
            process.kill()
            process.communicate()
            process = start("again", tmp_path, hook.url)
            eventually(lambda: len(hook.received) > 0, "something arrived")
        process.kill()
        process.communicate()
        arrived = all_sent_after_another_start(tmp_path, hook, 3)
        assert min(arrived.values()) >= 1
