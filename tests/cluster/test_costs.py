"""Placement by measured costs: nodes measure once, and streams ask for what follows from it."""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'watchpost[cluster]'")

from support.local_ray import local_front

from app.cluster import node_costs
from app.cluster.node_costs import FILE, NodeCosts
from app.cluster.placed import PlacedStream
from app.cluster.stream_shares import StreamShares
from app.config import ClusterSettings, DeviceName, Settings
from app.doctor.findings import Finding, Phrase, problem
from app.doctor.measure import Costs
from app.doctor.stream_cost import REFERENCE, cpu_cores
from app.types import StreamSpec

PATIENCE_S = 60.0
FAST = replace(REFERENCE, decode=3.0, objects=10.0)
GATE = PlacedStream(StreamSpec("gate", "rtsp://192.0.2.1/a", analytics={"bags": {}}))


def cpu(costs: Costs) -> float:
    return cpu_cores(GATE.spec, GATE.status.stats, costs, 5.0)


def shares(device: str = "auto", **settings: object) -> StreamShares:
    return StreamShares(ClusterSettings.model_validate(settings), cast(DeviceName, device), 5.0)


class Measuring:
    """Stands in for the child process that measures."""

    def __init__(self, *outcomes: Costs | Finding) -> None:
        self.outcomes = list(outcomes)

    def __call__(self) -> Costs | Finding:
        return self.outcomes.pop(0)


# ── what streams ask for ─────────────────────────────────────────────────────────────────────


def test_a_stream_asks_for_what_the_slowest_machine_needs() -> None:
    assert shares().of(GATE, [FAST]) == {"CPU": cpu(FAST)}
    assert shares().of(GATE, [FAST, REFERENCE]) == {"CPU": cpu(REFERENCE)}
    assert shares().of(GATE, []) == {"CPU": cpu(REFERENCE)}  # none is measured yet
    assert cpu(FAST) < cpu(REFERENCE)


def test_a_setting_overrides_what_was_measured() -> None:
    fixed = shares(cpu_per_stream=0.7, sites={"ga*": "north"})
    assert fixed.of(GATE, [FAST]) == {"CPU": 0.7, "site:north": 0.001}
    assert not fixed.needs_costs
    assert shares().needs_costs


def test_a_device_is_asked_for_where_one_is_set() -> None:
    accelerated = replace(FAST, device_ms=(1.0, 10.0))
    assert shares("cpu").of(GATE, [FAST]) == {"CPU": cpu(FAST)}
    assert shares("npu").of(GATE, [FAST]) == {"CPU": cpu(FAST), "device:npu": 0.001}
    asked = shares("cuda").of(GATE, [FAST, accelerated])
    assert asked == {
        "CPU": cpu(FAST),
        "GPU": pytest.approx(0.09),
    }  # 15 faces and 6.5 objects a second


def test_on_this_machine_alone_no_stream_is_refused_for_want_of_cores() -> None:
    alone = shares(workers=2)
    assert "CPU" not in alone.of(GATE, [REFERENCE])
    assert not alone.needs_costs


# ── measuring ────────────────────────────────────────────────────────────────────────────────


def test_a_machine_is_measured_once(tmp_path: Path) -> None:
    async def get(measuring: Measuring, device: str = "cpu") -> Costs | None:
        settings = Settings(data_dir=tmp_path, device=cast(DeviceName, device))
        costs = NodeCosts(settings, tmp_path / FILE, measuring)
        first, second = await asyncio.gather(costs.get(), costs.get())
        assert first is second
        return first

    assert asyncio.run(get(Measuring(FAST))) == FAST
    assert asyncio.run(get(Measuring())) == FAST  # after a restart
    assert asyncio.run(get(Measuring(REFERENCE), device="auto")) == REFERENCE


def test_another_machine_with_the_same_folder_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    asyncio.run(NodeCosts(settings, tmp_path / FILE, Measuring(FAST)).get())
    monkeypatch.setattr(node_costs, "cpu_name", lambda: "another CPU")
    again = NodeCosts(settings, tmp_path / FILE, Measuring(REFERENCE))
    assert asyncio.run(again.get()) == REFERENCE


def test_what_cannot_be_measured_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def twice() -> list[Costs | None]:
        failing = Measuring(problem("speed", Phrase("no network"), Phrase("install one")), FAST)
        costs = NodeCosts(Settings(data_dir=tmp_path), tmp_path / FILE, failing)
        return [await costs.get(), await costs.get()]

    (tmp_path / FILE).write_text("{}", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(twice()) == [None, FAST]
    assert "could not be measured: no network" in caplog.text


def test_what_failed_while_it_was_measured_is_tried_again(tmp_path: Path) -> None:
    failures = [OSError("no child process")]

    def measure() -> Costs:
        if failures:
            raise failures.pop()
        return FAST

    async def twice() -> Costs | None:
        costs = NodeCosts(Settings(data_dir=tmp_path), tmp_path / FILE, measure)
        with pytest.raises(OSError, match="no child"):
            await costs.get()
        return await costs.get()

    assert asyncio.run(twice()) == FAST


async def streams_do_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = asyncio.Event()

    async def get(_: NodeCosts) -> Costs:
        await measured.wait()
        return FAST

    monkeypatch.setattr(NodeCosts, "get", get)
    spec = functools.partial(StreamSpec, source="demo:", max_fps=5)
    async with local_front(tmp_path, {"a": 9}, ClusterSettings()) as (streams, ray):

        async def until_joined() -> None:
            while len(streams._nodes) < 1:
                await streams.rounds.step()
                await asyncio.sleep(0.05)

        async def until_measured() -> None:
            while not streams._nodes.costs:
                await asyncio.sleep(0.05)

        await asyncio.wait_for(until_joined(), PATIENCE_S)
        await streams.put_camera(spec("one"), replace=False)
        measured.set()
        await asyncio.wait_for(until_measured(), PATIENCE_S)
        await streams.put_camera(spec("two"), replace=False)
        assert ray.asked_for["two"]["CPU"] < ray.asked_for["one"]["CPU"]


def test_streams_do_not_wait_until_a_machine_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHPOST_DATA_DIR", str(tmp_path / "nodes"))
    asyncio.run(streams_do_not_wait(tmp_path, monkeypatch))
