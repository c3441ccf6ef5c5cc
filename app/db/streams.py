"""Every query about streams."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, delete, select

from app import urls
from app.db.engine import opened
from app.db.tables import StreamTable
from app.db.vault import Vault
from app.errors import SecretUnreadable
from app.footage import KEEP_DAYS, KeepDays
from app.types import Line, StoredStream, StreamSpec, StreamState, Zone

logger = logging.getLogger(__name__)

_OPTIONS = (
    "max_fps",
    "downscale",
    "blur",
    "blur_margin",
    "encoder",
    "bitrate",
    "transport",
    "name",
    "analytics",
    "loop",
    "paced",
    "zones",
    "lines",
    "stall_timeout_s",
    "start_timeout_s",
    "interval",
    "rotate",
    "clear_until",
    "record",
    "clip_before_s",
    "clip_after_s",
    *KEEP_DAYS,
)


class StreamRepository:
    """Streams as rows. Raises StoreError when the database fails.

    No URL is searched for credentials: of its input and output, a row has scheme, host and port in
    plain text; every network URL is encrypted as a whole in ``secret``.
    """

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def fingerprint(self, source: str) -> str:
        """Equal for all spellings of the URL of one input."""
        return self._vault.fingerprint(urls.normalised(source))

    def save(self, stored: StoredStream) -> None:
        """Insert or replace. A row whose URLs cannot be decrypted keeps them as they are."""
        spec = stored.spec
        with opened(self._engine) as session:
            row = session.get(StreamTable, spec.stream_id)
            if row is None:
                row = StreamTable(stream_id=spec.stream_id)
                session.add(row)
            row.wanted = stored.wanted.value
            row.last_error = stored.last_error and self._vault.seal(stored.last_error)
            if stored.decryptable:
                self._fill(row, spec)

    def _fill(self, row: StreamTable, spec: StreamSpec) -> None:
        row.source = urls.origin(spec.source)
        row.output = spec.output and urls.origin(spec.output)
        row.secret = None
        if (row.source, row.output, None) != (spec.source, spec.output, spec.detect_url):
            secret = [spec.source, spec.output]
            secret += [] if spec.detect_url is None else [spec.detect_url]
            row.secret = self._vault.encrypt(json.dumps(secret))
        row.input_hash = self.fingerprint(spec.source)
        row.options = {name: getattr(spec, name) for name in _OPTIONS}

    def delete(self, stream_id: str) -> None:
        with opened(self._engine) as session:
            session.execute(delete(StreamTable).where(StreamTable.stream_id == stream_id))

    def load(self) -> list[StoredStream]:
        """All streams, oldest first."""
        with opened(self._engine) as session:
            rows = session.scalars(select(StreamTable).order_by(StreamTable.created_at)).all()
            return [stored for row in rows if (stored := self._stored(row)) is not None]

    def keep_days(self) -> dict[str, KeepDays]:
        """How long the recordings of each stream are kept, of those that do not leave it to the
        server's settings."""
        with opened(self._engine) as session:
            rows = session.execute(select(StreamTable.stream_id, StreamTable.options)).all()
        found = {
            stream_id: KeepDays(*(_number(options.get(name)) for name in KEEP_DAYS))
            for stream_id, options in rows
        }
        return {stream_id: days for stream_id, days in found.items() if any(days)}

    def _stored(self, row: StreamTable) -> StoredStream | None:
        try:
            options: dict[str, Any] = {k: v for k, v in row.options.items() if k in _OPTIONS}
            for name, kind in (("zones", Zone), ("lines", Line)):
                if name in options:
                    options[name] = tuple(kind(*map(_frozen, one)) for one in options[name])
            spec = StreamSpec(row.stream_id, row.source, row.output, **options)
            wanted = StreamState(row.wanted)
        except (
            ValueError,
            TypeError,
            AttributeError,
        ):  # written by a newer version or edited by hand
            logger.error("stream %s: its database row cannot be read", row.stream_id)
            return None
        last_error = row.last_error and self._vault.unseal(row.last_error)
        if row.secret is None:
            return StoredStream(spec, wanted, last_error)
        try:
            source, output, *detect_url = json.loads(self._vault.decrypt(row.secret))
        except SecretUnreadable as error:
            return StoredStream(spec, StreamState.FAILED, str(error), decryptable=False)
        spec = replace(spec, source=source, output=output, detect_url=next(iter(detect_url), None))
        return StoredStream(spec, wanted, last_error)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _frozen(value: Any) -> Any:
    """A JSON value with tuples instead of lists."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
