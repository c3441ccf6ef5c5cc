"""The process of a camera's window; see ``window.py``. A script: it must import nothing of ours.

PyAV and the Qt in OpenCV's wheel bring different builds of the same libraries: where PyAV was
imported first, Qt waits for its display for ever.
"""

from __future__ import annotations

import struct
import sys
from typing import BinaryIO

import cv2
import numpy as np

LENGTH = struct.Struct(">I")
ESCAPE = 27


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
