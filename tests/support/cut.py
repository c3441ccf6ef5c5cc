"""A TCP proxy whose both sides can be cut off from each other, as a network split does."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from types import TracebackType
from typing import Self


class Cut:
    """Passes connections on to a port, until ``cut``: then nothing is answered any more."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._passing = threading.Event()
        self._passing.set()
        self._closed = False

    def cut(self) -> None:
        """Keep connections open, accept new ones, and pass nothing on."""
        self._passing.clear()

    def heal(self) -> None:
        """Pass on what waits."""
        self._passing.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._closed = True
        self._passing.set()
        self._listening.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near = self._listening.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(near,), daemon=True).start()

    def _pass_on(self, near: socket.socket) -> None:
        """Until one side ends the connection, whichever way."""
        with (
            contextlib.suppress(ConnectionError),
            near,
            socket.create_connection(self._to) as far,
        ):
            while not self._closed:
                for one in select.select([near, far], [], [], 0.1)[0]:
                    data = one.recv(65536)
                    self._passing.wait()
                    if not data:
                        return
                    (far if one is near else near).sendall(data)
