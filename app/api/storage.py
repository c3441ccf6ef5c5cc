"""What the recordings' disk holds, how much space is left, and what goes next."""

from __future__ import annotations

import asyncio
from typing import get_args

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.api.deps import CallerDep, ManagerDep, SpaceDep
from app.api.errors import error_replies
from app.errors import StoreError
from app.pipeline.node_load import NodeLoad
from app.recording.retention import DAY_S, DiskSpace, StoredItem, StoredKind
from app.rights import Caller, Right

router = APIRouter(
    tags=["recordings"],
    responses=error_replies({401: "Token needed", 503: "The disk cannot be read"}),
)


class StoredBytes(BaseModel):
    """How much there is of one kind."""

    kind: StoredKind
    bytes: int


class NextUp(BaseModel):
    """A file that is among the next to be removed when space is needed."""

    kind: StoredKind
    stream_id: str | None = Field(description="Whose video it is, if that is known.")
    ts: float = Field(description="When it begins, or was made, Unix seconds.")
    bytes: int
    flagged: bool = Field(description="Flagged and verified files go after all others.")
    removed_by_age_ts: float | None = Field(
        description="When its age removes it even if there is space; null: never."
    )

    @classmethod
    def of(cls, item: StoredItem, max_days: float | None) -> NextUp:
        """An item; ``max_days`` is the limit for everything that is not flagged."""
        limits = [item.max_days, None if item.protected else max_days]
        days = min((one for one in limits if one is not None), default=None)
        return cls(
            kind=item.kind,
            stream_id=item.stream_id,
            ts=item.ts,
            bytes=item.bytes,
            flagged=item.protected,
            removed_by_age_ts=None if days is None else item.ts + days * DAY_S,
        )


class NodeStorage(BaseModel):
    """The disk of one node of a cluster, in bytes, as it last reported."""

    node: str = Field(description="As `node` in `GET /cameras`.", examples=["north-2"])
    size: int
    free: int
    used: int = Field(description="By everything that the node stores, at its last sweep.")

    @classmethod
    def of(cls, name: str, load: NodeLoad) -> NodeStorage:
        """A node that has reported."""
        return cls(node=name, size=load.disk_size, free=load.disk_free, used=load.stored)


class Storage(BaseModel):
    """The disk that recordings are on, in bytes; what is stored is as of the last check."""

    size: int
    free: int
    must_stay_free: int = Field(description="Below it, recording stops and old files are removed.")
    used: int = Field(description="By everything that the server stores.")
    limit: int | None = Field(description="Most that may be used; null: no limit but the disk.")
    kinds: list[StoredBytes]
    next_up: list[NextUp] = Field(
        description="What goes first when space is needed, of the caller's cameras."
    )
    nodes: list[NodeStorage] = Field(
        description="Disks of a cluster's nodes, which store what their cameras record; `size` to "
        "`next_up` are of the server itself. Empty without a cluster."
    )


@router.get("/api/storage", summary="Disk space, and what goes next")
async def show_storage(space: SpaceDep, manager: ManagerDep, caller: CallerDep) -> Storage:
    """Also how much recordings, clips, snapshots, jobs and images of plates take."""
    try:
        disk = await asyncio.to_thread(space.disk)
    except OSError as error:
        raise StoreError(reason=f"the disk cannot be read: {error.strerror}") from None
    return Storage(
        size=disk.size,
        free=disk.free,
        must_stay_free=space.settings.min_free,
        used=space.used_bytes,
        limit=space.settings.max_bytes,
        kinds=[
            StoredBytes(kind=kind, bytes=space.bytes_of.get(kind, 0))
            for kind in get_args(StoredKind)
        ],
        next_up=_next_up(space, caller),
        nodes=[
            NodeStorage.of(node.name, node.load)
            for node in manager.nodes()
            if node.load is not None
        ],
    )


def _next_up(space: DiskSpace, caller: Caller) -> list[NextUp]:
    everywhere = caller.access.everywhere(Right.VIEW)
    return [
        NextUp.of(item, space.settings.max_days)
        for item in space.next_up
        if everywhere or (item.stream_id and caller.access.may(Right.VIEW, item.stream_id))
    ]
