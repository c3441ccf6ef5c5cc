"""Rewrites finished files for players: one index at the beginning, no fragments.

A file is fragmented while it is written, so that a killed process loses seconds, not the file.
Players seek badly in fragmented files, and many show a wrong length.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from app.recording.remuxed_file import TAGS

REWRITTEN = ".rewritten"
INDEX_FIRST = {"movflags": "faststart"}


def make_seekable(path: Path) -> bool:
    """Rewrite a fragmented MP4 file with its index in front. Blocks.

    The old file is replaced atomically. Needs as much free space as the size of the file.

    Returns:
        Whether that worked; if not, the old file is unchanged.
    """
    new = path.with_name(path.name + REWRITTEN)
    try:
        _rewrite(path, new)
        Path(new).replace(path)
    except (FFmpegError, OSError, ValueError):
        with suppress(OSError):
            new.unlink(missing_ok=True)
        return False
    return True


def _rewrite(old: Path, new: Path) -> None:
    silent = _silent_tracks(old)
    with (
        av.open(str(old)) as source,
        av.open(str(new), "w", format="mp4", options=INDEX_FIRST) as target,
    ):
        assert isinstance(target, OutputContainer)
        streams, begin_s = {}, _begin_of(source)
        for stream in (*source.streams.video, *source.streams.audio):
            if stream.index in silent:
                continue
            copy = target.add_stream_from_template(stream, opaque=True)
            tag = TAGS.get(stream.codec_context.codec.canonical_name)
            if tag is not None:
                copy.codec_context.codec_tag = tag
            streams[stream.index] = copy
        for packet in source.demux(*(source.streams[index] for index in streams)):
            if not packet.size or packet.pts is None or packet.dts is None:
                continue
            shift = round(begin_s / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = streams[packet.stream.index]
            target.mux(packet)


def _silent_tracks(path: Path) -> set[int]:
    """Audio tracks without packets, which some players cannot handle."""
    with av.open(str(path)) as source:
        return {
            stream.index
            for stream in source.streams.audio
            if not any(packet.size for packet in source.demux(stream))
        }


def _begin_of(source: InputContainer) -> Fraction:
    """Presentation time of the first frame, in seconds; it becomes 0 in the finished file."""
    video = source.streams.video[0]
    return (video.start_time or 0) * (video.time_base or Fraction(1))
