"""Makes one ``BlurredFrame`` of another: with the objects of an event, or smaller.

The frame is shared by all sinks, so it is a copy that is changed.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Interpolation

from app.events import Event
from app.pipeline.planes import FORMAT, copy_colours, copy_of, pixels
from app.pipeline.sinks.jpeg import encode_jpeg
from app.types import BlurredFrame, Box

FIRST_YUV = (170, 40, 160)  # amber: the main object
OTHERS_YUV = (150, 170, 60)  # blue
LINE = 1 / 200  # of the frame's height
FONT = cv2.FONT_HERSHEY_SIMPLEX
WIDEST = 16 / 9


def snapshot(event: Event) -> bytes:
    """The snapshot of an event as JPEG, with boxes around its objects.

    Raises:
        ValueError: the event has no frame.
    """
    if event.frame is None:
        raise ValueError(f"event {event.event_id} has no frame")
    boxes = [track.box for track in event.rule_event.tracks]
    return encode_jpeg(marked(event.frame, boxes, event.rule_event.type.replace("_", " ")))


def marked(frame: BlurredFrame, boxes: list[Box], text: str) -> BlurredFrame:
    """A copy with these boxes, the first in another colour and with the text above it."""
    image = copy_of(frame.image)
    planes = [pixels(plane) for plane in image.planes]
    line = max(2, round(image.height * LINE / 2) * 2)
    for box in reversed(boxes[1:]):
        _rectangle(planes, box, OTHERS_YUV, line)
    for box in boxes[:1]:
        _rectangle(planes, box, FIRST_YUV, line)
        _write(planes, box, text, line)
    return BlurredFrame(image)


def shrunk(frame: BlurredFrame, height: int | None) -> BlurredFrame:
    """A copy as limited-range YUV 4:2:0 in which the shorter side has at most ``height`` pixels.

    The longer side has at most 16/9 of that. With None the size stays.
    """
    image, (width, tall) = frame.image, frame.size
    scale = 1.0
    if height is not None:
        scale = min(1.0, height / min(width, tall), height * WIDEST / max(width, tall))
    if scale == 1.0 and image.format.name == FORMAT:
        return BlurredFrame(copy_of(image))
    small = image.reformat(
        max(2, round(width * scale) // 2 * 2),
        max(2, round(tall * scale) // 2 * 2),
        FORMAT,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.AREA,
        threads=1,
    )
    copy_colours(image, small)
    small.color_range = ColorRange.MPEG
    return BlurredFrame(small)


def _rectangle(
    planes: list[npt.NDArray[np.uint8]], box: Box, yuv: tuple[int, int, int], line: int
) -> None:
    height, width = planes[0].shape
    left, right = (round(min(max(x, 0), width) / 2) * 2 for x in (box.x1, box.x2))
    top, bottom = (round(min(max(y, 0), height) / 2) * 2 for y in (box.y1, box.y2))
    for plane, value, shrink in zip(planes, yuv, (1, 2, 2), strict=True):
        x1, x2, y1, y2, thick = (n // shrink for n in (left, right, top, bottom, line))
        if x1 >= x2 or y1 >= y2:
            continue
        plane[y1 : min(y1 + thick, y2), x1:x2] = value
        plane[max(y2 - thick, y1) : y2, x1:x2] = value
        plane[y1:y2, x1 : min(x1 + thick, x2)] = value
        plane[y1:y2, max(x2 - thick, x1) : x2] = value


def _write(planes: list[npt.NDArray[np.uint8]], box: Box, text: str, line: int) -> None:
    """Write bright letters on a dark strip above the box, or inside it where there is no room."""
    height, width = planes[0].shape
    scale = line / 5
    (text_width, text_height), below = cv2.getTextSize(text, FONT, scale, max(1, line // 3))
    strip_height = min(height, (text_height + below + 2 * line) // 2 * 2)
    strip_width = min(width, (text_width + 2 * line) // 2 * 2)
    left = round(min(max(box.x1, 0), width - strip_width)) // 2 * 2
    top = round(box.y1) // 2 * 2 - strip_height
    top = min(max(top if top >= 0 else top + strip_height, 0), height - strip_height) // 2 * 2
    for plane, value, shrink in zip(planes, (30, 128, 128), (1, 2, 2), strict=True):
        y, x = top // shrink, left // shrink
        plane[y : y + strip_height // shrink, x : x + strip_width // shrink] = value
    strip = np.full((strip_height, strip_width), 30, np.uint8)
    place = (line, strip_height - below - line)
    cv2.putText(strip, text, place, FONT, scale, 235, max(1, line // 3), cv2.LINE_AA)
    planes[0][top : top + strip_height, left : left + strip_width] = strip
