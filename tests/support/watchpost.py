"""The server as a process, and its HTTP calls."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

from support.poll import eventually

ROOT = Path(__file__).resolve().parents[2]
REPLY_S = 30
"""Longer than any reply may take: a start is answered within ten seconds."""


def clear_view() -> dict[str, Any]:
    """What a request needs that uncovers faces."""
    return {"clear_view": {"reason": "a test", "until": time.time() + 3600}}


class Server:
    """A process of ``run.py`` on a free loopback port, with its own folder.

    Args:
        environment: variables for the process.
        settings: go to the environment: ``streams__backoff_max_s=2`` is
            ``WATCHPOST_STREAMS__BACKOFF_MAX_S=2``.
    """

    def __init__(
        self, folder: Path, environment: dict[str, str] | None = None, **settings: object
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log_file = folder / "watchpost.log"
        self.port = free_port()
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=REPLY_S, trust_env=False
        )
        kept = {key: value for key, value in os.environ.items() if "WATCHPOST_" not in key}
        given = {f"WATCHPOST_{key}".upper(): str(value) for key, value in settings.items()}
        self._environment = kept | given | (environment or {})
        self._environment["PYTHONFAULTHANDLER"] = "1"
        self._child: subprocess.Popen[bytes] | None = None

    # ── the process ──────────────────────────────────────────────────────────────────────

    def start(self, within: float = 180) -> Self:
        """Start the process and wait until it answers."""
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(
                [
                    *(sys.executable, str(ROOT / "run.py"), "--host", "127.0.0.1"),
                    *("--port", str(self.port), "--data-dir", str(self.data)),
                ],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(self._answers, bool, within, "the server answers")
        return self

    def _answers(self) -> bool:
        assert self._child is not None
        assert self._child.poll() is None, f"run.py ended at once:\n{self.log()}"
        try:
            return self.http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def process(self) -> psutil.Process:
        """The server's process, for inspection."""
        assert self._child is not None
        return psutil.Process(self._child.pid)

    def children(self) -> list[psutil.Process]:
        """Its child processes, such as publishers."""
        return self.process.children(recursive=True)

    def command_lines(self) -> dict[str, bytes]:
        """What the list of processes shows of it and its children: arguments and environment."""
        shown: dict[str, bytes] = {}
        for process in [self.process, *self.children()]:
            with contextlib.suppress(psutil.Error):  # a child that has ended, or is about to
                shown[f"command line of {process.pid}"] = "\0".join(process.cmdline()).encode()
                shown[f"environment of {process.pid}"] = repr(process.environ()).encode()
        return shown

    def files(self) -> dict[str, bytes]:
        """The content of each file in its data folder."""
        content: dict[str, bytes] = {}
        for path in self.data.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # a temporary file
                if path.is_file():
                    content[str(path)] = path.read_bytes()
        return content

    def stop(self, within: float = 15) -> int:
        """End it with SIGTERM; return its exit status."""
        return self._end(signal.SIGTERM, within)

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self._end(signal.SIGKILL, 10)

    def _end(self, number: signal.Signals, within: float) -> int:
        child, self._child = self._child, None
        if child is None:
            return 0
        if child.poll() is None:
            child.send_signal(number)
        try:
            return child.wait(within)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGABRT)  # it logs the stacks of its threads
            child.wait()
            raise AssertionError(f"no end within {within:g} s:\n{self.log()}") from None

    def log(self) -> str:
        """All of its output, over all its starts."""
        return (
            self.log_file.read_text(errors="replace", encoding="utf-8")
            if self.log_file.exists()
            else ""
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.http.close()
        status = self.stop()
        if kind is None:
            assert status == 0, f"exit status {status}:\n{self.log()}"

    # ── its streams ──────────────────────────────────────────────────────────────────────

    def get(self, path: str = "", **query: str) -> httpx.Response:
        """GET below /api/streams."""
        return self.http.get(f"/api/streams{path and '/'}{path}", params=query or None)

    def post(self, path: str, **body: object) -> httpx.Response:
        """POST below /api/streams, with a JSON body if one is given."""
        return self.http.post(f"/api/streams/{path}", json=body or None)

    def begin(self, stream_id: str, rtsp_url: str, **options: object) -> dict[str, Any]:
        """Start a stream, which must work, and return the reply's data."""
        if options.get("blur") == "off":
            options |= clear_view()
        return dict(data_of(self.post(f"{stream_id}/start", rtsp_url=rtsp_url, **options)))

    def listed(self) -> dict[str, dict[str, Any]]:
        """The rows of the list, by stream id."""
        return {row["stream_id"]: row for row in data_of(self.get())}

    def show(self, stream_id: str) -> dict[str, Any]:
        """The details of a stream."""
        return dict(data_of(self.get(stream_id)))

    def wait_status(self, stream_id: str, status: str, within: float = 30) -> dict[str, Any]:
        """Wait until a stream's details have this status; return them."""
        return eventually(
            lambda: self.show(stream_id),
            lambda seen: seen["status"] == status,
            within,
            f"{stream_id} is {status}",
        )

    def forget_all(self) -> None:
        """Disconnect every stream, so that the next test finds none."""
        for stream_id in self.listed():
            self.post(f"{stream_id}/disconnect")


def data_of(response: httpx.Response) -> Any:
    """The data of a successful reply, whose envelope must be the contract's."""
    body = response.json()
    assert response.status_code == 200, body
    assert set(body) == {"success", "data"}
    assert body["success"] is True
    return body["data"]


def error_of(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an error reply, which must be of this kind and of the contract's form."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body.get("code")) == (status, code), body
    assert set(body) == {"code", "message", "details"}
    assert body["message"]
    return body


def wait_all_ended(processes: list[psutil.Process], within: float = 5) -> None:
    """Wait until these processes are gone; zombies that nobody reaps count as gone."""
    eventually(
        lambda: [process for process in processes if _alive(process)],
        lambda left: not left,
        within,
        "the end of all child processes",
    )


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    """A TCP port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
