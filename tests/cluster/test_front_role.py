"""Who is the front: one server at a time, also when the database is out of reach for one."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.cut import Cut
from support.postgres import Postgres, programs
from support.rtsp import wait_until

from app.cluster.front_role import FrontRole
from app.cluster.lease_keeper import LeaseKeeper
from app.cluster.reports import FrontFacts
from app.db.engine import open_database
from app.db.leases import open_leases
from app.errors import NotReady, SetupError, StreamNotFound

LEASE_S = 3.0
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with Postgres() as server:
        open_database(server.url).dispose()
        yield server


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def role(name: str, url: str) -> FrontRole:
    keeper = LeaseKeeper(name, LEASE_S, functools.partial(open_leases, url))
    return FrontRole(keeper, url, LEASE_S)


def test_a_front_that_is_cut_off_is_none_before_the_next_one_begins(
    postgres: Postgres, closing: ExitStack
) -> None:
    proxy = closing.enter_context(Cut(postgres.port))
    first = role("first", postgres.url.replace(str(postgres.port), str(proxy.port)))
    second = role("second", postgres.url)
    first.open()
    closing.callback(first.close)
    with pytest.raises(SetupError, match=r"Another server .*\(first\)"):
        second.open()
    proxy.cut()
    second = role("second", postgres.url)
    second.open()
    assert "cannot renew" in str(first.why_not)
    with pytest.raises(NotReady, match="not the front"):
        first.check()
    assert second.why_not is None
    assert second.number > first.number
    proxy.heal()
    wait_until(lambda: "another server" in str(first.why_not), PATIENCE_S, "the end of the first")
    assert not first.take_over()
    second.close()
    wait_until(first.take_over, PATIENCE_S, "the return of the first")
    assert first.why_not is None
    assert first.number > second.number


def test_a_front_that_gives_its_role_back_is_followed_at_once(
    tmp_path: Path, closing: ExitStack
) -> None:
    url = f"sqlite:///{tmp_path / 'watchpost.db'}"
    open_database(url).dispose()
    first, second = role("first", url), role("second", url)
    first.open()
    first.close()
    second.open()
    closing.callback(second.close)
    assert (first.number, second.number) == (1, 2)


def test_a_node_refuses_a_front_that_another_one_has_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'watchpost[cluster]'")
    monkeypatch.setenv("WATCHPOST_DATA_DIR", str(tmp_path))
    asyncio.run(_refused(f"sqlite:///{tmp_path / 'watchpost.db'}"))


async def _refused(url: str) -> None:
    from support.local_ray import opening

    from app.cluster.node import NodeActor

    open_database(url).dispose()
    node = NodeActor(opening(), open_leases, "node")
    try:
        await node.ask(2, "attach", FrontFacts(2, "none", LEASE_S, url))
        assert isinstance(await node.ask(2, "snapshot", "unknown", None), StreamNotFound)
        older = await node.ask(1, "attach", FrontFacts(1, "none", LEASE_S, url))
        assert isinstance(older, NotReady)
        assert "Another server took over" in str(older)
    finally:
        await node._stack.aclose()
