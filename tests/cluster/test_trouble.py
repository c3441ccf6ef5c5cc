"""A front whose Ray fails, and nodes that it must not use."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'watchpost[cluster]'")

from ray.exceptions import RaySystemError
from support.local_ray import LocalRay, local_front

from app.api.errors import status_of
from app.cluster import ray_cluster
from app.cluster.refusals import Refusals
from app.cluster.streams import ClusterStreams
from app.errors import NodeNotFound, NoOtherNode, NotReady, StoreError
from app.types import StreamSpec, StreamState

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
