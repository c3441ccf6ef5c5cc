"""The thread that keeps leases, with a database that hangs or cannot be opened."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from support.rtsp import wait_until

from app.cluster.lease_keeper import LeaseKeeper
from app.errors import StoreError
from app.leases import HeldBy, Taken
from app.pipeline.sinks.publisher import lease_clock

LEASE_S, PATIENCE_S = 0.6, 30.0


class Store:
    """A ``LeaseStore`` in memory; ``hangs`` holds up each renewal."""

    def __init__(self, hangs: threading.Event | None = None) -> None:
        self.hangs = hangs
        self.begun: list[str] = []
        self.renewals = 0
        self.ended: list[str] = []
        self.closed = False

    def begin(self, session: str, holder: str, lease_s: float) -> None:
        self.begun.append(session)

    def renew(self, session: str, lease_s: float) -> bool:
        if self.hangs is not None:
            self.hangs.wait(PATIENCE_S)
        self.renewals += 1
        return True

    def end(self, session: str) -> None:
        self.ended.append(session)

    def knows(self, session: str) -> bool:
        return session in self.begun

    def take(self, session: str, lease: str, fencing: int | None = None) -> Taken | HeldBy:
        return Taken(1 if fencing is None else fencing + 1)

    def release(self, session: str, lease: str, fencing: int) -> None: ...

    def close(self) -> None:
        self.closed = True


def opening(*stores: Store | StoreError) -> Callable[[], Store]:
    """Opens one after the other; the last one again and again."""
    waiting = list(stores)

    def open_store() -> Store:
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(found, StoreError):
            raise found
        return found

    return open_store


def test_leases_are_kept_again_after_a_database_that_hung_and_could_not_be_opened() -> None:
    hangs = threading.Event()
    first, second = Store(hangs), Store()
    failure = StoreError(reason="no such file")
    keeper = LeaseKeeper("me", LEASE_S, opening(first, failure, second))
    keeper.open()
    assert keeper.take("output") is None
    try:
        wait_until(lambda: second.renewals > 1, PATIENCE_S, "renewals")
        wait_until(lambda: keeper.until("output") > lease_clock(), PATIENCE_S, "the lease")
    finally:
        hangs.set()
        keeper.close()
    assert second.ended == first.begun


def test_a_renewal_that_outlasts_its_keeper_begins_no_session() -> None:
    store = Store()
    keeper = LeaseKeeper("me", LEASE_S, opening(store))
    keeper.open()
    assert keeper.take("output") is None
    keeper.close()
    assert store.ended == store.begun
    keeper._attempt(store)  # as one that has just begun
    assert len(store.begun) == 1
    assert keeper.session is None


def test_a_renewal_that_is_in_progress_at_the_end_takes_nothing() -> None:
    store = Store()
    keeper = LeaseKeeper("me", LEASE_S, opening(store))
    keeper.open()
    assert keeper.take("output") is None
    keeper.keep_only([], in_use=lambda _: False)
    assert keeper.take("other") is None
    keeper.close()
    keeper._take_again(store)
    keeper._give_back(store)
    assert keeper.until("other") == 0


def test_leases_are_kept_over_another_connection() -> None:
    first, second = Store(), Store()
    keeper = LeaseKeeper("me", LEASE_S, opening(first))
    keeper.open()
    assert keeper.take("output") is None
    session = keeper.session
    keeper.use(opening(second))
    assert first.closed
    before = first.renewals
    try:
        wait_until(lambda: second.renewals > 2, PATIENCE_S, "renewals")
        assert first.renewals <= before + 1  # one may have been in progress
        assert keeper.session == session
        assert keeper.until("output") > lease_clock()
    finally:
        keeper.close()
    assert second.ended == [session]


def test_a_connection_that_cannot_be_opened_replaces_none() -> None:
    store = Store()
    keeper = LeaseKeeper("me", LEASE_S, opening(store))
    keeper.open()
    with pytest.raises(StoreError):
        keeper.use(opening(StoreError(reason="no such file")))
    try:
        before = store.renewals
        wait_until(lambda: store.renewals > before, PATIENCE_S, "renewals")
    finally:
        keeper.close()
