"""The sender's clock of an RTSP camera: RTCP sender reports say when a frame was captured."""

from __future__ import annotations

import struct
from typing import Any

from av.packet import Packet

REFERENCE_TIME = "prft"  # FFmpeg's name of a packet's "producer reference time"
WALL_CLOCK = struct.Struct("<q")  # microseconds, Unix time


class SenderClock:
    """Tells the time of a camera's frames on the camera's own clock.

    The first reports come some seconds after the connection; some cameras send none.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None

    def see(self, packet: Packet[Any]) -> None:
        """Take what a packet says."""
        if packet.pts is None or packet.time_base is None:
            return
        for side_data in packet.iter_sidedata():
            if side_data.data_type == REFERENCE_TIME:
                (microseconds,) = WALL_CLOCK.unpack_from(bytes(side_data))
                self._offset_s = microseconds / 1e6 - float(packet.pts * packet.time_base)

    def time_of(self, media_s: float | None) -> float | None:
        """Unix seconds of a frame with this media time; None while that is unknown."""
        return None if media_s is None or self._offset_s is None else media_s + self._offset_s
