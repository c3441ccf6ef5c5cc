"""The audit log's chain: every change is found, and old rows can be removed without breaking it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from app.audit import AuditEntry, AuditFilter
from app.db.audit import SIGN_EVERY, AuditRepository
from app.db.engine import open_database
from app.db.vault import Vault

KEY, OTHER_KEY = Vault(b"0123456789abcdef"), Vault(b"fedcba9876543210")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def log(engine: Engine) -> AuditRepository:
    return AuditRepository(engine, KEY, Clock())


def fill(log: AuditRepository, count: int) -> None:
    for number in range(count):
        details = {"job_id": f"j{number}", "ünïcode": None, "share": 0.1}
        log.append(AuditEntry("user 1", "192.0.2.1", "POST /collect", details=details))


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        assert connection.execute(text(statement)).rowcount > 0


def test_an_untouched_log_is_right(log: AuditRepository) -> None:
    assert log.check() is None
    fill(log, SIGN_EVERY + 5)
    assert log.check() is None
    log.sign()
    log.sign()
    assert log.check() is None


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audit SET actor = 'user 2' WHERE audit_id = 3", "row 3 was changed"),
        ("UPDATE audit SET address = 'x' WHERE audit_id = 3", "row 3 was changed"),
        ("UPDATE audit SET action = 'x' WHERE audit_id = 3", "row 3 was changed"),
        ("UPDATE audit SET outcome = 'denied' WHERE audit_id = 3", "row 3 was changed"),
        ("UPDATE audit SET details = '{}' WHERE audit_id = 3", "row 3 was changed"),
        ("UPDATE audit SET ts = ts + 0.001 WHERE audit_id = 3", "row 3 was changed"),
        ("DELETE FROM audit WHERE audit_id = 3", "row 3 is missing"),
        ("DELETE FROM audit WHERE audit_id < 3", "rows before 3 are missing"),
        ("DELETE FROM audit WHERE audit_id > 6", "rows after 6 are missing"),
        ("DELETE FROM audit", "all rows are missing"),
        ("UPDATE audit_checkpoints SET signature = '00' WHERE audit_id = 1", "signature of row 1"),
        ("UPDATE audit_checkpoints SET row_hash = 'x' WHERE audit_id = 8", "signature of row 8"),
    ],
)
def test_every_change_is_found(
    log: AuditRepository, engine: Engine, statement: str, problem: str
) -> None:
    fill(log, 8)
    log.sign()
    assert log.check() is None
    change(engine, statement)
    assert problem in str(log.check())


def test_a_new_chain_needs_the_key(log: AuditRepository, engine: Engine) -> None:
    """Somebody who can write to the database makes a chain of their own."""
    fill(log, 3)
    for table in ("audit", "audit_checkpoints"):
        change(engine, f"DELETE FROM {table}")
    forger = AuditRepository(engine, OTHER_KEY, Clock())
    fill(forger, 3)
    assert forger.check() is None
    assert "signature of row 1 is wrong" in str(log.check())


@pytest.mark.parametrize("kept", [0, 1, 4])
def test_old_rows_are_removed_without_breaking_the_chain(log: AuditRepository, kept: int) -> None:
    fill(log, 10)
    rows, _ = log.page(AuditFilter(), 100)
    before = rows[kept - 1].ts if kept else 1e12
    assert log.remove_before(before) == 10 - kept
    assert log.check() is None
    fill(log, 2)
    assert log.check() is None
    rows, total = log.page(AuditFilter(), 100)
    assert total == kept + 2
    assert [row.audit_id for row in rows] == list(range(12, 10 - kept, -1))
    assert log.remove_before(0) == 0


def test_after_removal_changes_are_still_found(log: AuditRepository, engine: Engine) -> None:
    fill(log, 10)
    log.remove_before(1006.5)
    change(engine, "DELETE FROM audit WHERE audit_id <= 8")
    assert "rows before 9 are missing" in str(log.check())


def test_rows_are_selected(log: AuditRepository) -> None:
    log.append(AuditEntry("user 1", "", "POST /collect"))
    log.append(AuditEntry("user 2", "", "POST /api/sign-in", "denied"))
    for wanted, ids in (
        (AuditFilter(), [2, 1]),
        (AuditFilter(actor="user 2"), [2]),
        (AuditFilter(action="collect"), [1]),
        (AuditFilter(outcome="denied"), [2]),
        (AuditFilter(since=1002), [2]),
        (AuditFilter(until=1002), [1]),
    ):
        assert [row.audit_id for row in log.page(wanted, 10)[0]] == ids
    assert [row.audit_id for row in log.all(AuditFilter())] == [2, 1]
    assert [row.audit_id for row in log.page(AuditFilter(), 10, before=2)[0]] == [1]
