"""The process of a camera's window; see ``window.py``. It must import nothing from ``app``.

PyAV and the Qt in OpenCV's wheel contain different builds of the same libraries: if PyAV is
imported first, Qt waits for its display forever.
"""

from __future__ import annotations

import struct
import sys
from typing import BinaryIO

import cv2
import numpy as np

LENGTH = struct.Struct(">I")
ESCAPE = 27


def main(title: str, frames: BinaryIO) -> None:
    """Show frames until they end, the window is closed, or Escape is pressed."""
    if not cv2.currentUIFramework():
        sys.exit("OpenCV without windows is installed: replace opencv-python-headless")
    cv2.namedWindow(title, cv2.WINDOW_NORMAL)
    while head := frames.read(LENGTH.size):
        jpeg = frames.read(LENGTH.unpack(head)[0])
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        if image is not None:
            cv2.imshow(title, image)
        if cv2.waitKey(1) == ESCAPE or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin.buffer)
