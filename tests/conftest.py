"""Shared by all tests: the list of slow tests, and a real RTSP server with a camera."""

from __future__ import annotations

import gc
import logging
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.rtsp import RtspServer, available, make_video

LONG = (
    "analytics/test_bags.py",
    "analytics/test_face_scanner.py",
    "analytics/test_staged.py",
    "api/test_camera.py",
    "api/test_camera_setup.py",
    "api/test_demo.py",
    "api/test_events.py",
    "api/test_generated_calls.py",
    "api/test_plates.py",
    "api/test_secrets.py",
    "api/test_space.py",
    "cluster/test_cluster.py",
    "cluster/test_cluster_jobs.py",
    "cluster/test_front_jobs.py",
    "cluster/test_node_files.py",
    "cluster/test_workers.py",
    "db/test_sealed_urls.py",
    "e2e",
    "models/test_claude.py",
    "models/test_command.py",
    "models/test_devices.py",
    "models/test_shipped.py",
    "models/test_ultralytics.py",
    "notify/test_apprise.py",
    "notify/test_kill.py",
    "notify/test_mqtt.py",
    "pipeline/test_http.py",
    "pipeline/test_played.py",
    "pipeline/test_substream.py",
    "recording/test_job_manager.py",
    "test_cameras.py",
    "test_docs.py",
    "test_lean.py",
    "test_private.py",
    "test_run.py",
    "test_tls.py",
    "test_training_cars.py",
    "test_training_faces.py",
    "test_training_join.py",
    "test_training_plates.py",
    "test_wheel.py",
)
"""Files and folders whose tests start servers or programs, or run networks for seconds."""

ALONE = (
    "cluster/test_cluster.py",
    "cluster/test_cluster_jobs.py",
    "cluster/test_front_jobs.py",
    "cluster/test_node_files.py",
    "e2e/test_cycles.py",
    "e2e/test_memory.py",
    "e2e/test_prometheus.py",
    "e2e/test_zones.py",
)
"""Those that need the CPU for themselves, to meet time limits, to count what is left behind, or
because no alarm may be raised."""


class _Loggers(dict[str, Any]):
    """All loggers by name, which may be walked while another thread makes one.

    pytest walks them at each step of a test. A thread that an earlier test left importing
    (a network that is still being compiled) adds some meanwhile, which a plain dict answers
    with a `RuntimeError` in a test that has nothing to do with it.
    """

    def values(self) -> Any:
        return list(super().values())  # in one step under the GIL


def pytest_configure() -> None:
    """Let loggers be made while pytest walks them."""
    manager = logging.Logger.manager
    manager.loggerDict = _Loggers(manager.loggerDict)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import the tests without garbage collections: nothing is freed, and they take a third."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import files without a test that is asked for: all take half a minute."""
    path = collection_path.relative_to(Path(__file__).parent).as_posix()
    match config.option.markexpr:
        case "not long":
            ignored = path in LONG
        case "not alone" | "long and not alone":
            ignored = path in ALONE
        case "alone":
            ignored = collection_path.suffix == ".py" and not _runs_alone(path, collection_path)
        case _:
            ignored = False
    return ignored or None


def _runs_alone(path: str, file: Path) -> bool:
    """Whether a file, or one of its tests, runs beside no other."""
    return path in ALONE or "pytest.mark.alone" in file.read_text(encoding="utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and those that must not run beside others; slow ones come first.

    So no process is still busy with a long file when the others have nothing left to do.
    """
    here = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(here)
        if path.as_posix() in LONG or path.parts[0] in LONG:
            item.add_marker("long")
        if path.as_posix() in ALONE:
            item.add_marker("alone")
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def relay() -> Iterator[RtspServer]:
    """An RTSP server for publishers and readers; without it, tests that need it are skipped."""
    if reason := available():
        pytest.skip(reason)
    with RtspServer() as server:
        yield server


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A moving pattern, 640 x 360 at 15 frames a second, without faces."""
    return make_video(tmp_path_factory.mktemp("video") / "pattern.mp4", gop=8)


@pytest.fixture(scope="session")
def camera(relay: RtspServer, video: Path) -> str:
    """The URL of a camera with the pattern, for tests that do not change it."""
    relay.publish_file("cam", video)
    return relay.url("cam")
