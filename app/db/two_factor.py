"""Every query about two-factor sign-in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from app.db.access_tables import RecoveryCodeTable, TwoFactorTable
from app.db.engine import opened
from app.db.vault import Vault


class TwoFactorRow(NamedTuple):
    """What is stored about one user.

    Attributes:
        secret: encrypted; ``TwoFactorRepository.secret`` decrypts it.
        confirmed: whether the user has shown a code, so that sign-ins need one.
    """

    secret: bytes
    confirmed: bool
    recovery_codes_left: int


class TwoFactorRepository:
    """Secrets of authenticator apps, encrypted, and hashes of recovery codes.

    Blocking; raises StoreError.
    """

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def get(self, user_id: int) -> TwoFactorRow | None:
        """What is stored about a user, if there is anything."""
        with opened(self._engine) as session:
            row = session.get(TwoFactorTable, user_id)
            if row is None:
                return None
            mine = RecoveryCodeTable.user_id == user_id
            left = session.scalar(select(func.count()).select_from(RecoveryCodeTable).where(mine))
            return TwoFactorRow(row.secret, row.confirmed, left or 0)

    def secret(self, row: TwoFactorRow) -> str:
        """The secret in base32. Raises SecretUnreadable."""
        return self._vault.decrypt(row.secret)

    def enabled(self) -> frozenset[int]:
        """The users whose sign-ins need a code."""
        wanted = select(TwoFactorTable.user_id).where(TwoFactorTable.confirmed)
        with opened(self._engine) as session:
            return frozenset(session.scalars(wanted))

    def propose(self, user_id: int, secret: str) -> None:
        """Store a secret that is not confirmed yet, in place of whatever there was."""
        with opened(self._engine) as session:
            _forget(session, user_id)
            row = TwoFactorTable(
                user_id=user_id,
                secret=self._vault.encrypt(secret),
                confirmed=False,
                last_step=0,
            )
            session.add(row)

    def confirm(self, user_id: int, hashes: Iterable[str]) -> None:
        """Make sign-ins need a code, and store the recovery codes in place of older ones."""
        mine = TwoFactorTable.user_id == user_id
        with opened(self._engine) as session:
            session.execute(update(TwoFactorTable).where(mine).values(confirmed=True))
            session.execute(delete(RecoveryCodeTable).where(RecoveryCodeTable.user_id == user_id))
            session.add_all(RecoveryCodeTable(code_hash=one, user_id=user_id) for one in hashes)

    def use_step(self, user_id: int, step: int) -> bool:
        """Use up the codes until a time step; False if they are used already."""
        unused = (TwoFactorTable.user_id == user_id) & (TwoFactorTable.last_step < step)
        with opened(self._engine) as session:
            changed = session.execute(update(TwoFactorTable).where(unused).values(last_step=step))
            return isinstance(changed, CursorResult) and changed.rowcount == 1

    def use_recovery_code(self, user_id: int, code_hash: str) -> bool:
        """Use up a recovery code; False if the user has none with this hash."""
        mine = (RecoveryCodeTable.user_id == user_id) & (RecoveryCodeTable.code_hash == code_hash)
        with opened(self._engine) as session:
            removed = session.execute(delete(RecoveryCodeTable).where(mine))
            return isinstance(removed, CursorResult) and removed.rowcount == 1

    def remove(self, user_id: int) -> None:
        """Forget the secret and the recovery codes of a user."""
        with opened(self._engine) as session:
            _forget(session, user_id)


def _forget(session: Session, user_id: int) -> None:
    for table in (RecoveryCodeTable, TwoFactorTable):
        session.execute(delete(table).where(table.user_id == user_id))
