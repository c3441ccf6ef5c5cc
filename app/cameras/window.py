"""A window with a camera's pictures, in a process of its own: what a desktop does to its
programs, such as ending them when the display goes, must not touch the streams.

The process reads JPEGs from its standard input, each after its length (4 bytes, big-endian).
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

SCRIPT = Path(__file__).resolve().with_name("window_process.py")
LENGTH = struct.Struct(">I")


def no_display() -> str | None:
    """Why no window can be opened here; None where one can be tried."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "there is no display (DISPLAY is not set)"
    return None


class CameraWindow:
    """Raises OSError when the process cannot be started."""

    def __init__(self, title: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), title],
            env={**os.environ, "QT_LOGGING_RULES": "default.warning=false"},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._said: deque[bytes] = deque(maxlen=1)
        self._listener = threading.Thread(target=self._listen, name=f"window-{title}", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Take what the process says: nobody else does, and it would wait for somebody."""
        assert self._process.stderr is not None
        with self._process.stderr as said:
            self._said.extend(line for line in said if line.strip())

    def show(self, jpeg: bytes) -> bool:
        """Hand over a picture; blocks until it is taken. False when the window is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(LENGTH.pack(len(jpeg)) + jpeg)
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def close(self) -> str:
        """End the process; returns what it said last, empty when it was closed in order."""
        self._process.kill()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._listener.join()
        return b"".join(self._said).decode(errors="replace").strip()
