"""Two processes that would publish to one output: never both, whatever happens to one of them."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures import ROOT
from support.cut import Cut
from support.postgres import Postgres, programs
from support.rtsp import RtspServer, wait_until

from app.db.engine import open_database

LEASE_S = 3.0
PATIENCE_S = 60.0


class WouldPublish:
    """A ``support.lease_publisher``, and the words that it said."""

    def __init__(self, name: str, database_url: str, output: str) -> None:
        self.words: list[str] = []
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "support.lease_publisher"),
                *(name, database_url, output, str(LEASE_S)),
            ],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.words.extend(line.strip() for line in lines)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join()

    def wait(self, word: str) -> None:
        """Wait until the last word is this one."""
        wait_until(lambda: self.words[-1:] == [word], PATIENCE_S, f"{word}, after {self.words}")


@contextlib.contextmanager
def two(first_url: str, second_url: str, output: str) -> Iterator[tuple[WouldPublish, ...]]:
    """One that publishes, and another one that waits until it may."""
    first = WouldPublish("first", first_url, output)
    both = [first]
    try:
        first.wait("publishes")
        both.append(WouldPublish("second", second_url, output))
        both[1].wait("held")
        yield tuple(both)
    finally:
        for one in both:
            one.end()


def publications(relay: RtspServer, path: str) -> list[str]:
    """What the server says of a path: publishers in their order."""
    said = [line for line in relay.log().splitlines() if line.endswith(f"/{path}")]
    return [line.partition(" ")[0] for line in said]


def one_after_the_other(relay: RtspServer, path: str) -> None:
    """There was a publisher, its session ended, and then there was another one."""
    wait_until(lambda: len(publications(relay, path)) > 2, PATIENCE_S, "the second publication")
    assert publications(relay, path)[:3] == ["published", "unpublished", "published"]
    assert "replaced" not in publications(relay, path)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with Postgres() as server:
        open_database(server.url).dispose()
        yield server


def test_who_is_cut_off_from_the_database_stops_before_another_begins(
    postgres: Postgres, relay: RtspServer
) -> None:
    relay.start()
    with Cut(postgres.port) as proxy:
        near = postgres.url.replace(str(postgres.port), str(proxy.port))
        with two(near, postgres.url, relay.url("cut")) as (first, second):
            proxy.cut()
            second.wait("publishes")
            one_after_the_other(relay, "cut")
            first.wait("no_lease")
            proxy.heal()
            first.wait("lost")
            assert second.words[-1] == "publishes"
    one_after_the_other(relay, "cut")


@pytest.mark.parametrize("stop", [signal.SIGSTOP, signal.SIGKILL])
def test_who_hangs_or_dies_stops_before_another_begins(
    tmp_path: Path, relay: RtspServer, stop: signal.Signals
) -> None:
    relay.start()
    url, path = f"sqlite:///{tmp_path / 'watchpost.db'}", f"stop-{stop}"
    open_database(url).dispose()
    with two(url, url, relay.url(path)) as (first, second):
        first.process.send_signal(stop)
        second.wait("publishes")
        one_after_the_other(relay, path)
        if stop is signal.SIGSTOP:
            first.process.send_signal(signal.SIGCONT)
            first.wait("lost")
            one_after_the_other(relay, path)


def test_a_database_that_answers_again_gives_the_output_back(
    tmp_path: Path, relay: RtspServer
) -> None:
    relay.start()
    file = tmp_path / "watchpost.db"
    url = f"sqlite:///{file}"
    open_database(url).dispose()
    only = WouldPublish("only", url, relay.url("back"))
    try:
        only.wait("publishes")
        with contextlib.closing(sqlite3.connect(file)) as another:
            another.execute("BEGIN EXCLUSIVE")
            only.wait("no_lease")
            relay.wait_gone("back")
        only.wait("publishes")
    finally:
        only.end()
