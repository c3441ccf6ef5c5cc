"""The audit log as rows: appended to, chained by hashes, signed, and checked.

Each row's hash covers the row and the hash of the row before it, so a changed, inserted or removed
row breaks the chain. Checkpoints sign the hash of a row with a key that is not in the database: so
nobody without the key can make a new chain, and rows before a checkpoint can be removed by age
without breaking what follows.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from sqlalchemy import ColumnElement, Engine, delete, func, inspect, select
from sqlalchemy.orm import Session

from app.audit import AuditEntry, AuditFilter, AuditRow, Outcome
from app.db.access_tables import AuditCheckpointTable, AuditTable
from app.db.engine import opened, reachable
from app.db.vault import Vault
from app.errors import StoreError

FIRST = "0" * 64
"""Stands for the hash before the first row."""
SIGN_EVERY = 100
PAGE = 1000


class AuditRepository:
    """The audit log. Blocking; raises StoreError when the database fails.

    Args:
        clock: Unix seconds.
    """

    def __init__(
        self, engine: Engine, vault: Vault, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._vault = vault
        self._clock = clock
        self._appending = threading.Lock()

    def append(self, entry: AuditEntry) -> AuditRow:
        """Add a row to the end of the chain."""
        try:
            return self._append(entry)
        except StoreError:  # another process, such as `watchpost user add`, took the number
            return self._append(entry)

    def _append(self, entry: AuditEntry) -> AuditRow:
        with self._appending, opened(self._engine) as session:
            last = _last(session)
            number, before = (last.audit_id, last.row_hash) if last else _end(session)
            row = AuditTable(
                audit_id=number + 1,
                ts=round(self._clock(), 6),
                actor=entry.actor[:64],
                address=entry.address[:64],
                action=entry.action[:100],
                outcome=entry.outcome,
                details=dict(entry.details),
            )
            row.row_hash = hash_of(row, before)
            session.add(row)
            if row.audit_id % SIGN_EVERY == 1:
                session.flush()
                self._sign(session, row)
            return _row(row)

    def sign(self) -> None:
        """Sign the newest row, if it is not signed yet."""
        with self._appending, opened(self._engine) as session:
            last = _last(session)
            if last is not None and session.get(AuditCheckpointTable, last.audit_id) is None:
                self._sign(session, last)

    def _sign(self, session: Session, row: AuditTable) -> None:
        text = _signed_text(row.audit_id, row.row_hash)
        session.add(
            AuditCheckpointTable(
                audit_id=row.audit_id,
                ts=row.ts,
                row_hash=row.row_hash,
                signature=self._vault.sign(text),
            )
        )

    def remove_before(self, ts: float) -> int:
        """Remove the rows from before a time, up to a signed one; returns how many."""
        with self._appending, opened(self._engine) as session:
            newest = session.scalar(select(func.max(AuditTable.audit_id)).where(AuditTable.ts < ts))
            if newest is None:
                return 0
            row = session.get_one(AuditTable, newest)
            if session.get(AuditCheckpointTable, newest) is None:
                self._sign(session, row)
                session.flush()
            removed = session.execute(delete(AuditTable).where(AuditTable.audit_id <= newest))
            session.execute(
                delete(AuditCheckpointTable).where(AuditCheckpointTable.audit_id < newest)
            )
            return int(getattr(removed, "rowcount", 0))

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def page(
        self, wanted: AuditFilter, limit: int, before: int | None = None
    ) -> tuple[list[AuditRow], int]:
        """Rows, newest first, and how many match.

        Args:
            before: only rows with smaller numbers.
        """
        conditions = _conditions(wanted)
        query = select(AuditTable).where(*conditions)
        if before is not None:
            query = query.where(AuditTable.audit_id < before)
        with opened(self._engine) as session:
            rows = session.scalars(query.order_by(AuditTable.audit_id.desc()).limit(limit))
            count = select(func.count()).select_from(AuditTable).where(*conditions)
            return [_row(row) for row in rows], session.scalar(count) or 0

    def all(self, wanted: AuditFilter) -> Iterator[AuditRow]:
        """All matching rows, newest first, in pages."""
        before: int | None = None
        while rows := self.page(wanted, PAGE, before)[0]:
            yield from rows
            before = rows[-1].audit_id

    # ── checking ─────────────────────────────────────────────────────────────────────────

    def check(self) -> str | None:
        """What is wrong with the chain or its signatures; None if nothing is."""
        with opened(self._engine) as session:
            query = select(AuditCheckpointTable).order_by(AuditCheckpointTable.audit_id)
            checkpoints = {point.audit_id: point for point in session.scalars(query)}
            for point in checkpoints.values():
                text = _signed_text(point.audit_id, point.row_hash)
                if not self._vault.is_signed(text, point.signature):
                    return f"the signature of row {point.audit_id} is wrong"
            return _check_rows(session, checkpoints)


def check_audit(url: str, vault: Vault) -> str | None:
    """What is wrong with the audit log of a database, which is neither created nor migrated.

    Raises:
        SetupError: the database does not answer; StoreError.
    """
    with reachable(url) as engine:
        if engine is None or not inspect(engine).has_table(AuditTable.__tablename__):
            return None
        return AuditRepository(engine, vault).check()


def _check_rows(session: Session, checkpoints: dict[int, AuditCheckpointTable]) -> str | None:
    first = session.scalar(select(func.min(AuditTable.audit_id)))
    start = min(checkpoints, default=0)
    if first is None:
        return None if len(checkpoints) <= 1 else "all rows are missing"
    number, before = first - 1, FIRST
    if number > 0:  # older rows were removed: the chain goes on from a signed one
        if number not in checkpoints:
            return f"the rows before {first} are missing"
        before = checkpoints[number].row_hash
    elif start > 1:
        return "the first rows are missing"
    for row in _rows_from(session, first):
        number += 1
        if row.audit_id != number:
            return f"row {number} is missing"
        if row.row_hash != hash_of(row, before):
            return f"row {number} was changed"
        if number in checkpoints and checkpoints[number].row_hash != row.row_hash:
            return f"row {number} is not the one that was signed"
        before = row.row_hash
    if max(checkpoints, default=0) > number:
        return f"the rows after {number} are missing"
    return None


def _rows_from(session: Session, number: int) -> Iterator[AuditTable]:
    """All rows from a number on, in order, of which few are in memory."""
    ordered = select(AuditTable).order_by(AuditTable.audit_id).limit(PAGE)
    while rows := session.scalars(ordered.where(AuditTable.audit_id >= number)).all():
        yield from rows
        number = rows[-1].audit_id + 1
        session.expunge_all()


def hash_of(row: AuditTable, before: str) -> str:
    """The hash of a row and of the row before it."""
    values = [before, row.audit_id, repr(float(row.ts)), row.actor, row.address, row.action]
    text = json.dumps([*values, row.outcome, row.details], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _signed_text(audit_id: int, row_hash: str) -> str:
    return f"watchpost audit {audit_id} {row_hash}"


def _last(session: Session) -> AuditTable | None:
    return session.scalar(select(AuditTable).order_by(AuditTable.audit_id.desc()).limit(1))


def _end(session: Session) -> tuple[int, str]:
    """Where the chain goes on when all rows were removed by age."""
    query = select(AuditCheckpointTable).order_by(AuditCheckpointTable.audit_id.desc()).limit(1)
    point = session.scalar(query)
    return (point.audit_id, point.row_hash) if point is not None else (0, FIRST)


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.actor is not None:
        found.append(AuditTable.actor == wanted.actor)
    if wanted.action is not None:
        found.append(AuditTable.action.contains(wanted.action, autoescape=True))
    if wanted.outcome is not None:
        found.append(AuditTable.outcome == wanted.outcome)
    if wanted.since > -float("inf"):
        found.append(AuditTable.ts >= wanted.since)
    if wanted.until < float("inf"):
        found.append(AuditTable.ts < wanted.until)
    return found


def _row(row: AuditTable) -> AuditRow:
    outcome = cast("Outcome", row.outcome)
    details: dict[str, Any] = row.details
    entry = AuditEntry(row.actor, row.address, row.action, outcome, details)
    return AuditRow(row.audit_id, row.ts, entry, row.row_hash)
