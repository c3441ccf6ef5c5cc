"""A rule is one file and one line in ``RULES``; no other code depends on it."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from fixtures import Running, running
from prometheus_client.parser import text_string_to_metric_families

from app import config, types
from app.analytics import analyzer
from app.analytics.analyzer import AnalyzerFactory
from app.analytics.rules import RULES, FramePixels, read_rule_settings
from app.config import AuthSettings, ObjectSettings, Settings
from app.errors import InvalidRequest
from app.events import RuleEvent
from app.main import create_app
from app.models.batching import Image
from app.types import Analytics, Box, Detection, StreamSpec, StreamState, StreamStats, StreamStatus

SOURCE = """
from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from app.analytics.rules.base import AnalyzedFrame, RuleEntry
from app.events import RuleEvent


class CrowdSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    people: int = Field(2, ge=1, description="This many people are a crowd.")
    watch: list[list[tuple[float, float]]] = []
    ignore: list[list[tuple[float, float]]] = []


class CrowdRule:
    crop_labels: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: CrowdSettings) -> None:
        self._settings = settings
        self.counts = {"crowd": 0}

    def update(self, frame: AnalyzedFrame) -> list[RuleEvent]:
        people = frame.labelled("person")
        self.counts = {"crowd": int(len(people) >= self._settings.people)}
        if not self.counts["crowd"]:
            return []
        return [RuleEvent("crowd_formed", details={"watch": self._settings.watch})]

    def end(self) -> list[RuleEvent]:
        return []


ENTRY = RuleEntry(
    summary="Many people at once.",
    make=CrowdRule,
    settings=CrowdSettings,
    events={"crowd_formed": "Enough people stand together."},
    wants_zones=True,
    counts=("crowd",),
)
"""
SIZE = (1280, 720)
WATCHED = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
CROWD: Analytics = {"crowd": {}}
FOUR = [Detection("person", 0.9, Box(x, 100, x + 150, 600)) for x in range(0, 1200, 300)]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The one file, and its one line."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "crowd.py"
    file.write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("crowd", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(RULES, "crowd", module.ENTRY)
    return module


@pytest.fixture
async def served(rule: ModuleType, tmp_path: Path) -> AsyncIterator[Running]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        auth=AuthSettings(disabled=True),
    )
    async with running(create_app(settings)) as app:
        yield app


class Network:
    """A detector that finds the same people in every frame."""

    longest = 640
    labels = ("person",)

    def for_labels(self, labels: Any) -> Network:
        return self

    def submit(self, image: Any) -> Network:
        return self

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        return FOUR


def black_frame(longest: int) -> Image:
    return np.zeros((longest * 9 // 16, longest, 3), np.uint8)


def events_of(spec: StreamSpec) -> tuple[list[RuleEvent], dict[str, int]]:
    """The events of a stream for one frame, and its counts."""
    analyzers = AnalyzerFactory(ObjectSettings(), read_rule_settings(), Network())  # type: ignore[arg-type]
    work = analyzers.create(spec)
    assert work is not None
    image = black_frame
    pixels = FramePixels(SIZE, lambda _: image(64), image, 1.0)
    _, rule_events = work.process(work.submit(1.0, image), [], pixels, SIZE)
    return rule_events, dict(work.counts)


def test_it_runs_on_a_stream(rule: ModuleType) -> None:
    zones = [types.Zone("watch", WATCHED)]
    rule_events, counts = events_of(StreamSpec("a", "demo:", analytics=CROWD, zones=zones))
    assert [rule_event.type for rule_event in rule_events] == ["crowd_formed"]
    assert rule_events[0].details["watch"] == [list(WATCHED)], "it has the stream's zones"
    assert (counts["crowd"], counts["person"]) == (1, 4)


def test_a_stream_and_the_environment_change_its_settings(
    rule: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHPOST_CROWD__PEOPLE", "5")
    rule_events, counts = events_of(StreamSpec("a", "demo:", analytics=CROWD))
    assert (rule_events, counts["crowd"]) == ([], 0)
    rule_events, _ = events_of(StreamSpec("a", "demo:", analytics={"crowd": {"people": 4}}))
    assert [rule_event.type for rule_event in rule_events] == ["crowd_formed"]
    with pytest.raises(InvalidRequest) as caught:
        events_of(StreamSpec("a", "demo:", analytics={"crowd": {"people": 0}}))
    assert caught.value.details["field"] == "analytics.crowd.people"


@pytest.mark.anyio
async def test_it_is_in_docs_and_metrics_from_the_start(served: Running) -> None:
    async with served.client() as client:
        schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
        documented = schemas["Rule_crowd"]
        assert documented["properties"]["people"]["description"] == "This many people are a crowd."
        assert "`crowd_formed`: Enough people stand together." in documented["description"]
        taking = [name for name, schema in schemas.items() if "Rule_crowd" in str(schema)]
        assert {"StartRequest", "PushRequest"} <= set(taking)

        assert await counted(client) == 0
        served.state["event_log"].report("a", RuleEvent("crowd_formed"), 0.0, None)
        assert await counted(client) == 1


async def counted(client: Any) -> float:
    """Events of the rule in ``/metrics``."""
    (value,) = [
        sample.value
        for family in text_string_to_metric_families((await client.get("/metrics")).text)
        for sample in family.samples
        if sample.name == "watchpost_events_total" and sample.labels["type"] == "crowd_formed"
    ]
    return value


def test_what_it_counts_is_a_kind_in_metrics(rule: ModuleType) -> None:
    from app.api.metrics import _streams

    spec = StreamSpec("a", "demo:")
    statuses = [
        StreamStatus(spec, StreamState.RUNNING, StreamStats(followed=followed))
        for followed in ({}, {"crowd": 3})
    ]
    for status, expected in zip(statuses, (0, 3), strict=True):
        (family,) = [f for f in _streams([(status, None)]) if f.name == "watchpost_stream_followed"]
        kinds = {sample.labels["kind"]: sample.value for sample in family.samples}
        assert kinds == {"face": 0, "person": 0, "bag": 0, "owned_bag": 0, "crowd": expected}


@pytest.mark.parametrize("module", [analyzer, config, types], ids=lambda module: module.__name__)
def test_no_rule_is_named_elsewhere(module: ModuleType) -> None:
    """Neither as a word nor in a name. ``plates`` and ``objects`` are also sections of the
    settings, and the detection of objects is a part of what a busy machine gives up."""
    tree = ast.parse(inspect.getsource(module))
    words = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    fields = {
        n.target.id
        for n in ast.walk(tree)
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
    }
    own = {config: {"plates", "objects"}, types: {"objects"}}.get(module, set())
    assert not (words | fields) & (set(RULES) - own)
