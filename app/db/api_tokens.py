"""Every query about API tokens."""

from __future__ import annotations

from sqlalchemy import Engine, delete, select, update

from app.accounts import ApiToken, cameras_as_json, cameras_from_json
from app.db.access_tables import ApiTokenTable
from app.db.engine import opened
from app.errors import TokenNotFound
from app.rights import Cameras, Right


class ApiTokenRepository:
    """API tokens as rows, known by their hashes. Blocking; raises StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self,
        token_hash: str,
        *,
        name: str,
        user_id: int | None,
        rights: frozenset[Right],
        cameras: Cameras,
        now: float,
        expires_ts: float | None,
    ) -> ApiToken:
        """Add a token."""
        with opened(self._engine) as session:
            row = ApiTokenTable(
                user_id=user_id,
                name=name,
                token_hash=token_hash,
                rights=sorted(right.value for right in rights),
                cameras=cameras_as_json(cameras),
                created_ts=now,
                expires_ts=expires_ts,
            )
            session.add(row)
            session.flush()
            return _token(row)

    def find(self, token_hash: str) -> ApiToken | None:
        """The token with a hash."""
        with opened(self._engine) as session:
            wanted = select(ApiTokenTable).where(ApiTokenTable.token_hash == token_hash)
            row = session.scalar(wanted)
            return None if row is None else _token(row)

    def get(self, token_id: int) -> ApiToken:
        """Raises TokenNotFound."""
        with opened(self._engine) as session:
            row = session.get(ApiTokenTable, token_id)
            if row is None:
                raise TokenNotFound(token_id=token_id)
            return _token(row)

    def all(self) -> list[ApiToken]:
        """All tokens, oldest first."""
        with opened(self._engine) as session:
            rows = session.scalars(select(ApiTokenTable).order_by(ApiTokenTable.token_id))
            return [_token(row) for row in rows]

    def touch(self, token_id: int, now: float) -> None:
        """Record that a token was used."""
        with opened(self._engine) as session:
            mine = ApiTokenTable.token_id == token_id
            session.execute(update(ApiTokenTable).where(mine).values(used_ts=now))

    def delete(self, token_id: int) -> None:
        """Revoke a token."""
        with opened(self._engine) as session:
            session.execute(delete(ApiTokenTable).where(ApiTokenTable.token_id == token_id))


def _token(row: ApiTokenTable) -> ApiToken:
    return ApiToken(
        row.token_id,
        row.user_id,
        row.name,
        frozenset(Right(right) for right in row.rights),
        cameras_from_json(row.cameras),
        row.created_ts,
        row.expires_ts,
        row.used_ts,
    )
