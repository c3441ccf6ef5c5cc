"""The EXIF orientation of still images, read and applied here and nowhere else."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import av
import numpy as np
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
    """Turn an (H, W, 3) image upright: the detector would miss a face that lies on its side."""
    if orientation == UPRIGHT:
        return image
    quarters, mirrored = TURNS[orientation]
    turned = np.rot90(image, quarters)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def upright_frame(frame: av.VideoFrame, orientation: int) -> av.VideoFrame:
    """Turn a decoded frame upright; a turned frame becomes RGB."""
    if orientation == UPRIGHT:
        return frame
    pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    return av.VideoFrame.from_ndarray(upright(pixels, orientation), format="rgb24")
