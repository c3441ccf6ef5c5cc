"""A real HTTP receiver that accepts, refuses, hangs, lies, goes away and comes back."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]


Behaviour = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Notes each request, then behaves as the receiver says."""

    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.receiver.received.append(Received(self.path, headers, body))
        with contextlib.suppress(OSError):
            self.server.receiver.behaviour(self)

    do_PUT = do_POST  # noqa: N815

    def answer(self, status: int, text: str = "", **headers: str) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def accept(handler: Handler) -> None:
    handler.answer(200, "thanks")


def answers(status: int, text: str = "", **headers: str) -> Behaviour:
    return lambda handler: handler.answer(status, text, **headers)


def hang(handler: Handler) -> None:
    handler.server.receiver.released.wait(30)


def lie(handler: Handler) -> None:
    """Promises a body of which most never comes."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
    handler.connection.shutdown(socket.SHUT_RDWR)


def drip(handler: Handler) -> None:
    """Sends a byte now and then, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not handler.server.receiver.released.wait(0.1):
        handler.wfile.write(b".")


def talk_nonsense(handler: Handler) -> None:
    handler.wfile.write(b"\x00\x01 not HTTP at all\r\n\r\n")


class Receiver:
    """A receiver on this machine.

    Attributes:
        behaviour: what it does with each request from now on.
    """

    def __init__(self, port: int = 0) -> None:
        self.received: list[Received] = []
        self.behaviour: Behaviour = accept
        self.released = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.port = port
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ids(self) -> list[str]:
        return [one.message_id for one in self.received]

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.receiver = self  # type: ignore[attr-defined]
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Go away: connections are refused."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    try:
        yield one
    finally:
        one.released.set()
        one.stop()
