"""RTSP servers that misbehave: one never answers, one refuses everything, one hangs up."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class FakeRtsp:
    """Accepts every connection and answers every request with one status, or with nothing.

    Args:
        status: such as ``403 Forbidden``; None never answers.
        hangs_up: ends every connection at its first request.
    """

    def __init__(self, status: str | None = None, *, hangs_up: bool = False) -> None:
        self._status = status
        self._hangs_up = hangs_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def url(self, path: str = "cam") -> str:
        """A URL on this server."""
        return f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/{path}"

    @property
    def connections(self) -> int:
        """How many have connected so far."""
        return len(self._open)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            number = b"0"
            for line in lines:
                if line.lower().startswith(b"cseq:"):
                    number = line.partition(b":")[2].strip()
                elif line == b"\r\n" and self._hangs_up:
                    connection.shutdown(socket.SHUT_RDWR)
                elif line == b"\r\n" and self._status is not None:
                    answer = f"RTSP/1.0 {self._status}\r\nCSeq: {number.decode()}\r\n\r\n"
                    connection.sendall(answer.encode())

    def close(self) -> None:
        """Close all connections."""
        for open_socket in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()
