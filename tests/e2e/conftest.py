"""A real server for each module, without streams at the start of each test."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser
from support import browser as chrome
from support.rtsp import RtspServer
from support.scripted import ScriptedServer
from support.watchpost import Server, wait_all_ended


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """Settings of the module's server; a module that needs others has a fixture of this name."""
    return {}


@pytest.fixture(scope="module")
def running_server(
    relay: RtspServer, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One server for all tests of a module. It must shut down cleanly and leave nothing behind."""
    with Server(tmp_path_factory.mktemp("watchpost"), **settings) as server:
        yield server
        children = server.children()
        assert server.stop() == 0
        wait_all_ended(children)
        assert "Traceback" not in server.log(), server.log()


@pytest.fixture
def server(running_server: Server, relay: RtspServer) -> Iterator[Server]:
    """The module's server, without the streams of earlier tests."""
    yield running_server
    running_server.forget_all()
    assert relay.running, f"the tests' RTSP server ended ({relay.process}):\n{relay.log()}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chrome.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def scripted_server() -> Iterator[ScriptedServer]:
    """A server that says what a test wants, for the page."""
    with ScriptedServer() as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the server's log beside a failure."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server):
        report.sections.append(("Watchpost's log", server.log()[-6000:]))
    return report
