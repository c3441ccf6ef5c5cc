"""Leases in both databases: one holder at a time, and a number that grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.engine import open_database
from app.db.leases import LeaseRepository, absolute, open_leases
from app.errors import StoreError
from app.leases import HeldBy, Taken

LEASE_S = 0.4
LONG_S = 30.0


@pytest.fixture
def leases(database_url: str) -> Iterator[LeaseRepository]:
    open_database(database_url).dispose()
    repository = open_leases(database_url)
    for session in ("a", "b"):
        repository.begin(session, f"node {session}", LEASE_S)
    yield repository
    repository.close()


def test_only_one_session_has_a_lease_and_its_number_grows(leases: LeaseRepository) -> None:
    assert leases.renew("a", LONG_S) and leases.renew("b", LONG_S)
    assert leases.take("a", "x") == Taken(1)
    assert leases.take("a", "x") == Taken(1)
    held = leases.take("b", "x")
    assert isinstance(held, HeldBy) and held.holder == "node a" and 0 < held.left_s <= LONG_S
    leases.release("a", "x", 1)
    assert leases.take("b", "x") == Taken(2)
    leases.release("b", "x", 1)  # an old call that arrives late
    assert isinstance(leases.take("a", "x"), HeldBy)


def test_a_session_that_was_not_renewed_is_over_for_good(leases: LeaseRepository) -> None:
    assert leases.take("a", "x") == Taken(1)
    while leases.renew("b", LONG_S) and isinstance(leases.take("b", "x"), HeldBy):
        time.sleep(0.02)
    assert not leases.renew("a", LEASE_S)
    assert leases.knows("a") and not leases.knows("c")
    leases.begin("c", "node a", LEASE_S)
    leases.end("b")
    assert leases.take("c", "x", fencing=1) == HeldBy(None, 0.0)  # somebody had it since
    assert leases.take("c", "x", fencing=2) == Taken(3)


def test_of_many_at_once_one_gets_it(leases: LeaseRepository) -> None:
    sessions = [f"many-{n}" for n in range(8)]
    for session in sessions:
        leases.begin(session, session, 30.0)
    found: list[Taken | HeldBy] = []
    threads = [
        threading.Thread(target=lambda s=session: found.append(leases.take(s, "y")))
        for session in sessions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, Taken) for one in found) == 1
    assert sum(isinstance(one, HeldBy) for one in found) == len(sessions) - 1


def test_the_url_for_other_processes_has_the_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("sqlite:///some.db") == f"sqlite:///{tmp_path / 'some.db'}"
    url = "postgresql+psycopg://me:hidden-word@db/watchpost"
    assert absolute(url) == url


def test_a_missing_file_is_not_made(tmp_path: object) -> None:
    with pytest.raises(StoreError, match="PostgreSQL"):
        open_leases(f"sqlite:///{tmp_path}/none.db")
