"""What the API knows of streams: protocols, so that a stream may run in this process or elsewhere.

``StreamManager`` and ``StreamHandle`` keep them for this process.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from app.pipeline.elsewhere import FilesElsewhere
from app.pipeline.hub import Subscription
from app.pipeline.node_load import NodeLoad
from app.pipeline.packets import VideoPacket
from app.pipeline.stream_metrics import StreamGauges
from app.types import (
    FrameMetadata,
    JpegFrame,
    StreamHealth,
    StreamSpec,
    StreamStatus,
    WithheldFrame,
)

NodeState = Literal["ready", "opening", "no_answer", "refused", "draining", "drained"]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A machine of a cluster.

    Attributes:
        reason: why it is refused, or why no stream moves away from it.
        streams: ids of those that it runs.
        load: what that costs, as it last reported; None before it has.
        version: of Watchpost on it; None before it has said.
        cameras: of 1080p at 15 fps, blurred and published, that it can process, as measured there;
            None unless it was.
    """

    node_id: str
    name: str
    address: str
    state: NodeState
    reason: str | None
    streams: Sequence[str]
    load: NodeLoad | None = None
    version: str | None = None
    cameras: float | None = None

    @property
    def answers(self) -> bool:
        """Whether it did so at the last look, and may run streams or ran some."""
        return self.state in ("ready", "draining", "drained")


class StreamAccess(Protocol):
    """One stream, to read and follow it.

    Everything raises StreamNotFound once the stream was removed. What needs a run raises NoPicture
    while there is none.
    """

    @property
    def status(self) -> StreamStatus:
        """Configuration, state and statistics."""
        ...

    @property
    def health(self) -> StreamHealth:
        """The state, and why it is not running. Cheap, unlike ``status``."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it runs or is being started."""
        ...

    @property
    def recorded(self) -> bool:
        """Whether the run in progress is recorded."""
        ...

    async def snapshot(self, width: int | None = None) -> bytes:
        """The newest frame as JPEG. Raises NoPicture unless the stream runs."""
        ...

    def jpegs(self) -> AsyncGenerator[JpegFrame]:
        """Frames as JPEG until the stream ends; a slow caller gets only the newest."""
        ...

    def packets(self) -> AsyncGenerator[VideoPacket]:
        """Encoded frames from a keyframe on, until the stream ends. Raises NoVideo."""
        ...

    def metadata(self) -> AbstractContextManager[Subscription[FrameMetadata | WithheldFrame]]:
        """The metadata of processed frames; a slow caller gets only the newest."""
        ...

    def outcomes(
        self, backlog: int
    ) -> AbstractContextManager[Subscription[FrameMetadata | WithheldFrame]]:
        """The outcome of every frame from here on, in order."""
        ...


class StreamDirectory(Protocol):
    """All streams, to list, read, start and stop them. Errors are those of ``StreamManager``."""

    @property
    def files(self) -> FilesElsewhere:
        """What other nodes have stored."""
        ...

    @property
    def closing(self) -> bool:
        """Whether the server is about to shut down."""
        ...

    @property
    def has_analytics(self) -> bool:
        """Whether streams may ask for analytics."""
        ...

    async def load(self) -> None:
        """Read what is stored, once; every caller waits until this is done."""
        ...

    def all(self) -> list[StreamStatus]:
        """The status of every stream."""
        ...

    def measured(self) -> list[tuple[StreamStatus, StreamGauges | None]]:
        """The status of every stream, and the measurements of those that run."""
        ...

    def stream(self, stream_id: str) -> StreamAccess:
        """One stream. Raises StreamNotFound."""
        ...

    def here(self, stream_id: str) -> bool:
        """Whether a stream, if there is one, runs in this process, where jobs can record it."""
        ...

    def node_of(self, stream_id: str) -> str | None:
        """The name of the node of a cluster that runs a stream; None without a cluster."""
        ...

    def nodes(self) -> list[NodeStatus]:
        """The machines of a cluster; none without one."""
        ...

    def lost_nodes(self) -> list[str]:
        """The names of machines that the cluster lost, and that did not come back."""
        ...

    async def drain(self, node_id: str, *, drain: bool) -> NodeStatus:
        """Empty a machine of the cluster, or use it again. Raises NodeNotFound, NoOtherNode."""
        ...

    async def start(self, spec: StreamSpec) -> StreamStatus:
        """Start a stream under its id and wait until it runs."""
        ...

    async def restart(self, stream_id: str) -> StreamStatus:
        """Stop, and start with the same configuration."""
        ...

    async def stop(self, stream_id: str) -> None:
        """Stop a stream but keep it."""
        ...

    async def disconnect(self, stream_id: str) -> None:
        """Stop and remove a stream. An unknown id is not an error."""
        ...

    async def find_or_create(self, source: str) -> tuple[StreamStatus, bool]:
        """The stream of an input, and whether it was created, as ``input_policy`` says."""
        ...

    async def register(self, source: str) -> StreamStatus:
        """Register an input, as ``input_policy`` says."""
        ...

    async def put_camera(self, spec: StreamSpec, *, replace: bool) -> StreamStatus:
        """Start a new camera, or replace one, as ``camera_policy`` says."""
        ...

    async def run_again(self, camera_id: str) -> StreamStatus:
        """Start a known camera once more, with the settings it has."""
        ...

    def start_ephemeral(self, spec: StreamSpec) -> None:
        """Start a stream that ends with this process, such as the demo."""
        ...
