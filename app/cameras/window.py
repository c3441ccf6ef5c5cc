"""A window with a camera's frames, in a process of its own.

A desktop may end its programs, as when the display goes away; that must not affect the streams. The
process reads JPEGs from its standard input, each after its length (4 bytes, big-endian).
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
    """Why no window can be opened; None if it can be tried."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "there is no display (DISPLAY is not set)"
    return None


class CameraWindow:
    """A window in a child process. Raises OSError if the process cannot be started."""

    def __init__(self, title: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), title],
            env={**os.environ, "QT_LOGGING_RULES": "default.warning=false"},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._last_line: deque[bytes] = deque(maxlen=1)
        self._reader = threading.Thread(target=self._read, name=f"window-{title}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Read what the process prints, since it would block once the pipe is full."""
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            self._last_line.extend(line for line in lines if line.strip())

    def show(self, jpeg: bytes) -> bool:
        """Show a frame; blocks until the process has taken it. False if the window is closed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(LENGTH.pack(len(jpeg)) + jpeg)
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def close(self) -> str:
        """End the process; returns the last line that it printed, empty if there was none."""
        self._process.kill()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        return b"".join(self._last_line).decode(errors="replace").strip()
