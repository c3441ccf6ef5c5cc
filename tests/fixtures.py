"""Shared by tests of several folders: waiting, servers in their own processes, ASGI calls."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 30.0
START_S = 180.0
"""Until a server answers that shares the CPU with other tests."""
LOOPBACK = ("127.0.0.1", 50_000)
REMOTE = ("192.0.2.77", 50_000)
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For calls without TLS: else httpx reads all certificate authorities anew, 17 ms a call."""


def eventually(
    condition: Callable[[], Any], what: str = "", *, timeout_s: float = PATIENCE_S
) -> Any:
    """Return the condition's value once it is true; fail if it never is."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {timeout_s} s: {what or condition}")
        time.sleep(0.01)
    return value


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """An environment without the settings and the opt-outs of the person who runs the tests.

    The proxy leads nowhere, so that no library can contact other hosts.
    """
    drop = re.compile(r"(?i)WATCHPOST_|PYTEST_|(CI|TF_BUILD|JENKINS_URL|PYTHONPATH|\w+_proxy)$")
    kept = {name: value for name, value in os.environ.items() if not drop.match(name)}
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    mine = {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return {**kept, **nowhere, **mine, **more}


@dataclass
class Server:
    """A server process, with its output so far and calls to it."""

    process: subprocess.Popen[str]
    port: int
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\n"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self._call("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self._call("POST", path, **options)

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return httpx.request(
            method,
            self.url + path,
            timeout=PATIENCE_S,
            trust_env=False,
            verify=NO_AUTHORITIES,
            **options,
        )

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output}")
        with contextlib.suppress(httpx.TransportError):
            return self.get("/healthz").status_code == 200
        return False

    def wait_ready(self) -> Server:
        eventually(self.answers, "the server answers", timeout_s=START_S)
        return self

    def runs(self, stream_id: str) -> bool:
        reply = self.get(f"/api/streams/{stream_id}")
        return reply.status_code == 200 and reply.json()["data"]["status"] == "running"

    def end(self, number: int = signal.SIGTERM) -> int:
        """End the process and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code


@contextlib.contextmanager
def server(
    cwd: Path,
    *arguments: str,
    program: str = sys.executable,
    command: tuple[str, ...] = (str(ROOT / "run.py"), "--host", "127.0.0.1"),
    port: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Start a server in its own folder; it is always ended with the block."""
    port = port or free_port()
    process = subprocess.Popen(
        [program, *command, "--port", str(port), *arguments],
        cwd=cwd,
        env=env or clean_environment(cwd),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    started = Server(process, port)
    try:
        yield started
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        started.wait()


def python(
    cwd: Path, code: str, *, timeout_s: float = 2 * PATIENCE_S, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run Python code in a fresh interpreter, in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=clean_environment(cwd, **more),
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_s,
        check=False,
    )


# ── ASGI without a server ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Running:
    """An app within its lifespan."""

    app: Any
    state: Mapping[str, Any]

    async def asgi(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """The app, with the state of its lifespan, as a server passes it."""
        await self.app({**scope, "state": dict(self.state)}, receive, send)

    def client(
        self,
        address: tuple[str, int] = LOOPBACK,
        base_url: str = "http://localhost:8000",
        **options: Any,
    ) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.asgi, raise_app_exceptions=False, client=address)
        return httpx.AsyncClient(transport=transport, base_url=base_url, **options)


@contextlib.asynccontextmanager
async def running(app: Any) -> AsyncIterator[Running]:
    async with app.router.lifespan_context(app) as state:
        yield Running(app, state or {})


@dataclass
class Reply:
    """The reply of an ASGI app; ``status`` is None if a WebSocket was accepted."""

    messages: list[dict[str, Any]]

    @property
    def accepted(self) -> bool:
        return any(m["type"] == "websocket.accept" for m in self.messages)

    @property
    def closed_with(self) -> int | None:
        return next((m["code"] for m in self.messages if m["type"] == "websocket.close"), None)

    @property
    def status(self) -> int | None:
        kinds = ("http.response.start", "websocket.http.response.start")
        return next((int(m["status"]) for m in self.messages if m["type"] in kinds), None)

    @property
    def headers(self) -> dict[str, str]:
        start = next(m for m in self.messages if m["type"].endswith("response.start"))
        return {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in start["headers"]
        }

    @property
    def body(self) -> bytes:
        return b"".join(
            m.get("body", b"") for m in self.messages if m["type"].endswith("response.body")
        )


async def asgi(
    app: Any,
    path: str = "/",
    *,
    method: str = "GET",
    client: tuple[str, int] | None = LOOPBACK,
    headers: Mapping[str, str] | None = None,
    query: str = "",
    kind: str = "http",
    extensions: Mapping[str, Any] | None = None,
) -> Reply:
    """Make one raw ASGI call; ``Host`` is localhost unless the headers give another."""
    named = {"host": "localhost:8000", **{k.lower(): v for k, v in (headers or {}).items()}}
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws" if kind == "websocket" else "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in named.items()],
        "client": client,
        "server": ("127.0.0.1", 8000),
        "state": {},
        "extensions": dict(extensions or {}),
    }
    if kind == "websocket":
        scope["subprotocols"] = []
    else:
        scope["method"] = method
    sent: list[dict[str, Any]] = []
    first = {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request"}
    incoming = iter([{**first, "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        gone = "websocket.disconnect" if kind == "websocket" else "http.disconnect"
        return next(incoming, {"type": gone, "code": 1000})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return Reply(sent)
