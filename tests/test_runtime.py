"""The composition root: a start that fails at any step leaves nothing behind."""

from __future__ import annotations

import ast
import asyncio
import ctypes
import importlib
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from fixtures import ROOT, eventually
from support.doubles import FaceNetwork

from app import runtime
from app.config import AuthSettings, Settings
from app.data_folder import api_token, locked
from app.db.schedules import ScheduleRepository
from app.errors import DataFolderLocked, SetupError
from app.jobs import Schedule
from app.models.batching import BatchingRunner
from app.models.plates.networks import PlateNetworks
from app.runtime import open_runtime
from app.startup import networks, plates

OTHERS = ("own_footage", "cluster", "node")
"""Those of scripts and of clusters: an ordinary server does not start them."""
BUILDING_BLOCKS = sorted(
    path.stem for path in (ROOT / "app" / "startup").glob("[!_]*.py") if path.stem not in OTHERS
)
MODULES = ("app.runtime", *(f"app.startup.{name}" for name in BUILDING_BLOCKS))
NO_STEP = {
    "background",  # its coroutine would never be awaited
    # only in a cluster
    "open_cluster", "NodeFileRepository", "NullStreamStore", "StreamSessionRepository",
    "available_decoders", "start_demo",  # part of what follows once the server answers
    "SnapshotFolder", "asynccontextmanager", "dataclass", "replace", "AsyncExitStack", "Path",
    "StreamSpec",
}  # fmt: skip

SS_DISABLE = 2  # of <signal.h> on Linux


class Broken(Exception):
    """The error of a failing step."""


def steps() -> list[tuple[str, str]]:
    """Everything that the modules import and call, found in their sources: module and name."""
    return [(module, name) for module in MODULES for name in steps_of(module)]


def steps_of(module: str) -> list[str]:
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    in_threads = [call for call in calls if ast.unparse(call.func) == "asyncio.to_thread"]
    called = {
        name.id
        for name in (*(call.func for call in calls), *(call.args[0] for call in in_threads))
        if isinstance(name, ast.Name)
    }
    return sorted((imported & called) - NO_STEP)


def settings(folder: Path) -> Settings:
    return Settings(_env_file=None, data_dir=folder / "data", claude_api_key="sk-none")


def objects() -> Any:
    """A stand-in for the analytics network that owns a real thread."""
    runner = BatchingRunner(FaceNetwork(name="objects"))
    return SimpleNamespace(runner=runner, close=runner.close, labels=(), longest=640)


def plate_networks() -> PlateNetworks:
    lines, text, smeared = (
        BatchingRunner(FaceNetwork(name=name)) for name in ("lines", "text", "smeared")
    )
    detector: Any = SimpleNamespace(runner=smeared, close=smeared.close, labels=("plate",))
    detector.with_threshold = lambda *_: detector
    return PlateNetworks(lines, text, detector)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks without weights, each with its thread: loading the real ones takes seconds."""
    monkeypatch.setattr(networks, "load_faces", lambda *_: BatchingRunner(FaceNetwork()))
    monkeypatch.setattr(networks, "load_objects", lambda *_: objects())
    monkeypatch.setattr(plates, "load_plates", lambda *_: plate_networks())


def breaks(*_: object, **__: object) -> Any:
    raise Broken


class Traces:
    """Resources of the process that a start could leave behind."""

    def __init__(self) -> None:
        self.threads = set(threading.enumerate())
        self.signals = self._signals()
        self.sockets = self._listening()

    @staticmethod
    def _signals() -> list[Any]:
        return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    @staticmethod
    def _listening() -> set[Any]:
        connections = psutil.Process().net_connections("inet")
        return {one.laddr for one in connections if one.status == psutil.CONN_LISTEN}

    @staticmethod
    def open_files(folder: Path) -> list[str]:
        files = psutil.Process().open_files()
        return [file.path for file in files if Path(file.path).is_relative_to(folder)]

    async def assert_nothing_is_left(self, folder: Path) -> None:
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert self._signals() == self.signals
        assert self._listening() == self.sockets
        assert self.open_files(folder) == []
        with locked(folder / "data"):
            pass
        eventually(lambda: set(threading.enumerate()) <= self.threads, "its threads have ended")


def run(work: Callable[[], Any]) -> None:
    """Run a coroutine function on an event loop of its own, in the main thread."""
    asyncio.run(work())


# ── a start that fails ───────────────────────────────────────────────────────────────────────


def test_the_steps_are_found() -> None:
    names = {name for _, name in steps()}
    assert {"open_database", "load_faces", "load_plates", "EventWriter", "JobManager"} <= names
    assert len(names) > 25
    assert all(steps_of(module) for module in MODULES)


@pytest.mark.parametrize(("module", "step"), steps())
def test_a_step_that_fails_leaves_nothing(
    module: str, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module(module), step, breaks)

    async def fail() -> None:
        traces = Traces()
        with pytest.raises(Broken):
            async with open_runtime(settings(tmp_path)):
                pytest.fail(f"{step} of {module} is not part of the start")
        await traces.assert_nothing_is_left(tmp_path)

    run(fail)


def test_a_start_in_a_folder_that_is_in_use_leaves_nothing(tmp_path: Path) -> None:
    async def fail() -> None:
        traces = Traces()
        with locked(tmp_path / "data"), pytest.raises(DataFolderLocked):
            async with open_runtime(settings(tmp_path)):
                pytest.fail("it started")
        await traces.assert_nothing_is_left(tmp_path)

    run(fail)


# ── an orderly end ───────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[runtime.Runtime]:
    async with open_runtime(settings(folder)) as parts:
        yield parts


def test_an_orderly_end_leaves_nothing_and_it_can_start_again(tmp_path: Path) -> None:
    async def twice() -> None:
        traces = Traces()
        for _ in range(2):
            async with started(tmp_path):
                assert len(threading.enumerate()) > len(traces.threads)
                assert Traces().signals != traces.signals
                with pytest.raises(DataFolderLocked), locked(tmp_path / "data"):
                    pass
            await traces.assert_nothing_is_left(tmp_path)

    run(twice)


def test_a_query_in_progress_ends_before_the_database_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task that waits for it is cancelled, its thread continues."""
    began, read = threading.Event(), ScheduleRepository.all

    def slow(schedules: ScheduleRepository) -> list[Schedule]:
        began.set()
        time.sleep(0.3)
        return read(schedules)

    monkeypatch.setattr(ScheduleRepository, "all", slow)

    async def work() -> None:
        traces = Traces()
        async with started(tmp_path):
            assert await asyncio.to_thread(began.wait, 10)
        await traces.assert_nothing_is_left(tmp_path)

    run(work)


