"""A stream of the cluster, as the front knows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.cluster.reports import RemoteStatus
from app.types import (
    StoredStream,
    StreamHealth,
    StreamSpec,
    StreamState,
    StreamStats,
    StreamStatus,
)

WAITS = "no node has room for it: it asks for {asked}"
MOVES = "node {node} does not answer; the stream moves to another one once Ray gives it up"
LEAVES = "node {node} is being emptied; the stream moves to another one"
MOVED = "node {node} was lost; the stream starts on node {other}"


@dataclass(slots=True)
class PlacedStream:
    """A stream, where it runs, and its last known state.

    Attributes:
        wanted: running, stopped or failed.
        node_id: of the node that runs it; None while it runs on none.
        node: that node's name, kept when it is lost.
        remote: its state there; None before the first report, and while its node does not answer.
        lost: why it runs nowhere, although it should.
        starting: a caller waits for its first frame, so its node is told by nobody else.
    """

    spec: StreamSpec
    wanted: StreamState = StreamState.RUNNING
    last_error: str | None = None
    decryptable: bool = True
    node_id: str | None = None
    node: str | None = None
    remote: RemoteStatus | None = None
    lost: str | None = None
    starting: bool = False

    @property
    def status(self) -> StreamStatus:
        """Configuration, state and statistics."""
        if self.wanted is not StreamState.RUNNING:
            return StreamStatus(self.spec, self.wanted, StreamStats(last_error=self.last_error))
        stats = StreamStats() if self.remote is None else self.remote.status.stats
        if self.lost is not None:
            return StreamStatus(
                self.spec, StreamState.RECONNECTING, replace(stats, last_error=self.lost)
            )
        if self.remote is None:
            return StreamStatus(self.spec, StreamState.STARTING, stats)
        return replace(self.remote.status, spec=self.spec)

    @property
    def health(self) -> StreamHealth:
        """The state, and why it is not running."""
        status = self.status
        failed = status.state in (StreamState.RECONNECTING, StreamState.FAILED)
        return StreamHealth(status.state, status.stats.last_error if failed else None)

    @property
    def alive(self) -> bool:
        """Whether it runs or is being started, on a node that answers."""
        return self.wanted is StreamState.RUNNING and (self.remote is None or self.remote.alive)

    def stored(self) -> StoredStream:
        """As the database stores it."""
        return StoredStream(self.spec, self.wanted, self.last_error, self.decryptable)
