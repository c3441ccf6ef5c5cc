"""The server contacts only hosts that it is configured to contact."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures import ROOT, START_S, Server, clean_environment, eventually, server

# Runs in every Python process of the server, including children and forks. An attempt to reach
# another machine is recorded and fails: a test must not send what it looks for.
WATCH = """
import os, sys

LOG = os.environ["OUTGOING_LOG"]
HERE = ("127.", "::1", "localhost", "0.0.0.0", "::ffff:127.")


def watch(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event == "subprocess.Popen":
        command = " ".join(map(str, arguments[1] or [])) if arguments[1] else str(arguments[0])
        host = command if any(w in command for w in ("curl", "wget", "pip ")) else None
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host and not str(host).startswith(HERE):
        with open(LOG, "a") as log:
            log.write(f"{event} {host}\\n")
        raise OSError("not in this test")


sys.addaudithook(watch)
"""


NO_PROXY = {"https_proxy": "", "http_proxy": ""}  # the watch itself lets nothing out


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server that runs the demo, and the list of hosts that it tried to reach."""
    folder = tmp_path_factory.mktemp("private")
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    log = folder / "outgoing.log"
    log.touch()
    env = clean_environment(
        folder, PYTHONPATH=f"{folder / 'hook'}:{ROOT}", OUTGOING_LOG=str(log), **NO_PROXY
    )
    with server(folder, "--demo", env=env) as started:
        started.wait_ready()
        eventually(lambda: started.runs("demo"), timeout_s=START_S)
        yield started, log


def test_nobody_is_called_while_the_demo_runs_and_pages_are_read(
    watched: tuple[Server, Path],
) -> None:
    started, log = watched
    for path in ("/docs", "/openapi.json", "/api/version", "/", "/api/streams/demo/jpeg"):
        assert started.get(path, follow_redirects=True).status_code == 200
    assert started.runs("demo")
    assert log.read_text(encoding="utf-8") == ""


def test_the_watch_sees_what_it_should(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    log = tmp_path / "outgoing.log"
    code = (
        "import socket, urllib.request as r\n"
        "for call in (lambda: r.urlopen('http://192.0.2.1/'),\n"
        "             lambda: socket.getaddrinfo('example.com', 80),\n"
        "             lambda: socket.socket(type=2).sendto(b'', ('192.0.2.2', 9))):\n"
        "    try: call()\n"
        "    except OSError: pass\n"
        "socket.getaddrinfo('127.0.0.1', 80)"
    )  # fmt: skip
    env = clean_environment(tmp_path, PYTHONPATH=str(tmp_path), OUTGOING_LOG=str(log), **NO_PROXY)
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)
    seen = log.read_text(encoding="utf-8")
    for host in ("192.0.2.1", "example.com", "192.0.2.2"):
        assert host in seen
    assert "127.0.0.1" not in seen


def test_the_documentation_page_needs_no_other_host(watched: tuple[Server, Path]) -> None:
    started, _ = watched
    page = started.get("/docs").text
    assert re.findall(r"""(?:src|href|url)\s*[=:]\s*["'](?:https?:)?//[^"']+""", page) == []
    assets = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert len(assets) >= 2
    for asset in assets:
        reply = started.get(asset)
        assert reply.status_code == 200, asset
        assert reply.content
    for asset in assets:
        if asset.endswith(".css"):
            assert not re.search(r"(?:@import|url\()\s*[\"']?https?://", started.get(asset).text)


def test_the_schema_shows_every_error_in_the_one_form(watched: tuple[Server, Path]) -> None:
    started, _ = watched
    schema = started.get("/openapi.json").json()
    assert set(schema["components"]["schemas"]["ErrorReply"]["properties"]) == {
        "code",
        "message",
        "details",
    }
    errors = {
        f"{method} {path} {status}": reply
        for path, calls in schema["paths"].items()
        for method, call in calls.items()
        for status, reply in call["responses"].items()
        if status >= "400"
    }
    assert errors
    for name, reply in errors.items():
        assert "ErrorReply" in str(reply), name


def test_the_schema_does_not_promise_a_422_that_never_comes(watched: tuple[Server, Path]) -> None:
    started, _ = watched
    schema = started.get("/openapi.json").json()
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    assert [
        f"{method} {path}"
        for path, calls in schema["paths"].items()
        for method, call in calls.items()
        if "422" in call["responses"]
    ] == []


def test_the_schema_describes_each_group_of_calls(watched: tuple[Server, Path]) -> None:
    started, _ = watched
    schema = started.get("/openapi.json").json()
    described = {tag["name"] for tag in schema["tags"] if tag["description"]}
    used = {
        tag for calls in schema["paths"].values() for call in calls.values() for tag in call["tags"]
    }
    assert used == described
