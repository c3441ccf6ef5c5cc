"""Shared by all tests: a real RTSP server with a camera on it, where the machine can run one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.rtsp import RtspServer, available, make_video


@pytest.fixture(scope="session")
def relay() -> Iterator[RtspServer]:
    """An RTSP server that takes and gives streams; tests that need one are skipped without."""
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
    """The URL of a camera that shows the pattern, for tests that leave it alone."""
    relay.publish_file("cam", video)
    return relay.url("cam")
