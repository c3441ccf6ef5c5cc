"""The packets of an encoder as fragmented MP4."""

from __future__ import annotations

import io

import av
import pytest
from av.error import InvalidDataError
from support.encoded import LUMAS, encoded, number_of, seconds

from app.pipeline.packets import VideoPacket
from app.pipeline.sinks.fragments import TIMESCALE, FragmentedVideo


def boxes(data: bytes) -> list[tuple[str, bytes]]:
    """The boxes of a level, with their contents."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8].decode(), data[at + 8 : at + size]))
        at += size
    return found


def test_a_player_shows_every_frame_at_its_time() -> None:
    packets = list(encoded(seconds(30), size=(720, 480)))
    video = FragmentedVideo(packets[0])
    times = [round((one.captured_at - 1000) * TIMESCALE) for one in packets]
    data = video.header + b"".join(map(video.fragment, packets, times))
    with av.open(io.BytesIO(data), "r") as file:
        frames = list(file.decode(video=0))
    assert video.size == (720, 480)
    assert [number_of(frame) for frame in frames] == [n % LUMAS for n in range(30)]
    assert [frame.pts for frame in frames] == times
    assert [frame.key_frame for frame in frames] == [one.is_keyframe for one in packets]


def test_a_fragment_is_complete_and_needs_no_other() -> None:
    packets = list(encoded(seconds(12)))
    video = FragmentedVideo(packets[0])
    assert [name for name, _ in boxes(video.header)] == ["ftyp", "moov"]
    assert [name for name, _ in boxes(video.fragment(packets[3], 0))] == ["moof", "mdat"]
    late = [one for one in packets if one.is_keyframe][1]
    data = video.header + video.fragment(late, 5 * TIMESCALE)
    with av.open(io.BytesIO(data), "r") as file:
        (frame,) = file.decode(video=0)
    assert frame.time == 5


def test_the_codec_is_that_of_the_parameter_sets() -> None:
    packet = next(encoded(seconds(1)))
    profile = packet.data[packet.data.index(b"\x00\x00\x01\x67") + 4 :][:3]
    assert FragmentedVideo(packet).codec == f"avc1.{profile.hex()}"


def test_a_live_stream_has_no_length() -> None:
    """Browsers show frames as they come only where the length is not known."""
    header = FragmentedVideo(next(encoded(seconds(1)))).header
    ((_, movie),) = [one for one in boxes(header) if one[0] == "moov"]
    contents = dict(boxes(movie))
    assert int.from_bytes(contents["mvhd"][16:20], "big") == 0
    assert b"mehd" not in contents["mvex"]


def test_what_is_no_keyframe_begins_nothing() -> None:
    with pytest.raises(InvalidDataError):
        FragmentedVideo(VideoPacket(b"\x00\x00\x01\x41\x9a", 0.0, False, 1))
