"""Streams on the nodes of a Ray cluster: separate raylets on this machine, which are killed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec

import psutil
import pytest
from support.rtsp import RtspServer

from app.analytics.objects.daily_counts import DailyCounts
from app.cameras.shared import SharedManagers
from app.config import ClusterSettings, Settings
from app.db.engine import open_database
from app.db.node_files import NodeFileRepository
from app.db.stream_sessions import StreamSessionRepository
from app.errors import NotReady, SetupError, StreamNotFound
from app.pipeline.channel import Channel
from app.pipeline.directory import StreamDirectory
from app.pipeline.event_log import EventLog
from app.pipeline.registry import NullStreamStore
from app.startup.cluster import open_cluster
from app.types import (
    Analytics,
    FrameMetadata,
    Record,
    StoredStream,
    StreamSpec,
    StreamState,
    StreamStatus,
)

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'watchpost[cluster]'")

HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""As ``docs/cluster.md`` recommends them."""
PATIENCE_S = 60.0
MOVES_WITHIN_S = 15.0  # promised

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


P = ParamSpec("P")


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on an event loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class MemoryStore(NullStreamStore):
    """Rows that outlive a front, as those of a database do."""

    def __init__(self) -> None:
        self.rows: dict[str, StoredStream] = {}

    def save(self, stored: StoredStream) -> None:
        self.rows[stored.spec.stream_id] = stored

    def delete(self, stream_id: str) -> None:
        self.rows.pop(stream_id, None)

    def load(self) -> list[StoredStream]:
        return list(self.rows.values())


@pytest.fixture(scope="module", autouse=True)
def own_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ray writes the token of new clusters into the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def raylets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Two nodes with room for two streams each, beside a head that has none."""
    from ray.cluster_utils import Cluster

    for name, value in HEALTH.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WATCHPOST_DATA_DIR", str(tmp_path / "node"))
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)  # the machine may have others
    try:
        yield [cluster.add_node(num_cpus=2, resources={f"site:{site}": 1}) for site in "ab"]
    finally:
        ray.shutdown()
        cluster.shutdown()


@asynccontextmanager
async def front(
    tmp_path: Path,
    store: MemoryStore,
    sites: dict[str, str] | None = None,
    log: EventLog | None = None,
) -> AsyncIterator[StreamDirectory]:
    """A front without its page and database, with all nodes."""
    cluster = ClusterSettings(address="auto", sites=sites or {}, cpu_per_stream=1.0)
    settings = Settings(data_dir=tmp_path / "front", cluster=cluster)
    open_database(settings.resolved_database_url()).dispose()
    shared = SharedManagers(settings, Channel(8, live=True))
    own = await shared.get(tmp_path / "front" / "own.db", "cpu")
    log = log or EventLog(asyncio.get_running_loop())
    engine = open_database(f"sqlite:///{tmp_path / 'front' / 'rows.db'}")
    rows, numbers = NodeFileRepository(engine), StreamSessionRepository(engine).next_today
    try:
        async with open_cluster(settings, own, store, log, rows, numbers, DailyCounts()) as streams:
            yield streams
    finally:
        await shared.close()


def camera(stream_id: str, analytics: Analytics | None = None) -> StreamSpec:
    return StreamSpec(stream_id, "demo:", max_fps=5, analytics=analytics or {})


async def added(
    streams: StreamDirectory,
    stream_id: str,
    analytics: Analytics | None = None,
    record: Record = "events",
) -> StreamStatus:
    """A new camera, once a node has joined that has room for it."""
    deadline = time.monotonic() + PATIENCE_S
    spec = replace(camera(stream_id, analytics), record=record)
    while True:
        try:
            return await streams.put_camera(spec, replace=False)
        except NotReady:
            assert time.monotonic() < deadline


async def until(streams: StreamDirectory, stream_id: str, state: StreamState) -> float:
    """Wait for a state; returns how long that took."""
    begun = time.monotonic()
    while streams.stream(stream_id).health.state is not state:
        assert time.monotonic() < begun + PATIENCE_S, streams.stream(stream_id).health
        await asyncio.sleep(0.05)
    return time.monotonic() - begun


def kill(raylet: Any) -> None:
    """End a node as a power cut does: its raylet and workers at once."""
    process = psutil.Process(raylet.all_processes["raylet"][0].process.pid)
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)


def kill_process(raylets: list[Any]) -> None:
    """End the process of the only one of these nodes that is left, or has one; its raylet stays."""
    (actor,) = [one for raylet in raylets for one in _workers(raylet) if "NodeActor" in one.name()]
    actor.kill()


def _workers(raylet: Any) -> list[psutil.Process]:
    try:
        return psutil.Process(raylet.all_processes["raylet"][0].process.pid).children()
    except psutil.NoSuchProcess:
        return []


@on_a_loop
async def test_a_killed_nodes_streams_run_on_the_other(tmp_path: Path, raylets: list[Any]) -> None:
    async with front(tmp_path, MemoryStore()) as streams:
        assert (await added(streams, "one")).state is StreamState.RUNNING
        first = streams.node_of("one")
        frames = streams.stream("one").jpegs()
        assert (await anext(frames)).jpeg.startswith(b"\xff\xd8")
        await frames.aclose()

        kill(next(one for one in raylets if one.node_id[:8] in str(first)))
        lost_s = await until(streams, "one", StreamState.RECONNECTING)
        assert str(first) in str(streams.stream("one").health.error)
        assert lost_s + await until(streams, "one", StreamState.RUNNING) < MOVES_WITHIN_S
        assert streams.node_of("one") not in (None, first)
        assert (await streams.stream("one").snapshot()).startswith(b"\xff\xd8")


async def one_after_the_other(relay: RtspServer, path: str) -> None:
    """Wait until the server has had two publishers: the first one's session ended before."""

    def said() -> list[str]:
        return [line for line in relay.log().splitlines() if line.endswith(f" {path}")]

    deadline = time.monotonic() + PATIENCE_S
    while len(said()) < 3:
        assert time.monotonic() < deadline, said()
        await asyncio.sleep(0.1)
    assert said() == [f"published {path}", f"unpublished {path}", f"published {path}"]


