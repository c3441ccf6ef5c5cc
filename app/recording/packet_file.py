"""An MP4 file of packets that the pipeline has encoded: a clip, or a segment of a recording."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import av
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet

from app.pipeline.packets import VideoPacket
from app.pipeline.sinks.encode import TIME_BASE
from app.recording.segments import FRAGMENTED

INDEX_FIRST = {"movflags": "faststart"}
TYPICAL_STEP_S = 0.2
"""How long the last frame is shown in a file with only one."""


class PacketFile:
    """A file that is being written. Raises FFmpegError or OSError.

    Args:
        first: its first packet, a keyframe; it is not written yet.
        fragmented: each group of frames is complete on disk, so that a kill loses two seconds;
            else the index stands in front, so that players can seek.
    """

    def __init__(self, path: Path, first: VideoPacket, *, fragmented: bool) -> None:
        self.path = path
        self.begin_at = self.last_at = first.captured_at
        self.run = first.run
        self._step_s = TYPICAL_STEP_S
        self._held: VideoPacket | None = None  # until the next one says how long it is shown
        with av.open(io.BytesIO(first.data), format="h264") as source:
            if not source.streams.video:
                raise InvalidDataError(0, "no video in the first packet")
            options = FRAGMENTED if fragmented else INDEX_FIRST
            self._container = av.open(str(path), "w", format="mp4", options=options)
            template = source.streams.video[0]
            self._stream = self._container.add_stream_from_template(template, opaque=True)
            self._stream.time_base = TIME_BASE

    @property
    def end_at(self) -> float:
        """When its last frame ends, monotonic."""
        return self.last_at + self._step_s

    def add(self, packet: VideoPacket) -> None:
        """Write the packet before this one, whose duration is known now."""
        if self._held is not None:
            self._step_s = max(packet.captured_at - self._held.captured_at, float(TIME_BASE))
            self._write(self._held)
        self._held, self.last_at = packet, packet.captured_at

    def close(self) -> None:
        """Write the last packet and the index."""
        held, self._held = self._held, None
        try:
            if held is not None:
                self._write(held)
        finally:
            self._container.close()

    def _write(self, packet: VideoPacket) -> None:
        out = Packet(packet.data)
        out.stream, out.time_base = self._stream, TIME_BASE
        out.pts = out.dts = round((packet.captured_at - self.begin_at) / TIME_BASE)
        out.duration = max(1, round(self._step_s / TIME_BASE))
        out.is_keyframe = packet.is_keyframe
        self._container.mux_one(out)


def write_clip(path: Path, packets: Sequence[VideoPacket]) -> PacketFile:
    """Write packets to a file that is there completely or not at all, with its index in front.

    Raises FFmpegError, OSError.
    """
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = PacketFile(part, packets[0], fragmented=False)
        try:
            for packet in packets:
                file.add(packet)
        finally:
            file.close()
        part.replace(path)
    except (FFmpegError, OSError):
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return file