def test_an_error_while_it_runs_leaves_nothing(tmp_path: Path) -> None:
    async def fail() -> None:
        traces = Traces()
        with pytest.raises(Broken):
            async with started(tmp_path):
                raise Broken
        await traces.assert_nothing_is_left(tmp_path)

    run(fail)


def test_blocking_calls_are_possible_after_the_end(tmp_path: Path) -> None:
    """A loop may outlive a runtime, as in tests that serve several apps."""

    async def work() -> None:
        async with started(tmp_path):
            assert (await asyncio.to_thread(threading.current_thread)).name.startswith("worker")
        assert await asyncio.to_thread(int, "5") == 5

    run(work)


def test_a_background_task_that_fails_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise Broken

    monkeypatch.setattr(runtime, "_resume", broken)

    async def work() -> None:
        async with started(tmp_path):
            await asyncio.sleep(0.05)

    run(work)
    assert "'resume' failed" in caplog.text


def use_the_ordinary_stack_for_signals() -> None:
    """Drop the stack that this thread has for signal handlers.

    OpenVINO 2026.4 sets one in each thread that infers. After two networks are freed in the order
    in which they were used, it is one that was freed, too, and the next signal ends the process
    with a segmentation fault. The server infers in threads that get no signals; tests of networks
    do in this one.
    """
    disabled = SignalStack(None, SS_DISABLE, 0)
    assert ctypes.CDLL(None).sigaltstack(ctypes.byref(disabled), None) == 0


class SignalStack(ctypes.Structure):
    """``stack_t`` of Linux."""

    _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def test_a_signal_tells_the_streams_and_the_earlier_handler(tmp_path: Path) -> None:
    if sys.platform == "linux":
        use_the_ordinary_stack_for_signals()
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:

        async def work() -> None:
            async with started(tmp_path) as parts:
                signal.raise_signal(signal.SIGTERM)
                await asyncio.sleep(0.05)
                assert parts.manager.closing

        run(work)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


# ── the token ────────────────────────────────────────────────────────────────────────────────


def test_the_token_is_made_once_and_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = api_token(settings(tmp_path))
    assert capsys.readouterr().out.count(made) == 1
    assert api_token(settings(tmp_path)) == made
    assert capsys.readouterr().out == ""


def test_a_token_that_was_given_is_not_stored(tmp_path: Path) -> None:
    given = settings(tmp_path).model_copy(update={"auth": AuthSettings(token="given")})
    assert api_token(given) == "given"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    with pytest.raises(SetupError, match=r"Data folder .*data: "):
        api_token(settings(tmp_path))
