"""What the manager knows of one stream, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from app.pipeline.stream import Stream
from app.types import StoredStream, StreamSpec, StreamState, StreamStats, StreamStatus

ALIVE = (StreamState.STARTING, StreamState.RUNNING, StreamState.RECONNECTING)


class StreamStore(Protocol):
    """Where streams are kept over a restart. Blocking; raises StoreError."""

    def fingerprint(self, source: str) -> str: ...

    def save(self, stored: StoredStream) -> None: ...

    def delete(self, stream_id: str) -> None: ...

    def load(self) -> list[StoredStream]: ...


@dataclass(slots=True)
class StreamEntry:
    """A stream that is known: the run in progress, or how the last one ended.

    Attributes:
        ended: what it is without a run; RUNNING for one that is still to be resumed.
        kept: it ran once or was stopped by hand, so a failure does not make it unknown.
        saved: it has a row in the database (the demo has none).
        session_id: number of the run in progress, once the database has given one.
    """

    spec: StreamSpec
    stream: Stream | None = None
    ended: StreamState = StreamState.STOPPED
    last_error: str | None = None
    readable: bool = True
    kept: bool = False
    saved: bool = True
    session_id: str | None = None

    def status(self) -> StreamStatus:
        if self.stream is not None:
            status = self.stream.status()
            return replace(status, stats=replace(status.stats, session_id=self.session_id))
        state = StreamState.STARTING if self.ended is StreamState.RUNNING else self.ended
        return StreamStatus(self.spec, state, StreamStats(last_error=self.last_error))

    @property
    def alive(self) -> bool:
        return self.stream is not None and self.stream.supervisor.state in ALIVE
