"""Several nodes on one machine, as ``--workers`` starts them."""

from __future__ import annotations

import asyncio
import functools
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import pytest
from fixtures import PATIENCE_S, Server, eventually, python, server

pytest.importorskip("ray", reason="Ray is not installed: pip install 'watchpost[cluster]'")

from support.local_ray import LocalRay, local_front
from support.pictures import patches, write_clip

from app.cluster.core_share import share
from app.cluster.nodes import ClusterNodes
from app.cluster.placed import PlacedStream
from app.cluster.placed_streams import PlacedStreams
from app.cluster.ray_cluster import _places
from app.cluster.streams import ClusterStreams
from app.cluster.workers import Workers
from app.pipeline.registry import NullStreamStore
from app.types import StreamSpec


def two_nodes(reported: dict[str, list[str]], refused: set[str] | None = None) -> ClusterNodes:
    """The nodes ``m-1`` and ``m-2`` of the machine ``m``, with what they say that they run."""
    nodes = {
        name: SimpleNamespace(
            report=SimpleNamespace(
                streams=[
                    SimpleNamespace(status=SimpleNamespace(spec=StreamSpec(one, "demo:")))
                    for one in reported.get(name, ())
                ]
            )
        )
        for name in ("m-1", "m-2")
    }
    fake: Any = SimpleNamespace(
        get=nodes.get,
        items=lambda: list(nodes.items()),
        on_machine=lambda machine: list(nodes) if machine == "m" else [],
        avoided=refused or set(),
        refusals=SimpleNamespace(reasons={}),
    )
    return cast(ClusterNodes, fake)


def streams_on(**nodes: str | None) -> PlacedStreams:
    known = PlacedStreams(NullStreamStore())
    for stream_id, node_id in nodes.items():
        known.add(PlacedStream(StreamSpec(stream_id, "demo:"), node_id=node_id))
    return known


def test_streams_of_a_machine_are_spread_over_its_nodes() -> None:
    workers = Workers(two_nodes({}), streams_on(a=None, b=None, c=None, d=None))
    machines = dict.fromkeys("abcd", "m")
    rooms = workers.rooms(machines)
    assert sorted(cast(list[str], list(rooms.values()))) == ["m-1", "m-1", "m-2", "m-2"]
    assert workers.rooms(machines) == rooms
    assert workers.rooms({"a": None, "b": "elsewhere"}) == {"a": None, "b": "elsewhere"}


def test_a_new_front_leaves_streams_where_they_run_and_spreads_the_others() -> None:
    nodes = two_nodes({"m-2": ["a", "b"]})
    rooms = Workers(nodes, streams_on(a=None, b=None, c=None)).rooms(dict.fromkeys("cba", "m"))
    assert rooms == {"a": "m-2", "b": "m-2", "c": "m-1"}


def test_nothing_starts_on_a_node_that_is_avoided_but_what_runs_there_stays() -> None:
    nodes = two_nodes({"m-1": ["a"]}, refused={"m-1"})
    workers = Workers(nodes, streams_on(a="m-1", b="m-1", c=None))
    assert workers.rooms(dict.fromkeys("abc", "m")) == {"a": "m-1", "b": "m-2", "c": "m-2"}


def test_a_stream_that_has_to_leave_a_node_gets_the_other_one() -> None:
    streams = streams_on(a=None)
    workers = Workers(two_nodes({"m-1": ["a"]}, refused={"m-1"}), streams)
    assert workers.of("a", "m", reported="m-1") == "m-1"
    streams.known("a").starting = True
    assert workers.of("a", "m", reported="m-1") == "m-2"


def test_a_machine_has_as_many_nodes_as_it_says_and_cores_if_ray_may_place_something() -> None:
    def places(**resources: float) -> list[tuple[str, bool]]:
        node = {"NodeID": "m", "NodeName": "m", "NodeManagerAddress": "x", "Resources": resources}
        return [(one.node_id, one.has_cores) for one in _places(node, is_alone=True)]

    assert places(CPU=4.0) == [("m", True)]
    assert places() == [("m", False)]  # ray start --num-cpus 0
    assert places(workers=1.0) == [("m", True)]  # --cluster local
    assert places(workers=2.0) == [("m-1", True), ("m-2", True)]


def test_nodes_share_the_cores() -> None:
    assert [share([0, 1, 2, 3, 4], number, 2) for number in (1, 2)] == [[0, 1], [2, 3, 4]]
    assert share([7], 2, 2) == [7]


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="one core"
)
def test_a_node_uses_its_share_also_in_threads_that_exist(tmp_path: Path) -> None:
    code = (
        "import os, threading\nfrom app.cluster.core_share import take_share\n"
        "go, seen = threading.Event(), []\n"
        "look = lambda: (go.wait(60), seen.append(len(os.sched_getaffinity(0))))\n"
        "thread = threading.Thread(target=look)\nthread.start()\nall = os.sched_getaffinity(0)\n"
        "take_share(2, len(all))\ngo.set()\nthread.join()\n"
        "print(seen[0], os.sched_getaffinity(0) == {sorted(all)[1]})"
    )
    done = python(tmp_path, code)
    assert done.stdout.strip() == "1 True", done.stderr


async def spread_and_emptied(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"m": 9}) as (streams, ray):
        ray.split("m", 2)

        async def until_all_are_used() -> None:
            while len(streams._nodes) < 2:
                await streams.rounds.step()
                await asyncio.sleep(0.05)

        await asyncio.wait_for(until_all_are_used(), PATIENCE_S)
        for name in ("one", "two"):
            await streams.put_camera(StreamSpec(name, "demo:", max_fps=5), replace=False)
        assert {streams.node_of("one"), streams.node_of("two")} == {"m-1", "m-2"}
        await streams.drain("m-1", drain=True)
        await asyncio.wait_for(_until_drained(streams, ray), PATIENCE_S)
        assert {streams.node_of("one"), streams.node_of("two")} == {"m-2"}


async def _until_drained(streams: ClusterStreams, ray: LocalRay) -> None:
    while streams.nodes()[0].state != "drained":
        await streams.rounds.step()
        await asyncio.sleep(0.05)
    assert set(ray.placed().values()) == {"m"}


def test_a_node_is_emptied_onto_the_other_one_of_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHPOST_DATA_DIR", str(tmp_path / "nodes"))
    asyncio.run(spread_and_emptied(tmp_path))


def added(started: Server, camera: dict[str, Any]) -> bool:
    return started.post("/cameras", json=camera).status_code == 201


def test_two_workers_run_streams_in_two_processes(tmp_path: Path) -> None:
    frame = av.VideoFrame.from_ndarray(patches(), format="rgb24").reformat(format="yuv420p")
    write_clip(tmp_path / "clip.mp4", frame)
    with server(tmp_path, "--workers", "2") as started:
        started.wait_ready()
        for name in ("one", "two"):
            camera: dict[str, Any] = {
                "camera_id": name,
                "source": str(tmp_path / "clip.mp4"),
                "loop": True,
            }
            eventually(functools.partial(added, started, camera), f"camera {name} runs")
        nodes = started.get("/api/nodes").json()
        assert sorted(node["streams"] for node in nodes) == [["one"], ["two"]]
        assert started.end() == 0
    assert "Traceback" not in started.output
    assert {path.name for path in (tmp_path / "data").glob("node-*")} == {"node-1", "node-2"}
