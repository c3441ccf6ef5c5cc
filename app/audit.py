"""The values of the audit log: who did or saw what, when, and from where.

Entries contain ids only: no name, password, token, URL or text of a plate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["done", "denied", "failed"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that a caller did, saw, or was denied.

    Attributes:
        actor: the caller's name, such as ``user 3`` or ``this machine``.
        action: method and path of the route, or what the server did by itself.
        details: ids, and numbers; JSON-ready.
    """

    actor: str
    address: str
    action: str
    outcome: Outcome = "done"
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry as it is stored: numbered, dated and chained.

    Attributes:
        row_hash: of the entry and of the row before it.
    """

    audit_id: int
    ts: float
    entry: AuditEntry
    row_hash: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Selects rows; None selects all. ``since`` and ``until`` are Unix seconds.

    Attributes:
        action: a part of it.
    """

    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: float = -math.inf
    until: float = math.inf
