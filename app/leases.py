"""Leases: who may publish to an output, and which server is the front of a cluster.

A lease belongs to a session, that of one process, which renews it. A session that was not renewed
in time is over and cannot be renewed any more; only then may another session take its leases. Each
time that a lease goes to another session, its fencing number grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Taken:
    """A lease that a session has.

    Attributes:
        fencing: grows each time that the lease goes to another session.
    """

    fencing: int


@dataclass(frozen=True, slots=True)
class HeldBy:
    """Why a session cannot take a lease: another one has it, or had it since.

    Attributes:
        holder: name of the one that has it; None if it is free but went to another one since.
        left_s: until that one's session ends, if it is not renewed.
    """

    holder: str | None
    left_s: float


class LeaseStore(Protocol):
    """Sessions and leases in the database, on its clock. Blocking; raises StoreError."""

    def begin(self, session: str, holder: str, lease_s: float) -> None:
        """Begin a session.

        Args:
            holder: says to people whose it is.
        """
        ...

    def renew(self, session: str, lease_s: float) -> bool:
        """Let a session go on; False if it is over."""
        ...

    def end(self, session: str) -> None:
        """End a session; its leases are free."""
        ...

    def knows(self, session: str) -> bool:
        """Whether there is such a session, or was within the last hour."""
        ...

    def take(self, session: str, lease: str, fencing: int | None = None) -> Taken | HeldBy:
        """Take a lease, if it is free or already that of the session.

        Args:
            fencing: only if its number is still this: nobody else had it since.
        """
        ...

    def release(self, session: str, lease: str, fencing: int) -> None:
        """Give a lease back, if the session has it under this number."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
