"""Opens what erasure and export need of the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.db.kept import KeptRepository
from app.db.plate_eraser import PlateEraser
from app.db.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Privacy:
    """What erasure and export need of the database.

    Attributes:
        fingerprint: a keyed hash that stands for a text.
    """

    plates: PlateEraser
    kept: KeptRepository
    fingerprint: Callable[[str], str]


def open_privacy(engine: Engine, vault: Vault) -> Privacy:
    """Open what erasure and export need of the database."""
    return Privacy(PlateEraser(engine), KeptRepository(engine), vault.fingerprint)
