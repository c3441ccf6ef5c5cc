"""What a server does with ``--cluster`` where Ray is not installed, and without the flag."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.analytics.objects.daily_counts import DailyCounts
from app.cameras.shared import SharedManagers
from app.config import ClusterSettings, Settings
from app.db.engine import open_database
from app.db.node_files import NodeFileRepository
from app.db.stream_sessions import StreamSessionRepository
from app.errors import SetupError, StreamNotFound, WatchpostError
from app.pipeline.channel import Channel
from app.pipeline.event_log import EventLog
from app.pipeline.registry import NullStreamStore
from app.startup.cluster import namespace, open_cluster


def test_without_ray_the_server_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith("app.cluster")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "ray", None)
    asyncio.run(_refused(tmp_path))


async def _refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, cluster=ClusterSettings(workers=2))
    shared = SharedManagers(settings, Channel(8, live=True))
    try:
        own = await shared.get(tmp_path / "own.db", "cpu")
        log = EventLog(asyncio.get_running_loop())
        engine = open_database(f"sqlite:///{tmp_path / 'rows.db'}")
        rows, numbers = NodeFileRepository(engine), StreamSessionRepository(engine).next_today
        with pytest.raises(SetupError, match=r"pip install 'watchpost\[cluster\]'"):
            async with open_cluster(
                settings, own, NullStreamStore(), log, rows, numbers, DailyCounts()
            ):
                pass
    finally:
        await shared.close()


def test_a_server_imports_no_ray() -> None:
    program = "import sys, app.main, app.cli; print({'ray', 'app.cluster'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == "set()"


def test_only_known_addresses_are_taken() -> None:
    assert ClusterSettings(address="ray://front:10001").address == "ray://front:10001"
    with pytest.raises(ValidationError, match="use auto, local or ray://"):
        ClusterSettings(address="http://front")


def test_several_workers_are_a_cluster_of_this_machine() -> None:
    assert ClusterSettings().address is None
    assert ClusterSettings(workers=2).address == "local"
    with pytest.raises(ValidationError, match="ray start --resources"):
        ClusterSettings(address="auto", workers=2)


def test_an_installation_has_one_name_without_its_password() -> None:
    first = namespace("postgresql://me:secret@db/watchpost")
    assert first == namespace("postgresql://me:other@db/watchpost")
    assert first != namespace("postgresql://me:secret@db/another")


def test_errors_arrive_from_other_processes_as_they_were_raised() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(StreamNotFound(stream_id="a")))
    assert isinstance(error, StreamNotFound)
    assert str(error) == str(StreamNotFound(stream_id="a"))
    assert error.details == {"stream_id": "a"}
    assert str(pickle.loads(pickle.dumps(WatchpostError()))) == str(WatchpostError())
