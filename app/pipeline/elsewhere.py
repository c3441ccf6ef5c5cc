"""What the API knows of pictures and films that are on the nodes of a cluster: protocols."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from app.errors import NodeGone
from app.footage import Footage, Period


class FilesOfNode(Protocol):
    """What one node has stored. Everything raises NodeGone if it does not answer."""

    async def size(self, path: str) -> int:
        """The bytes of a file, named as ``FILMS`` or ``RECORDINGS`` begin. Raises NoFootage."""
        ...

    async def piece(self, path: str, begin: int, size: int) -> bytes:
        """A part of a file, as it is on disk. Raises NoFootage."""
        ...

    async def export(self, footage: Sequence[Footage], wanted: Period) -> str:
        """Join films of the node to one file there; returns its path.

        Raises NoFootage, InvalidRequest, StoreError.
        """
        ...

    async def frame(
        self, footage: Sequence[Footage], ts: float, width: int | None, *, preview: bool
    ) -> bytes:
        """The frame that was shown at a time as JPEG, or a keyframe near it. Raises NoFootage."""
        ...

    async def growing(self, stream_id: str, period: Period) -> list[Footage]:
        """The segment that is being recorded of a stream, if it is of a period."""
        ...

    async def problem(self, stream_id: str) -> str | None:
        """Why a stream that should be recorded is not."""
        ...

    async def release(self, stream_id: str, period: Period) -> None:
        """Let go of what is being recorded in a period, so that all of it can be erased."""
        ...


class FilesElsewhere(Protocol):
    """What the nodes of a cluster have stored."""

    def of(self, node: str) -> FilesOfNode:
        """The files of a node, by the name that rows have. Raises NodeGone."""
        ...

    def recording(self, stream_id: str) -> FilesOfNode | None:
        """The files of the node that runs a stream; None if no node does."""
        ...

    def clip_ready_ts(self, event_id: int) -> float | None:
        """When the clip of an event will be there; None if none is pending. From any thread."""
        ...

    def read_picture(self, node: str, name: str) -> bytes | None:
        """A snapshot; None if it was removed. Blocks; raises NodeGone, StoreError."""
        ...

    async def forget_events(self, event_ids: Collection[int]) -> None:
        """Drop the clips of events that are not on disk yet."""
        ...


class NothingElsewhere:
    """A server without a cluster. Rows from a cluster may still name nodes."""

    def of(self, node: str) -> FilesOfNode:
        """Raises NodeGone."""
        raise NodeGone(node=node)

    def recording(self, stream_id: str) -> FilesOfNode | None:  # noqa: ARG002
        """None."""
        return None

    def clip_ready_ts(self, event_id: int) -> float | None:  # noqa: ARG002
        """None."""
        return None

    def read_picture(self, node: str, name: str) -> bytes | None:  # noqa: ARG002
        """Raises NodeGone."""
        raise NodeGone(node=node)

    async def forget_events(self, event_ids: Collection[int]) -> None:
        """Do nothing."""
