"""Opens the database of a server or of the Python API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.db.engine import open_database
from app.db.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Engine


@asynccontextmanager
async def open_engine(
    url: str, vault: Vault | None = None, recordings: Path | None = None
) -> AsyncIterator[Engine]:
    """Open the database and migrate it to the newest schema. Raises SetupError.

    Args:
        vault: encrypts URLs that older versions stored in plain text.
        recordings: the folder of the files of jobs, some of which are renamed.
    """
    engine = await asyncio.to_thread(open_database, url, vault, recordings)
    try:
        yield engine
    finally:
        engine.dispose()
