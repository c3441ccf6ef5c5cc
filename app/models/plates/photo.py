"""Decoding of uploaded images: upright pixels, within limits."""

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
_open = Pillow.open  # the original: Ultralytics replaces it with one that installs packages


def pixels(data: bytes, max_pixels: int) -> Image:
    """Decode a JPEG, PNG, WebP or BMP image to (H, W, 3) RGB, with its EXIF orientation applied.

    The size is read from the header and checked before memory for the pixels is allocated.

    Raises:
        NotAnImage: any other type of file, including HEIC and TIFF.
        UploadTooLarge: more pixels than ``max_pixels``.
        BadUpload: empty, damaged, truncated, or a side of less than 16 pixels.
    """
    if not data:
        raise BadUpload(reason="the file is empty")
    if not data.startswith(MAGIC):
        raise NotAnImage
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # max_pixels is the limit, not Pillow's own
        try:
            image = _open(io.BytesIO(data), formats=KINDS)
        except UnidentifiedImageError:
            raise NotAnImage from None
        except Pillow.DecompressionBombError:
            raise UploadTooLarge(limit=_in_words(max_pixels)) from None
        except PARSER_ERRORS:
            raise BadUpload(reason="the image is damaged") from None
        if image.width * image.height > max_pixels:
            raise UploadTooLarge(limit=_in_words(max_pixels))
        if min(image.size) < MIN_SIDE:
            raise BadUpload(reason=f"the image is less than {MIN_SIDE} pixels wide or high")
        try:
            flat = np.array(_flat(image), np.uint8)
        except PARSER_ERRORS:
            raise BadUpload(reason="the image is damaged or truncated") from None
    return upright(flat, orientation_of(data))


def _flat(image: Pillow.Image) -> Pillow.Image:
    """Convert to RGB; transparent parts become white, as on a web page."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        ground = Pillow.new("RGBA", image.size, "white")
        return Pillow.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    if image.mode.startswith("I"):  # 16 bits a pixel: keep the upper eight
        return image.point(lambda value: value / 256).convert("L").convert("RGB")
    return image.convert("RGB")


def _in_words(max_pixels: int) -> str:
    return f"{max_pixels / 1e6:g} megapixels"


def to_jpeg(image: Image, quality: int = 92) -> bytes:
    """Encode an RGB image as JPEG."""
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, "JPEG", quality=quality)
    return file.getvalue()
