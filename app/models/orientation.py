"""The orientation of images: in the EXIF data of stills, or the display matrix of videos.

Both are read and applied here and nowhere else. Orientations are numbered as in EXIF: 1 (upright)
to 8.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer, Type
from PIL.AvifImagePlugin import AvifImageFile
from PIL.Image import DecompressionBombError, Exif
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.failure_reason import PARSER_ERRORS
from app.models.letterbox import Image

UPRIGHT = 1
ORIENTATION_TAG = 0x0112
TURNS = {
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}
"""By orientation: counter-clockwise quarter turns, and whether the image is then mirrored."""
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
"""By orientation: a, b, c, d of a display matrix, which shows (x, y) at (ax + cy, bx + dy)."""
COUNTER_CLOCKWISE = {
    1: cv2.ROTATE_90_COUNTERCLOCKWISE,
    2: cv2.ROTATE_180,
    3: cv2.ROTATE_90_CLOCKWISE,
}
"""By number of quarter turns."""
MATRIX = struct.Struct("=9i")
EXIF = b"Exif\0\0"
UNREADABLE = (*PARSER_ERRORS, DecompressionBombError, Warning)
"""What Pillow raises for EXIF data that is damaged or has values of the wrong type, and its
warnings about it where warnings are errors."""

# The format readers themselves, not ``Image.open``: Ultralytics, once imported, replaces that with
# a function that installs packages. Each reads the headers only, never the pixels.
_READERS: dict[bytes, Callable[[io.BytesIO], ImageFile]] = {
    b"\xff\xd8": JpegImageFile,
    b"\x89PNG": PngImageFile,
    b"RIFF": WebPImageFile,
}
_AVIF_BRANDS = b"ftypavif", b"ftypavis"

# An operator can do nothing about damaged EXIF data.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")


def orientation_of(data: bytes) -> int:
    """Return the EXIF orientation of an encoded JPEG, PNG, WebP or AVIF image, 1 (upright) to 8.

    Only the headers are read. Missing or damaged EXIF data counts as upright, as in browsers; so
    does an orientation that is only in the XMP data.
    """
    reader = _READERS.get(data[:4]) or _READERS.get(data[:2])
    if reader is JpegImageFile and EXIF not in data:
        return UPRIGHT  # nearly all frames of cameras; takes a tenth of the time
    if reader is None and data[4:12] in _AVIF_BRANDS:
        reader = AvifImageFile
    if reader is None:
        return UPRIGHT
    try:
        found = reader(io.BytesIO(data)).info.get("exif")
        if not found:
            return UPRIGHT
        exif = Exif()
        exif.load(found)
        value = exif.get(ORIENTATION_TAG, UPRIGHT)
        return value if value in TURNS else UPRIGHT
    except UNREADABLE:
        return UPRIGHT


def upright(image: Image, orientation: int) -> Image:
    """Turn an (H, W) or (H, W, 3) image upright: the detector would miss a face on its side."""
    if orientation == UPRIGHT:
        return image
    quarters, mirrored = TURNS[orientation]
    if quarters:
        image = np.asarray(cv2.rotate(image, COUNTER_CLOCKWISE[quarters]), np.uint8)
    return np.asarray(cv2.flip(image, 1), np.uint8) if mirrored else image


def orientation_of_frame(frame: av.VideoFrame) -> int:
    """Return the orientation nearest to a decoded frame's display matrix; upright without one."""
    try:
        # Not ``frame.side_data``: a frame that keeps its container is a reference cycle, and waits
        # for the garbage collector with its 3 MB of pixels.
        container: Any = SideDataContainer(frame)  # type: ignore[call-arg]
        matrix: SideData | None = container.get(Type.DISPLAYMATRIX)
    except ValueError:  # the frame also has side data that PyAV does not know
        return _without_flips(frame)
    if matrix is None or matrix.buffer_size < MATRIX.size:
        return UPRIGHT
    a, b, _, c, d, *_ = MATRIX.unpack(bytes(matrix)[: MATRIX.size])
    return max(MATRICES, key=lambda number: np.dot(MATRICES[number], (a, b, c, d)))


def _without_flips(frame: av.VideoFrame) -> int:
    return turned(UPRIGHT, round(-frame.rotation / 90) * 90)


def turned(orientation: int, degrees: int) -> int:
    """Return the orientation for an additional clockwise turn by 0, 90, 180 or 270 degrees."""
    if not degrees:
        return orientation
    quarters, mirrored = TURNS.get(orientation, (0, False))
    more = degrees // 90
    turn = (quarters + more if mirrored else quarters - more) % 4, mirrored
    return next((number for number, known in TURNS.items() if known == turn), UPRIGHT)


def display_matrix(orientation: int) -> list[int]:
    """Return the display matrix of an orientation, in FFmpeg's layout."""
    a, b, c, d = MATRICES[orientation]
    return [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
