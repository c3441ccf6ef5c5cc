"""The running app, and clients on this and on other machines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fixtures import Running, running

from app.config import AuthSettings, Settings
from app.main import create_app

TOKEN = "the-token-of-these-tests"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def served(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    folder: Path = tmp_path_factory.mktemp("data")
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        auth=AuthSettings(token=TOKEN),
    )
    async with running(create_app(settings)) as app:
        yield app


@pytest.fixture
async def local_client(served: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A client on the same machine."""
    async with served.client() as client:
        yield client
