"""Every query about targets of notifications."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, delete, select

from app.db.engine import opened
from app.db.notify_tables import RouteTable, TargetTable
from app.db.vault import Vault
from app.errors import SecretUnreadable, TargetNotFound
from app.notifications import Target


class TargetRepository:
    """Targets as rows, their options encrypted. Blocking; raises StoreError."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def add(self, kind: str, name: str, options: Mapping[str, Any], now: float) -> Target:
        """Add a target, switched on."""
        with opened(self._engine) as session:
            row = TargetTable(
                kind=kind, name=name, enabled=True, options=self._sealed(options), created_ts=now
            )
            session.add(row)
            session.flush()
            return self._target(row)

    def all(self) -> list[Target]:
        """All targets, oldest first."""
        with opened(self._engine) as session:
            rows = session.scalars(select(TargetTable).order_by(TargetTable.target_id))
            return [self._target(row) for row in rows]

    def get(self, target_id: int) -> Target:
        """Raises TargetNotFound."""
        with opened(self._engine) as session:
            row = session.get(TargetTable, target_id)
            if row is None:
                raise TargetNotFound(target_id=target_id)
            return self._target(row)

    def save(self, target: Target) -> None:
        """Write a changed name, switch and options. Raises TargetNotFound."""
        with opened(self._engine) as session:
            row = session.get(TargetTable, target.target_id)
            if row is None:
                raise TargetNotFound(target_id=target.target_id)
            row.name, row.enabled = target.name, target.enabled
            if target.error is None:
                row.options = self._sealed(target.options)

    def delete(self, target_id: int) -> None:
        """Remove a target with its deliveries, also from routes. Raises TargetNotFound."""
        with opened(self._engine) as session:
            if session.get(TargetTable, target_id) is None:
                raise TargetNotFound(target_id=target_id)
            for route in session.scalars(select(RouteTable)):
                route.targets = [one for one in route.targets if one != target_id]
            session.execute(delete(TargetTable).where(TargetTable.target_id == target_id))

    def _sealed(self, options: Mapping[str, Any]) -> bytes:
        return self._vault.encrypt(json.dumps(dict(options)))

    def _target(self, row: TargetTable) -> Target:
        options, error = {}, None
        try:
            options = json.loads(self._vault.decrypt(row.options))
        except SecretUnreadable as unreadable:
            error = str(unreadable)
        return Target(
            row.target_id, row.kind, row.name, row.enabled, options, row.created_ts, error
        )