@on_a_loop
async def test_the_output_of_a_killed_nodes_stream_has_one_publisher(
    tmp_path: Path, raylets: list[Any], relay: RtspServer
) -> None:
    relay.start()
    spec = StreamSpec("one", "demo:", relay.url("out"), encoder="libx264", max_fps=5)
    async with front(tmp_path, MemoryStore()) as streams:
        await added(streams, "waits-for-nodes")
        assert (await streams.start(spec)).state is StreamState.RUNNING
        await asyncio.to_thread(relay.wait_published, "out")
        first = streams.node_of("one")
        kill(next(one for one in raylets if one.node_id[:8] in str(first)))
        lost_s = await until(streams, "one", StreamState.RECONNECTING)
        assert lost_s + await until(streams, "one", StreamState.RUNNING) < MOVES_WITHIN_S
        assert streams.node_of("one") not in (None, first)
        await one_after_the_other(relay, "/out")
        await streams.disconnect("one")
        relay.wait_gone("out")


@on_a_loop
async def test_events_of_nodes_are_numbered_and_reported_by_the_front(
    tmp_path: Path, raylets: list[Any]
) -> None:
    log = EventLog(asyncio.get_running_loop(), first_id=41)
    with log.subscribed() as events:
        async with front(tmp_path, MemoryStore(), log=log) as streams:
            await added(streams, "one", analytics={"smoking": {}})
            event = await asyncio.wait_for(anext(events), PATIENCE_S)
            assert (event.event_id, event.stream_id) == (41, "one")
            assert event.rule_event.type == "smoking_started"
            assert abs(event.ts - time.time()) < PATIENCE_S
            with streams.stream("one").outcomes(8) as outcomes:
                outcome = await asyncio.wait_for(anext(outcomes), PATIENCE_S)
            assert isinstance(outcome, FrameMetadata)
            assert abs(outcome.captured_at - time.monotonic()) < PATIENCE_S
            video = streams.stream("one").packets()
            assert (await asyncio.wait_for(anext(video), PATIENCE_S)).is_keyframe
            await video.aclose()


@on_a_loop
async def test_streams_go_on_without_a_front_and_the_next_one_finds_them(
    tmp_path: Path, raylets: list[Any]
) -> None:
    store = MemoryStore()
    async with front(tmp_path, store) as streams:
        await added(streams, "one")
        node = streams.node_of("one")
        await until(streams, "one", StreamState.RUNNING)
    begun = time.monotonic()
    async with front(tmp_path, store) as streams:
        await streams.load()
        await until(streams, "one", StreamState.RUNNING)
        assert streams.node_of("one") == node
        uptime_s = streams.stream("one").status.stats.uptime_s
        assert uptime_s > time.monotonic() - begun  # it was not started again
        await streams.disconnect("one")
        with pytest.raises(StreamNotFound):
            streams.stream("one")
    assert store.rows == {}


