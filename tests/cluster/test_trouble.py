"""A front whose Ray fails, and nodes that it must not use."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ParamSpec

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'watchpost[cluster]'")

from ray.exceptions import RaySystemError
from support.local_ray import LocalRay, local_front

from app.api.errors import status_of
from app.cluster import node as cluster_node
from app.cluster import ray_cluster, remote_node, remote_stream
from app.cluster import rounds as front_rounds
from app.cluster import streams as cluster_streams
from app.cluster.placed import PlacedStream
from app.cluster.placed_streams import PlacedStreams
from app.cluster.refusals import Refusals
from app.cluster.streams import ClusterStreams
from app.db.leases import LeaseRepository, open_leases
from app.errors import NodeNotFound, NoOtherNode, NotReady, StoreError
from app.events import RuleEvent
from app.pipeline.registry import NullStreamStore
from app.process import background
from app.types import StoredStream, StreamSpec, StreamState

P = ParamSpec("P")
ROUND_S, PATIENCE_S = 0.05, 60.0


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on an event loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def camera(stream_id: str) -> StreamSpec:
    return StreamSpec(stream_id, "demo:", max_fps=5)


@pytest.fixture(autouse=True)
def data_of_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHPOST_DATA_DIR", str(tmp_path / "nodes"))


async def rounds(streams: ClusterStreams, until: Callable[[], bool]) -> None:
    """Let the front look until something holds."""

    async def look() -> None:
        while not until():
            await streams.rounds.step()
            await asyncio.sleep(ROUND_S)

    await asyncio.wait_for(look(), PATIENCE_S)


async def joined(streams: ClusterStreams, ray: LocalRay) -> None:
    """Wait until all nodes of the cluster are used."""
    await rounds(streams, lambda: len(streams._nodes) == len(ray.alive))


@on_a_loop
async def test_calls_are_answered_503_while_ray_does_not_answer(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"a": 1}) as (streams, ray):
        await joined(streams, ray)
        await streams.put_camera(camera("one"), replace=False)
        ray.failure = RaySystemError("the GCS is away")
        calls: list[Awaitable[object]] = [
            streams.put_camera(camera("two"), replace=False),
            streams.put_camera(camera("one"), replace=True),
            streams.restart("one"),
        ]
        for call in calls:
            with pytest.raises(NotReady, match="Ray does not answer") as caught:
                await call
            assert status_of(caught.value) == 503
        await streams.stop("one")
        assert streams.stream("one").status.state is StreamState.STOPPED
        ray.failure = None
        await rounds(streams, lambda: ray.placed() == {})  # what could not be given back


@on_a_loop
async def test_a_refused_node_is_asked_less_and_less_and_gets_no_stream(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"a": 2, "b": 2}) as (streams, ray):
        ray.alive["b"] = replace(ray.alive["b"], address="10.0.0.2")
        await rounds(streams, lambda: set(streams._nodes.refusals.reasons) == {"a", "b"})
        asked = dict(ray.asked)
        for _ in range(5):
            await streams.rounds.step()
        assert ray.asked == asked  # not in each round
        with pytest.raises(NotReady, match="no node has room"):
            await streams.put_camera(camera("one"), replace=False)
        del ray.alive["b"]
        await rounds(streams, lambda: [node for node, _ in streams._nodes.items()] == ["a"])
        await streams.put_camera(camera("one"), replace=False)
        assert streams.node_of("one") == "a"


@on_a_loop
async def test_nodes_are_checked_again_when_a_second_host_joins(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"a": 2}) as (streams, ray):
        await joined(streams, ray)
        await streams.put_camera(camera("one"), replace=False)
        ray.alive["b"], ray.room["b"] = replace(ray.alive["a"], node_id="b", address="x"), 0
        ray.asked["b"] = 0
        await streams.rounds.step()
        assert "asks for no token" in streams._nodes.refusals.reasons["a"]
        with pytest.raises(NotReady):
            await streams.put_camera(camera("two"), replace=False)
        await streams.rounds.step()
        assert streams.stream("one").status.state is StreamState.RUNNING  # it is not torn down


@on_a_loop
async def test_a_drained_nodes_streams_move_one_after_another_while_there_is_room(
    tmp_path: Path,
) -> None:
    async with local_front(tmp_path, {"a": 3}) as (streams, ray):
        await joined(streams, ray)
        with pytest.raises(NoOtherNode):
            await streams.drain("a", drain=True)
        with pytest.raises(NodeNotFound):
            await streams.drain("b", drain=True)
        for name in ("one", "two", "three"):
            await streams.put_camera(camera(name), replace=False)
        streams._placement._start_timeout_s = 1.0  # for the one that finds no room
        ray.add("b", room=1)
        await joined(streams, ray)
        assert (await streams.drain("a", drain=True)).state == "draining"

        await rounds(streams, lambda: streams.nodes()[0].reason is not None)
        draining, other = streams.nodes()
        assert "no node has room" in str(draining.reason)
        assert len(draining.streams) == 1  # one moved, one waits for room, and the last one stays
        assert len(other.streams) == 1
        (stays,) = draining.streams
        await rounds(streams, lambda: streams.stream(stays).status.state is StreamState.RUNNING)

        (waits,) = {"one", "two", "three"} - {stays, *other.streams}
        ray.add("c", room=2)
        await joined(streams, ray)
        await rounds(streams, lambda: streams.node_of(waits) == "c")
        await rounds(streams, lambda: streams.nodes()[0].state == "drained")
        # The last one may still be on its way: it ended on a, and begins elsewhere.
        await rounds(streams, lambda: _names(streams) == ["one", "three", "two"])
        assert (await streams.drain("a", drain=False)).state == "ready"


def _names(streams: ClusterStreams) -> list[str]:
    """Of all streams on any node."""
    return sorted(name for node in streams.nodes() for name in node.streams)


def test_a_refusal_ends_with_its_node() -> None:
    refusals = Refusals()
    refusals.add("a", "a", "too old", avoided=True)
    refusals.add("b", "b", "no answer", avoided=False)
    assert not refusals.is_due("a")
    assert refusals.avoided == {"a"}
    refusals.keep_only(["b"])
    refusals.lift("b", "b")
    assert refusals.reasons == {}
    assert refusals.is_due("a")


@on_a_loop
async def test_calls_that_hang_keep_no_other_work_from_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_cluster, "ANSWER_S", 0.2)
    hanging = threading.Event()
    try:
        calls = [ray_cluster.ask_ray(hanging.wait, 60) for _ in range(40)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(answer) for answer in answers} == {NotReady}
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 10) == "done"
    finally:
        hanging.set()


@on_a_loop
async def test_a_node_that_could_not_open_is_opened_again(tmp_path: Path) -> None:
    in_the_way = tmp_path / "nodes"
    in_the_way.write_text("no folder", encoding="utf-8")
    async with local_front(tmp_path, {"a": 1}) as (streams, ray):
        await rounds(streams, lambda: "a" in streams._nodes.refusals.reasons)
        in_the_way.unlink()
        await joined(streams, ray)


@on_a_loop
async def test_each_run_on_a_node_has_a_number_of_the_fronts_database(tmp_path: Path) -> None:
    def number(stream_id: str) -> str | None:
        return streams.stream(stream_id).status.stats.session_id

    async with local_front(tmp_path, {"a": 2}) as (streams, ray):
        await joined(streams, ray)
        for name in ("one", "two"):
            await streams.put_camera(camera(name), replace=False)
        await rounds(streams, lambda: None not in (number("one"), number("two")))
        first = {str(number("one")), str(number("two"))}
        assert sorted(one[-5:] for one in first) == ["_0001", "_0002"]
        for _ in range(3):
            await streams.rounds.step()
        assert {number("one"), number("two")} == first  # no run gets a second one

        await streams.restart("one")
        await rounds(streams, lambda: number("one") not in (None, *first))
        assert str(number("one")).endswith("_0003")


@on_a_loop
async def test_a_run_is_numbered_once_the_database_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with local_front(tmp_path, {"a": 1}) as (streams, ray):
        await joined(streams, ray)
        runs = streams.rounds._runs
        working, runs._new_session = runs._new_session, failing
        await streams.put_camera(camera("one"), replace=False)
        await rounds(streams, lambda: "no number yet" in caplog.text)
        assert streams.stream("one").status.stats.session_id is None
        runs._new_session = working
        await rounds(streams, lambda: streams.stream("one").status.stats.session_id is not None)


def failing() -> str:
    raise StoreError(reason="the database is away")


def test_a_call_that_comes_too_late_does_not_connect_again() -> None:
    calls = ray_cluster._Calls()
    connection = calls.connection
    made: list[str] = []
    calls.make(connection, made.append, "in time")
    calls.end(1.0)
    with pytest.raises(ConnectionError):
        calls.make(connection, made.append, "too late")
    calls.make(calls.connection, made.append, "of the next connection")
    assert made == ["in time", "of the next connection"]


class Rows(NullStreamStore):
    """Stored streams, of a database that can fail."""

    def __init__(self, *stream_ids: str) -> None:
        self.stream_ids = stream_ids
        self.fails = False

    def load(self) -> list[StoredStream]:
        if self.fails:
            raise StoreError(reason="the database is away")
        return [
            StoredStream(camera(one), StreamState.RUNNING, None, True) for one in self.stream_ids
        ]


@on_a_loop
async def test_rows_that_could_not_be_read_are_read_again() -> None:
    rows = Rows("one")
    streams = PlacedStreams(rows)
    rows.fails = True
    for _ in range(2):
        with pytest.raises(StoreError):
            await streams.load()
    rows.fails = False
    await streams.load()
    assert [one.spec.stream_id for one in streams] == ["one"]
    rows.fails = True
    await streams.load()  # it is read once
    with pytest.raises(StoreError):
        await streams.reload()
    assert "one" in streams  # what is known is better than nothing


@on_a_loop
async def test_a_server_that_is_the_front_again_ends_nothing_before_it_has_read_what_should_run(
    tmp_path: Path,
) -> None:
    async with local_front(tmp_path, {"a": 1}) as (streams, ray):
        await joined(streams, ray)
        await streams.put_camera(camera("one"), replace=False)
        streams._placed._store = rows = Rows("one")
        role: Any = SimpleNamespace(why_not="another server is the front", take_over=lambda: True)
        working, streams.rounds._role = streams.rounds._role, role
        rows.fails = True
        with pytest.raises(StoreError):
            await streams.rounds._is_front()
        streams.rounds._role = working
        with pytest.raises(StoreError):
            await streams.rounds._is_front()
        assert ray.placed() == {"one": "a"}
        rows.fails = False
        assert await streams.rounds._is_front()
        await joined(streams, ray)
        await streams.rounds.step()
        assert streams.stream("one").status.state is StreamState.RUNNING


@on_a_loop
async def test_the_front_goes_on_after_a_round_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(front_rounds, "EVERY_S", 0.01)
    async with local_front(tmp_path, {"a": 1}) as (streams, _):
        working, failures = streams.rounds.step, [KeyError("a"), StoreError(reason="away")]

        async def step() -> None:
            if failures:
                raise failures.pop()
            await working()

        monkeypatch.setattr(streams.rounds, "step", step)
        async with background(streams.rounds.run(), "rounds"), asyncio.timeout(PATIENCE_S):
            while not len(streams._nodes):
                await asyncio.sleep(0.05)
    assert "a round of the front failed" in caplog.text


@on_a_loop
async def test_a_round_ends_after_all_that_it_has_begun(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"a": 2}) as (streams, ray):
        await joined(streams, ray)
        placement = streams._placement
        for name in ("one", "two"):
            await streams.put_camera(camera(name), replace=False)
        ended: list[str] = []

        async def keep(placed: PlacedStream, _: object) -> None:
            if placed.spec.stream_id == "one":
                raise NotReady(reason="Ray does not answer.")
            await asyncio.sleep(0.1)
            ended.append(placed.spec.stream_id)

        placement._keep_running = keep  # type: ignore[method-assign, assignment]
        with pytest.raises(NotReady):
            await placement.correct()
        assert ended == ["two"]


@on_a_loop
async def test_a_call_does_not_wait_for_ever_for_a_node_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with local_front(tmp_path, {"a": 2}) as (streams, ray):
        await joined(streams, ray)
        await streams.put_camera(camera("one"), replace=False)
        for module in (cluster_streams, remote_node, remote_stream):
            monkeypatch.setattr(module, "TELL_TIMEOUT_S", 0.2)
        monkeypatch.setattr(ClusterStreams, "_start_limit_s", 0.2)
        actor: Any = ray.actor_of("a")
        working = actor.ask

        async def hang(*_: object) -> None:
            await asyncio.Event().wait()

        actor.ask = hang
        calls: list[Awaitable[object]] = [
            streams.put_camera(camera("two"), replace=False),
            streams.put_camera(camera("one"), replace=True),
            streams.restart("one"),
            streams.stream("one").snapshot(),
            anext(streams.stream("one").jpegs()),
        ]
        for call in calls:
            with pytest.raises(NotReady, match="does not answer"):
                await asyncio.wait_for(call, PATIENCE_S)
        actor.ask = working
        with streams.stream("one").outcomes(8) as outcomes, pytest.raises(StopAsyncIteration):
            actor.ask = hang
            await asyncio.wait_for(anext(outcomes), PATIENCE_S)
        actor.ask = working
        gc.collect()
        assert "never retrieved" not in caplog.text
        monkeypatch.undo()
        await streams.put_camera(camera("one"), replace=True)
        await rounds(streams, lambda: list(ray.placed()) == ["one"])


@on_a_loop
async def test_an_order_to_empty_a_node_outlasts_a_report_from_before(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"a": 1, "b": 1}) as (streams, ray):
        await joined(streams, ray)
        actor, node = ray.actor_of("a"), streams._nodes.get("a")
        assert node is not None
        await node.refresh()
        working = actor.drain

        async def drain(wanted: bool) -> None:
            await working(wanted)
            await node.refresh()  # its answer is there before that of this call

        actor.drain = drain  # type: ignore[method-assign, assignment]
        await streams.drain("a", drain=True)
        actor.drain = working  # type: ignore[method-assign]
        await node.refresh()
        assert (node.draining, actor._draining) == (True, True)


@on_a_loop
async def test_events_that_have_waited_long_come_in_several_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_node, "SENT_AT_ONCE", 3)
    async with local_front(tmp_path, {"a": 1}) as (streams, ray):
        await joined(streams, ray)
        actor = ray.actor_of("a")
        log = (await actor._parts()).log
        for _ in range(8):
            log.report("one", RuleEvent("object_appeared"), time.time(), None, None)
        while len(actor._events) < 8:
            await asyncio.sleep(0.01)
        with streams.rounds._log.subscribed() as events:
            for so_far in (3, 6, 8, 8):
                await streams.rounds.step()
                assert len(events.waiting()) == so_far


@on_a_loop
async def test_a_process_that_was_started_again_meets_the_front_and_may_publish(
    tmp_path: Path,
) -> None:
    async with local_front(tmp_path, {"a": 1}) as (streams, ray):
        await joined(streams, ray)
        await streams.put_camera(camera("one"), replace=False)
        await ray.restart("a")
        again = ray.actor_of("a")
        await rounds(streams, lambda: again._fence.keeper is not None)
        assert again._front == streams._role.facts()
        manager = await again._manager()
        await rounds(streams, lambda: len(manager.all()) == 1)
        await rounds(streams, lambda: streams.stream("one").status.state is StreamState.RUNNING)


@on_a_loop
async def test_files_are_those_of_the_process_that_has_their_folder_now(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"a": 1, "b": 1}) as (streams, ray):
        await joined(streams, ray)

        async def name(node_id: str) -> str:
            return (await ray.actor_of(node_id)._parts()).files.name

        before = {node_id: await name(node_id) for node_id in ("a", "b")}
        first = (tmp_path / "nodes" / "node-1" / "name").read_text(encoding="utf-8")
        for node_id in ("a", "b"):
            await ray._actors.pop(node_id)._stack.aclose()
        for node_id in sorted(before, key=lambda one: before[one] == first):
            ray.actor(ray.alive[node_id])
            await name(node_id)
        now = {node_id: await name(node_id) for node_id in ("a", "b")}
        assert now == {"a": before["b"], "b": before["a"]}

        def known() -> dict[str, str]:
            return {one.node.name: name for name, one in streams.files._nodes.items()}

        await rounds(streams, lambda: known() == now)


@on_a_loop
async def test_a_front_with_another_password_of_its_database_is_followed(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"a": 1}) as (streams, ray):
        await joined(streams, ray)
        actor, opened = ray.actor_of("a"), list[str]()
        keeper, facts = actor._fence.keeper, streams._role.facts()

        def open_store(url: str) -> LeaseRepository:
            opened.append(url)
            return open_leases(facts.database_url)

        actor._open_leases = open_store
        await actor.attach(facts)
        assert opened == []
        other = replace(facts, database_url="postgresql://me:another@db/watchpost")
        for _ in range(2):
            await actor.attach(other)
        assert opened == [other.database_url] * 2  # it is looked whether it is the same database
        assert actor._fence.keeper is keeper
        stranger = replace(other, session="not there", database_url="postgresql://me@x/watchpost")
        await actor.attach(stranger)
        assert actor._leases_url == other.database_url
