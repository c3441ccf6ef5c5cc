"""Keeps the leases of one process: renews its session in a thread of its own.

With a lease of 6 s, the session is renewed every 2 s. What it allows ends 5 s after the last
successful renewal began, on this machine's clock, and nobody else may have it for 6 s after the
database wrote that renewal, on the database's clock. A database that does not answer, or is out
of reach, ends it the same way.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterable

from app.errors import StoreError
from app.leases import HeldBy, LeaseStore, Taken
from app.pipeline.sinks.publisher import lease_clock

logger = logging.getLogger(__name__)

RENEWALS = 3
"""Of a session, in the time that one renewal is good for."""
MARGIN = 1 / 6
"""Of that time, at its end, in which nobody may use a lease: clocks do not run alike."""
NOT_RENEWED = "this machine cannot renew its leases there"


class LeaseKeeper:
    """The session of this process, and the leases that it has. Safe to use from any thread.

    Args:
        holder: says to people whose the leases are.
        lease_s: how long a renewal is good for.
        open_store: connects to the database, again if a call does not come back.
    """

    def __init__(self, holder: str, lease_s: float, open_store: Callable[[], LeaseStore]) -> None:
        self._holder = holder
        self._lease_s = lease_s
        self._open_store = open_store
        self._store = open_store()
        self._lock = threading.Lock()
        self._session: str | None = None
        self._until = 0.0
        self._held: set[str] = set()
        self._numbers: dict[str, int] = {}  # of leases to have, as they were last had
        self._leaving: dict[str, tuple[int, float]] = {}  # number, and when it can be given back
        self._failing = False
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)

    def open(self) -> None:
        """Begin a session and keep it. Raises StoreError if the database does not answer."""
        self._renew(self._store)
        self._thread.start()

    def close(self) -> None:
        """Give everything back, if the database answers."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(self._lease_s)
        with self._lock:
            session, self._session, self._held = self._session, None, set()
        if session is not None:
            try:
                self._store.end(session)
            except StoreError as error:
                logger.warning("leases end by themselves: %s", error)
        self._store.close()

    def use(self, open_store: Callable[[], LeaseStore]) -> None:
        """Connect to the same database in another way from now on. Raises StoreError."""
        old, self._store = self._store, open_store()
        self._open_store = open_store
        old.close()

    # ── for those who need a lease ───────────────────────────────────────────────────────

    @property
    def session(self) -> str | None:
        """The session in progress."""
        return self._session

    def until(self, lease: str) -> float:
        """Until when this process has a lease, on ``lease_clock``; 0 if it has not."""
        with self._lock:
            return self._until if lease in self._held else 0.0

    def number(self, lease: str) -> int | None:
        """The fencing number of a lease that this process had last; None if another took it."""
        return self._numbers.get(lease)

    def take(self, lease: str) -> HeldBy | None:
        """Take a lease and keep it; returns who has it, if another one has. Raises StoreError."""
        with self._lock:
            session, leaving = self._session, self._leaving.get(lease)
        if leaving is not None:  # its last user may not have ended
            return HeldBy(self._holder, max(0.0, leaving[1] - lease_clock()))
        if session is None or lease_clock() >= self._until:
            raise StoreError(reason=NOT_RENEWED)
        found = self._store.take(session, lease)
        if isinstance(found, HeldBy):
            return found
        self._has(session, lease, found)
        return None

    def keep_only(self, leases: Iterable[str], in_use: Callable[[str], bool]) -> None:
        """Give all others back: at once, or when they end here if something still uses them."""
        with self._lock:
            for lease in set(self._numbers) - set(leases):
                free_at = self._until if in_use(lease) else 0.0
                self._held.discard(lease)
                self._leaving[lease] = self._numbers.pop(lease), free_at
        if self._leaving:
            self._wake.set()

    # ── renewing ─────────────────────────────────────────────────────────────────────────

    def _keep(self) -> None:
        while True:
            self._wake.wait(self._lease_s / RENEWALS)
            self._wake.clear()
            if self._closed:
                return
            attempt = threading.Thread(
                target=self._attempt, args=(self._store,), name="lease-renewal", daemon=True
            )
            attempt.start()
            attempt.join(self._lease_s / 2)
            if attempt.is_alive():
                self._note_failure("it does not answer")
                try:
                    self._store = self._open_store()
                except StoreError as error:  # the next round tries again
                    self._note_failure(str(error))

    def _attempt(self, store: LeaseStore) -> None:
        try:
            if self._closed:  # a session that begins now would outlast this process
                return
            self._renew(store)
            self._take_again(store)
            self._give_back(store)
        except StoreError as error:
            self._note_failure(str(error))
        else:
            if self._failing:
                logger.info("leases are renewed again")
            self._failing = False
        finally:
            if store is not self._store:  # it took too long, and was replaced
                store.close()

    def _note_failure(self, why: str) -> None:
        if not self._failing:
            logger.error("leases cannot be renewed, and end in a few seconds: %s", why)
        self._failing = True

    def _renew(self, store: LeaseStore) -> None:
        """Renew the session, or begin another one."""
        old, sent_at = self._session, lease_clock()
        until = sent_at + self._lease_s * (1 - MARGIN)
        if old is not None and store.renew(old, self._lease_s):
            with self._lock:
                if self._session == old:
                    self._until = max(self._until, until)
            return
        new = secrets.token_hex(16)
        store.begin(new, self._holder, self._lease_s)
        with self._lock:
            if self._session == old:
                self._session, self._until, self._held = new, until, set()

    def _take_again(self, store: LeaseStore) -> None:
        """Take what the last session had, unless another process had it since."""
        with self._lock:
            session = self._session
            missing = {name: at for name, at in self._numbers.items() if name not in self._held}
        if session is None:  # this keeper was closed meanwhile
            return
        for lease, number in missing.items():
            found = store.take(session, lease, number)
            if isinstance(found, Taken):
                self._has(session, lease, found)
                continue
            logger.warning("lease %s went to %s", lease, found.holder or "another process")
            with self._lock:
                self._numbers.pop(lease, None)

    def _give_back(self, store: LeaseStore) -> None:
        now = lease_clock()
        with self._lock:
            session = self._session
            due = {lease: at[0] for lease, at in self._leaving.items() if at[1] <= now}
        if session is None:
            return
        for lease, number in due.items():
            store.release(session, lease, number)
            with self._lock:
                self._leaving.pop(lease, None)

    def _has(self, session: str, lease: str, taken: Taken) -> None:
        with self._lock:
            if self._session == session and lease not in self._leaving:
                self._numbers[lease] = taken.fencing
                self._held.add(lease)
