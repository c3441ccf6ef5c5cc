"""From the bytes of an uploaded picture to its pixels, turned upright, within limits."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from app.errors import BadUpload, NotAnImage, UploadTooLarge
from app.failure_reason import PARSER_ERRORS
from app.models.letterbox import Image
from app.models.orientation import orientation_of, upright

KINDS = ("JPEG", "PNG", "WEBP", "BMP")
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM")
MIN_SIDE = 16
_open = Pillow.open  # as it is: Ultralytics, once loaded, replaces it by one that installs packages


def pixels(data: bytes, max_pixels: int) -> Image:
    """(H, W, 3) RGB of a JPEG, PNG, WebP or BMP picture, as its EXIF orientation wants it.

    The size is read from the header and refused before memory for the pixels is taken.

    Raises:
        NotAnImage: another kind of file; HEIC and TIFF are others.
        UploadTooLarge: more pixels than ``max_pixels``.
        BadUpload: empty, damaged, cut off, or smaller than 16 pixels a side.
    """
    if not data:
        raise BadUpload(reason="the file is empty")
    if not data.startswith(MAGIC):
        raise NotAnImage
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # large pictures are judged by our own limit
        try:
            picture = _open(io.BytesIO(data), formats=KINDS)
        except UnidentifiedImageError:
            raise NotAnImage from None
        except Pillow.DecompressionBombError:
            raise UploadTooLarge(limit=_in_words(max_pixels)) from None
        except PARSER_ERRORS:
            raise BadUpload(reason="the picture is damaged") from None
        if picture.width * picture.height > max_pixels:
            raise UploadTooLarge(limit=_in_words(max_pixels))
        if min(picture.size) < MIN_SIDE:
            raise BadUpload(reason=f"a side of the picture has fewer than {MIN_SIDE} pixels")
        try:
            flat = np.array(_flat(picture), np.uint8)
        except PARSER_ERRORS:
            raise BadUpload(reason="the picture is damaged or cut off") from None
    return upright(flat, orientation_of(data))


def _flat(picture: Pillow.Image) -> Pillow.Image:
    """RGB; what is transparent becomes white, as people see it on a page."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        ground = Pillow.new("RGBA", picture.size, "white")
        return Pillow.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    if picture.mode.startswith("I"):  # 16 bits a pixel: keep the upper eight
        return picture.point(lambda value: value / 256).convert("L").convert("RGB")
    return picture.convert("RGB")


def _in_words(max_pixels: int) -> str:
    return f"{max_pixels / 1e6:g} megapixels"


def to_jpeg(image: Image, quality: int = 92) -> bytes:
    """An RGB picture as JPEG."""
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, "JPEG", quality=quality)
    return file.getvalue()
