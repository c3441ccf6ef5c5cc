"""A window with a camera's pictures, in a process of its own: what a desktop does to its
programs, such as ending them when the display goes, must not touch the streams.

The process reads JPEGs from its standard input, each after its length (4 bytes, big-endian).
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[3]
LENGTH = struct.Struct(">I")
ESCAPE = 27


def no_display() -> str | None:
    """Why no window can be opened here; None where one can be tried."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "there is no display (DISPLAY is not set)"
    return None


class Window:
    """Raises OSError when the process cannot be started."""

    def __init__(self, title: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, title],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

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
        _, said = self._process.communicate()
        return said.decode(errors="replace").strip().rpartition("\n")[2]


def main(title: str, pictures: BinaryIO) -> None:
    """Show pictures until they end, or the window is closed, or Escape is pressed."""
    cv2.namedWindow(title, cv2.WINDOW_NORMAL)
    while head := pictures.read(LENGTH.size):
        jpeg = pictures.read(LENGTH.unpack(head)[0])
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        if picture is not None:
            cv2.imshow(title, picture)
        if cv2.waitKey(1) == ESCAPE or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin.buffer)
