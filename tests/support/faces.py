"""Images and videos with faces, and a detector that judges them."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from support.rtsp import Picture, pattern, write_frames
from training.faces import CenterFace

SURE = 0.5
"""Faces as they are score 0.75 and more; covered ones, which are blobs, stay far below."""


def portrait(side: int) -> Picture:
    """A square photograph of one person; the face's width is about a sixth of the side.

    Comes with scikit-image, which is found without being imported.
    """
    spec = importlib.util.find_spec("skimage")
    assert spec is not None and spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png"
    image = cv2.imread(str(path))
    assert image is not None
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def head(side: int) -> Picture:
    """The head alone, square; the face's width is about half of the side."""
    return np.asarray(cv2.resize(portrait(512)[20:220, 125:325], (side, side)), np.uint8)


def make_crossing(path: Path, size: tuple[int, int] = (640, 360), fps: int = 15) -> Path:
    """A video in which a head enters at the left, leaves at the right, and then appears suddenly.

    Three seconds of crossing, one of an empty picture, one with a head that is there at once,
    one empty again.
    """
    picture = head(160)
    width, height = size
    step = (width + 160) / (3 * fps)

    def draw() -> Iterator[Picture]:
        for index in range(6 * fps):
            image = pattern(size, index / (6 * fps))
            second = index // fps
            if second < 3:
                paste_cut(image, picture, round(-160 + index * step), (height - 160) // 2)
            elif second == 4:
                paste_cut(image, picture, 3 * width // 5, height // 4)
            yield image

    with av.open(str(path), "w") as container:
        write_frames(container, draw(), size, fps, gop=fps, bit_rate=4_000_000)
    return path


def paste_cut(image: Picture, picture: Picture, left: int, top: int) -> None:
    """Paste an image that may extend beyond the left and right edges."""
    first, last = max(0, left), min(image.shape[1], left + picture.shape[1])
    if first < last:
        image[top : top + picture.shape[0], first:last] = picture[:, first - left : last - left]


@functools.cache
def _judge() -> CenterFace:
    return CenterFace(threads=2)


def count_faces(picture: Picture) -> int:
    """The number of faces in a BGR image at full size, by a network that the server does not use.

    What the server's own network misses it would miss here, too.
    """
    return len(_judge().detect(picture, SURE))


def decode_jpeg(data: bytes) -> Picture:
    """A JPEG as a BGR image."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None, "not a JPEG"
    return np.asarray(image, np.uint8)
