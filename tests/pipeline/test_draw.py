"""Boxes and text in snapshots of events."""

from __future__ import annotations

import av
import numpy as np
import pytest
from support.doubles import luma, noise, planes

from app.events import Event, RuleEvent
from app.pipeline.blur import conceal
from app.pipeline.draw import FIRST_YUV, marked, snapshot
from app.types import BlurredFrame, Box, Track


def picture(width: int = 320, height: int = 192) -> BlurredFrame:
    return conceal(noise(width, height), [], "off", 0)


def test_the_given_frame_stays_as_it_is() -> None:
    given = picture()
    before = planes(given.image)
    marked(given, [Box(20, 60, 120, 140)], "bag placed")
    for old, new in zip(before, planes(given.image), strict=True):
        assert np.array_equal(old, new)


def test_a_frame_is_drawn_and_its_inside_is_left_alone() -> None:
    given = picture()
    drawn = planes(marked(given, [Box(20, 60, 120, 140)], "bag placed").image)
    for plane, value, shrink in zip(drawn, FIRST_YUV, (1, 2, 2), strict=True):
        assert (plane[60 // shrink, 20 // shrink : 120 // shrink] == value).all()
        assert (plane[60 // shrink : 140 // shrink, 20 // shrink] == value).all()
    before = luma(given.image)
    assert np.array_equal(drawn[0][70:130, 30:110], before[70:130, 30:110])
    assert np.array_equal(drawn[0][150:], before[150:])


@pytest.mark.parametrize(
    "box",
    [
        Box(-50, -50, 20, 20),
        Box(300, 180, 900, 900),
        Box(0, 0, 320, 192),
        Box(10, 10, 10, 10),
        Box(400, 300, 500, 400),
        Box(-9, 90, 900, 91),
    ],
)
@pytest.mark.parametrize("text", ["x", "a very long name of an event " * 5])
def test_boxes_may_be_anywhere(box: Box, text: str) -> None:
    drawn = marked(picture(), [box, Box(5, 5, 50, 50)], text)
    assert drawn.size == (320, 192)


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (1920, 1080)])
def test_frames_of_any_size(size: tuple[int, int]) -> None:
    assert marked(picture(*size), [Box(0, 0, 2, 2)], "bag placed").size == size


def test_a_snapshot_is_a_jpeg_of_the_frames_size() -> None:
    tracks = (Track(1, "suitcase", 0.9, Box(20, 60, 120, 140)),)
    event = Event(1, "a", 0.0, RuleEvent("bag_placed", tracks), picture(), True)
    jpeg = snapshot(event)
    decoder = av.CodecContext.create("mjpeg", "r")
    image = decoder.decode(av.Packet(jpeg))[0]
    assert (image.width, image.height) == (320, 192)
    with pytest.raises(ValueError, match="no frame"):
        snapshot(Event(1, "a", 0.0, RuleEvent("bag_placed"), None))
