"""The role of the front, which one server at a time has: the lease ``front``."""

from __future__ import annotations

import time

from app.cluster.lease_keeper import LeaseKeeper
from app.cluster.reports import FrontFacts
from app.errors import NotReady, SetupError, StoreError
from app.pipeline.sinks.publisher import lease_clock

LEASE = "front"
POLL_S = 0.25
PATIENCE_S = 2.0
"""Beyond the lease of a front that has ended without giving it back."""
SECOND_FRONT = (
    "Another server with this database runs already as the front of this Ray cluster ({holder}). "
    "Stop it first; its streams go on."
)
NOT_FRONT = "This server is not the front of the cluster now: {why}."
NO_DATABASE = "it cannot renew its lease in the database"
ANOTHER = "another server took over"


class FrontRole:
    """Whether this process is the front, and the fencing number that nodes compare.

    Args:
        database_url: of its leases, for the nodes.
        lease_s: as the keeper's.

    Attributes:
        number: the fencing number.
    """

    def __init__(self, keeper: LeaseKeeper, database_url: str, lease_s: float) -> None:
        self._keeper = keeper
        self._database_url = database_url
        self.lease_s = lease_s
        self.number = 0

    def open(self) -> None:
        """Become the front; blocks until the lease of the last one is over. Raises SetupError."""
        deadline = time.monotonic() + self.lease_s + PATIENCE_S
        try:
            self._keeper.open()
            while (held := self._keeper.take(LEASE)) is not None:
                if time.monotonic() > deadline:
                    raise SetupError(reason=SECOND_FRONT.format(holder=held.holder))
                time.sleep(POLL_S)
        except StoreError as error:
            self._keeper.close()
            raise SetupError(reason=str(error)) from None
        except SetupError:
            self._keeper.close()
            raise
        self._renumber()

    def close(self) -> None:
        """Give the role back; the next front needs not wait."""
        self._keeper.close()

    def facts(self) -> FrontFacts:
        """What nodes must know of this front."""
        session = self._keeper.session or ""
        return FrontFacts(self.number, session, self.lease_s, self._database_url)

    @property
    def why_not(self) -> str | None:
        """Why this process is not the front; None if it is."""
        if lease_clock() < self._keeper.until(LEASE):
            self._renumber()
            return None
        lost = self._keeper.number(LEASE) is None
        return NOT_FRONT.format(why=ANOTHER if lost else NO_DATABASE)

    def check(self) -> None:
        """Raise NotReady unless this process is the front."""
        if (why := self.why_not) is not None:
            raise NotReady(reason=why)

    def take_over(self) -> bool:
        """Try to become the front again, after another one; blocks."""
        if self._keeper.number(LEASE) is not None:
            return False  # nobody else had it: the keeper takes it again by itself
        try:
            if self._keeper.take(LEASE) is not None:
                return False
        except StoreError:
            return False
        self._renumber()
        return True

    def _renumber(self) -> None:
        self.number = self._keeper.number(LEASE) or self.number
