"""Secret keys that this server made for itself, encrypted at rest."""

from __future__ import annotations

import logging

from sqlalchemy import Engine, delete, select

from app.db.engine import opened
from app.db.notify_tables import ServerKeyTable
from app.db.vault import Vault
from app.errors import SecretUnreadable
from app.notifications import ServerKey

logger = logging.getLogger(__name__)


class ServerKeyRepository:
    """Keys as rows. Blocking; raises StoreError."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def all(self, purpose: str) -> list[ServerKey]:
        """The keys of a purpose, oldest first, without those that another vault has encrypted."""
        query = select(ServerKeyTable).where(ServerKeyTable.purpose == purpose)
        with opened(self._engine) as session:
            found = session.scalars(query.order_by(ServerKeyTable.key_id))
            keys = [self._key(row) for row in found]
        return [key for key in keys if key is not None]

    def add(self, purpose: str, secret: str, now: float) -> ServerKey:
        """Keep a new key."""
        with opened(self._engine) as session:
            row = ServerKeyTable(
                purpose=purpose, secret=self._vault.encrypt(secret), created_ts=now
            )
            session.add(row)
            session.flush()
            return ServerKey(row.key_id, secret, row.created_ts)

    def delete(self, purpose: str, before_ts: float) -> None:
        """Remove keys that were made before a time."""
        with opened(self._engine) as session:
            session.execute(
                delete(ServerKeyTable).where(
                    ServerKeyTable.purpose == purpose, ServerKeyTable.created_ts < before_ts
                )
            )

    def _key(self, row: ServerKeyTable) -> ServerKey | None:
        try:
            return ServerKey(row.key_id, self._vault.decrypt(row.secret), row.created_ts)
        except SecretUnreadable as error:
            logger.warning("the key for %s cannot be used: %s", row.purpose, error)
            return None