@on_a_loop
async def test_an_output_goes_on_without_a_front_and_in_a_process_that_is_started_again(
    tmp_path: Path, raylets: list[Any], relay: RtspServer
) -> None:
    relay.start()
    store = MemoryStore()
    spec = StreamSpec("one", "demo:", relay.url("stays"), encoder="libx264", max_fps=5)
    async with front(tmp_path, store) as streams:
        await added(streams, "waits-for-nodes")
        await streams.start(spec)
        await asyncio.to_thread(relay.wait_published, "stays")
    await asyncio.sleep(2 * ClusterSettings().lease_s)  # its node renews the lease itself
    async with front(tmp_path, store) as streams:
        await streams.load()
        await until(streams, "one", StreamState.RUNNING)
        said = [line for line in relay.log().splitlines() if line.endswith(" /stays")]
        assert said == ["published /stays"]
        node = str(streams.node_of("one"))
        kill_process([one for one in raylets if one.node_id[:8] in node])
        await until(streams, "one", StreamState.RECONNECTING)
        await one_after_the_other(relay, "/stays")
        await until(streams, "one", StreamState.RUNNING)
        assert streams.node_of("one") == node
        await streams.disconnect("one")
        await asyncio.to_thread(relay.wait_gone, "stays")


@on_a_loop
async def test_a_stream_stays_at_its_site_and_waits_for_room_there(
    tmp_path: Path, raylets: list[Any]
) -> None:
    async with front(tmp_path, MemoryStore(), {"yard-*": "b", "roof": "nowhere"}) as streams:
        await added(streams, "yard-1")
        await added(streams, "yard-2")
        assert {streams.node_of(f"yard-{n}") for n in (1, 2)} == {streams.node_of("yard-1")}
        assert raylets[1].node_id[:8] in str(streams.node_of("yard-1"))
        with pytest.raises(NotReady, match="site:nowhere"):
            await streams.put_camera(camera("roof"), replace=False)
        with pytest.raises(NotReady, match="1 CPU"):  # both cores of its site are taken
            await streams.put_camera(camera("yard-3"), replace=False)


@on_a_loop
async def test_a_drained_node_is_empty_and_its_streams_keep_one_publisher(
    tmp_path: Path, raylets: list[Any], relay: RtspServer
) -> None:
    relay.start()
    store = MemoryStore()
    spec = StreamSpec("one", "demo:", relay.url("moves"), encoder="libx264", max_fps=5)
    async with front(tmp_path, store) as streams:
        await added(streams, "waits-for-nodes")
        await streams.disconnect("waits-for-nodes")
        await streams.start(spec)
        await asyncio.to_thread(relay.wait_published, "moves")
        leaves = next(one for one in streams.nodes() if "one" in one.streams)
        await streams.drain(leaves.node_id, drain=True)
        await until_drained(streams, leaves.node_id)
        await until(streams, "one", StreamState.RUNNING)
        assert streams.node_of("one") != leaves.name
        await one_after_the_other(relay, "/moves")
    async with front(tmp_path, store) as streams:  # the next one knows
        await until_drained(streams, leaves.node_id)
        await streams.drain(leaves.node_id, drain=False)
        await added(streams, "two")
        await added(streams, "three")
        assert leaves.name in {streams.node_of(name) for name in ("two", "three")}


async def until_drained(streams: StreamDirectory, node_id: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while "drained" not in [one.state for one in streams.nodes() if one.node_id == node_id]:
        assert time.monotonic() < deadline, streams.nodes()
        await asyncio.sleep(0.1)


@on_a_loop
async def test_a_second_front_is_refused(tmp_path: Path, raylets: list[Any]) -> None:
    async with front(tmp_path, MemoryStore()):
        with pytest.raises(SetupError, match="Another server"):
            async with front(tmp_path, MemoryStore()):
                pass


def test_open_nodes_and_other_versions_are_refused() -> None:
    from app import __version__
    from app.cluster.reports import NodeFacts
    from app.cluster.security import check_node

    def facts(version: str = __version__, *, token: bool = True, tls: bool = True) -> NodeFacts:
        return NodeFacts(version, token, tls, "")

    check_node("a", facts(), hosts=2)
    check_node("a", facts(token=False, tls=False), hosts=1)
    with pytest.raises(SetupError, match="RAY_AUTH_MODE=token"):
        check_node("a", facts(token=False), hosts=2)
    with pytest.raises(SetupError, match="does not use TLS"):
        check_node("a", facts(tls=False), hosts=2)
    with pytest.raises(SetupError, match="Install the same version"):
        check_node("a", facts("0.0.1"), hosts=1)
