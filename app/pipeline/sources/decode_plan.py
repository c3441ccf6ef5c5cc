"""Which packets of a live video are decoded: only those whose frames somebody needs.

A stream takes fewer frames than most cameras send (``max_fps``), but a frame can only be decoded
together with those it refers to. What can be spared:

- frames that no other frame refers to (half or more of a video with B-frames, every frame of
  MJPEG), unless the stream takes them: always;
- the end of a group of pictures, after the last frame that is taken: while nobody watches.
  Packets are then kept until a frame is due, and dropped if a keyframe comes first. A stream that
  takes no more frames than there are keyframes decodes only those.

Nothing is lost when a viewer comes: the packets since the last keyframe are there, and are decoded
at once. With packets of an unknown kind, every one is decoded when it arrives.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from av.packet import Packet
from av.video.stream import VideoStream

from app.pace import RateLimit
from app.pipeline.sources.nal_units import NalUnits, SliceKind

MAX_KEPT = 300  # packets: 12 seconds of most cameras
MAX_KEPT_BYTES = 8 * 2**20
LATE_KEYFRAME = 1.5  # times the usual distance: a keyframe that is due any longer is not awaited
LEARNING = 50  # packets after which all temporal layers were seen


class Demand(Enum):
    """Who needs the frames of a source.

    Attributes:
        VIEWERS: decode at once.
        LOOKS: nobody watches, so decode when a frame is due.
        NOBODY: only keep what is needed to start at once.
    """

    VIEWERS = 1
    LOOKS = 2
    NOBODY = 3


class Arrived(NamedTuple):
    """A packet and the time when it arrived."""

    packet: Packet[Any]
    at: float


class DecodePlan:
    """Chooses the packets of one connection to a live source.

    Args:
        max_fps: how many frames the stream takes.

    Attributes:
        kept: packets that are not decoded yet, since the last keyframe or decoded packet.
        skipped: frames that were never decoded, or not handed out, since the last one that was.
    """

    def __init__(self, stream: VideoStream, max_fps: float) -> None:
        context = stream.codec_context
        self._all_alike = context.codec.intra_only
        self._units = NalUnits(context.name, context.extradata)
        self._limit = RateLimit(max_fps)
        self._interval_s = 1 / max_fps
        self._offset_s: float | None = None  # from a frame's own time to its capture
        self._is_owed = False  # a due packet was decoded, and the decoder still holds its frame
        self.kept: list[Arrived] = []
        self.skipped = 0
        self._kept_bytes = 0
        self._may_keep = False
        self._keyframe_s: float | None = None
        self._keyframes_apart_s: float | None = None
        self._seen = self._layers = 0

    def next(self, packet: Packet[Any], arrived_at: float, demand: Demand) -> list[Arrived]:
        """The packets to decode now that this one has arrived, in order."""
        arrived, kind = Arrived(packet, arrived_at), self._kind_of(packet)
        time_s = None if packet.pts is None else float(packet.pts * (packet.time_base or 0))
        if kind is None or time_s is None:
            return [*self._take_kept(), arrived]
        if kind.starts:
            self._begin_group(time_s)
        is_early = self._is_early(time_s)
        if not self._is_referenced(kind) and (is_early or demand is Demand.NOBODY):
            self.skipped += 1
            return []
        waits = demand is Demand.NOBODY or (
            demand is Demand.LOOKS and (is_early or self._awaits_keyframe(kind, time_s))
        )
        if waits and not self._is_owed and self._keep(arrived):
            return []
        self._is_owed = demand is Demand.LOOKS
        return [*self._take_kept(), arrived]

    def handed_out(self, time_s: float | None, captured_at: float) -> int:
        """Note a frame that the stream may take.

        Returns how many frames of the source this is: itself, and those skipped before it.
        """
        self._is_owed = False
        self._offset_s = None if time_s is None else captured_at - time_s
        self._limit.take(captured_at)
        skipped, self.skipped = self.skipped, 0
        return skipped + 1

    def _kind_of(self, packet: Packet[Any]) -> SliceKind | None:
        if not packet.size:
            return None
        if self._all_alike:
            return SliceKind(starts=True, referenced=False)
        kind = self._units.slice_kind(packet)
        if kind is not None:
            self._seen += 1
            self._layers = max(self._layers, kind.layer)
        return kind

    def _is_referenced(self, kind: SliceKind) -> bool:
        """Whether other frames may need it: in H.265, also those of a higher layer."""
        if kind.referenced or self._units.codec != "hevc":
            return kind.referenced
        return kind.layer < self._layers or self._seen < LEARNING

    def _is_early(self, time_s: float) -> bool:
        """Whether the stream will not take a frame with this time."""
        return self._offset_s is not None and self._limit.refuses(time_s + self._offset_s)

    def _begin_group(self, time_s: float) -> None:
        """Nothing from here on needs what was kept."""
        if self._keyframe_s is not None:
            self._keyframes_apart_s = time_s - self._keyframe_s
        self._keyframe_s = time_s
        self.skipped += len(self._take_kept())
        self._may_keep = True

    def _awaits_keyframe(self, kind: SliceKind, time_s: float) -> bool:
        """Whether a keyframe will come early enough to be taken instead of this frame."""
        apart_s = self._keyframes_apart_s
        if kind.starts or self._keyframe_s is None or apart_s is None:
            return False
        if not 0 < apart_s <= self._interval_s:
            return False
        return time_s - self._keyframe_s < apart_s * LATE_KEYFRAME

    def _keep(self, arrived: Arrived) -> bool:
        """Keep a packet for later, if there is room; else none until the next keyframe."""
        size = self._kept_bytes + arrived.packet.size
        self._may_keep &= len(self.kept) < MAX_KEPT and size <= MAX_KEPT_BYTES
        if self._may_keep:
            self.kept.append(arrived)
            self._kept_bytes = size
        return self._may_keep

    def _take_kept(self) -> list[Arrived]:
        kept, self.kept, self._kept_bytes = self.kept, [], 0
        return kept
