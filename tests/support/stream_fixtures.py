"""Fixtures for streams without a network: cameras, detectors and outputs that tests control.

A folder of tests gets them all with ``from support.stream_fixtures import *`` in its conftest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.budget import StreamBudget
from app.config import FaceSettings, StreamSettings
from app.models.batching import BatchingRunner
from app.models.faces import FaceDetector
from app.pipeline.sinks import SINKS
from app.pipeline.sources import SOURCES
from app.pipeline.stream import Stream
from app.pipeline.subscribers import Subscribers
from app.types import StreamSpec
from support.doubles import PATIENCE_S, Camera, FaceNetwork, FarEnd, write_video

SOURCE = "rtsp://user:hidden@192.0.2.1/cam"
OUTPUT = "rtsp://192.0.2.1/cam-blur"

__all__ = [
    "anyio_backend",
    "camera",
    "face_settings",
    "faces",
    "far_end",
    "network",
    "runner",
    "settings",
    "start",
    "video",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings() -> StreamSettings:
    """Short limits, so that lost ends are noticed and retried quickly."""
    return StreamSettings(
        start_timeout_s=20,
        stop_timeout_s=10,
        stall_timeout_s=5,
        backoff_first_s=0.01,
        backoff_max_s=0.05,
    )


@pytest.fixture
def face_settings() -> FaceSettings:
    return FaceSettings(width=640, timeout_s=15)


@pytest.fixture
def network() -> FaceNetwork:
    return FaceNetwork()


@pytest.fixture
def runner(network: FaceNetwork) -> Iterator[BatchingRunner]:
    runner = BatchingRunner(network)
    yield runner
    network.answering.set()
    runner.close()


@pytest.fixture
def faces(runner: BatchingRunner) -> FaceDetector:
    return FaceDetector(runner, min_confidence=0.12)


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[Camera]:
    """The source of every ``rtsp:`` input in a test."""
    camera = Camera()
    monkeypatch.setitem(SOURCES, "rtsp", camera.source)
    yield camera
    camera.release()


@pytest.fixture
def far_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[FarEnd]:
    """The sink of every ``rtsp:`` output in a test."""
    far_end = FarEnd()
    monkeypatch.setitem(SINKS, "rtsp", far_end.sink)
    yield far_end
    far_end.release()


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """Makes small H.264 files."""

    def make(name: str = "video.mp4", **options: int) -> Path:
        path = tmp_path / name
        write_video(path, **options)
        return path

    return make


@pytest.fixture
def start(
    settings: StreamSettings,
    face_settings: FaceSettings,
    faces: FaceDetector,
    camera: Camera,
    far_end: FarEnd,
) -> Iterator[Callable[..., Stream]]:
    """Starts streams and stops them at the end of the test."""
    loop = asyncio.new_event_loop()
    streams: list[Stream] = []

    def start(
        *,
        keeps_trying: bool = False,
        analyzer: object = None,
        budget: StreamBudget | None = None,
        **options: object,
    ) -> Stream:
        values = {"stream_id": "cam", "source": SOURCE, "output": OUTPUT, "max_fps": 60}
        spec = StreamSpec(**{**values, **options})  # type: ignore[arg-type]
        stream = Stream(
            spec,
            settings,
            face_settings,
            faces,
            Subscribers.on(loop),
            analyzer=analyzer,  # type: ignore[arg-type]
            budget=budget,
            keeps_trying=keeps_trying,
        )
        streams.append(stream)
        stream.start()
        return stream

    yield start
    camera.release()
    far_end.release()
    for stream in streams:
        stream.supervisor.stop(PATIENCE_S)
    loop.close()
