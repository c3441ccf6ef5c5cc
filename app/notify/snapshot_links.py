"""Signed links to snapshots: each shows one picture to whoever has it, until it expires."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from typing import Protocol
from urllib.parse import urlencode

from app.errors import LinkNotValid
from app.events import EventRow
from app.notifications import ServerKey
from app.notify.vapid import base64url

PATH = "/shared/snapshots/{event_id}.jpg"
PURPOSE = "snapshot links"
ROTATE_S = 7 * 86_400.0


class KeyStore(Protocol):
    """Keys of this server, encrypted at rest. Blocking; raises StoreError."""

    def all(self, purpose: str) -> list[ServerKey]: ...

    def add(self, purpose: str, secret: str, now: float) -> ServerKey: ...

    def delete(self, purpose: str, before_ts: float) -> None: ...


class SnapshotLinks:
    """Makes and checks links. A new key signs from each week on; older ones check what they signed.

    Args:
        lifetime_s: how long a link is valid.
    """

    def __init__(self, store: KeyStore, lifetime_s: float) -> None:
        self._store = store
        self._lifetime_s = lifetime_s
        self._lock = threading.Lock()
        self._keys = {key.key_id: key for key in store.all(PURPOSE)}

    def path(self, event: EventRow, now: float) -> str | None:
        """The link to an event's snapshot, on which faces are covered; None if it has none.

        Blocking; raises StoreError.
        """
        if not event.snapshot:
            return None
        key, until = self._newest(now), int(now + self._lifetime_s)
        query = {
            "until": until,
            "key": key.key_id,
            "signature": _signed(key, event.event_id, until),
        }
        return f"{PATH.format(event_id=event.event_id)}?{urlencode(query)}"

    def check(self, event_id: int, until: int, key_id: int, signature: str, now: float) -> None:
        """Raises LinkNotValid for a link that this server did not make, or that has expired."""
        key = self._keys.get(key_id)
        expected = _signed(key or _NO_KEY, event_id, until)
        same = hmac.compare_digest(expected.encode(), signature.encode())
        if key is None or not same or now >= until:
            raise LinkNotValid

    def end_all(self) -> None:
        """Make every link that was given out worthless. Blocking; raises StoreError."""
        with self._lock:
            self._store.delete(PURPOSE, float("inf"))
            self._keys = {}

    def _newest(self, now: float) -> ServerKey:
        """The key that signs now; those that can have signed no valid link any more are removed."""
        with self._lock:
            key = max(self._keys.values(), key=lambda one: one.created_ts, default=None)
            if key is not None and now - key.created_ts < ROTATE_S:
                return key
            useless_ts = now - ROTATE_S - self._lifetime_s
            self._store.delete(PURPOSE, useless_ts)
            kept = {one.key_id: one for one in self._keys.values() if one.created_ts >= useless_ts}
            key = self._store.add(PURPOSE, secrets.token_urlsafe(32), now)
            self._keys = {**kept, key.key_id: key}
            return key


_NO_KEY = ServerKey(0, "", 0.0)


def _signed(key: ServerKey, event_id: int, until: int) -> str:
    text = f"snapshot {event_id} until {until}"
    return base64url(hmac.digest(key.secret.encode(), text.encode(), hashlib.sha256))
