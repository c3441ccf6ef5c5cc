"""``/api/nodes``: the machines of a cluster, and emptying them for maintenance."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from app.api.deps import CallerDep, ManagerDep
from app.api.errors import error_replies
from app.pipeline.directory import NodeState, NodeStatus
from app.rights import Caller, Right

router = APIRouter(
    prefix="/api/nodes",
    tags=["system"],
    responses=error_replies({401: "Token needed", 503: "The cluster does not answer"}),
)

NODE_ID = "b53c9f0e7d0a4b1cb34e8b6f9f5e8a1d2c3b4a5968778695a4b3c2d1"
NodeId = Annotated[
    str, Path(description="As `GET /api/nodes` says it.", max_length=64, examples=[NODE_ID])
]
CHANGES = error_replies({404: "There is no such node", 409: "No other node could take its streams"})


class NodeReply(BaseModel):
    """One machine of the cluster."""

    node_id: str = Field(
        description="Ray's id of it; another one after each `ray start`.", examples=[NODE_ID]
    )
    name: str = Field(description="As `node` in `GET /cameras`.", examples=["north-2"])
    address: str
    state: NodeState = Field(
        description="`ready`; `opening`: its networks are loaded; `no_answer`; `refused`: it must "
        "not be used; `draining`: its streams move away; `drained`: nothing runs there.",
        examples=["ready"],
    )
    reason: str | None = Field(
        description="Why it is refused, or why no stream moves away.", examples=[None]
    )
    streams: list[str] = Field(
        description="Ids of the streams that it runs and the caller may watch.",
        examples=[["CAM_01"]],
    )
    version: str | None = Field(
        description="Of Watchpost there; null until it has said.", examples=["0.2.0"]
    )
    cameras: float | None = Field(
        description="Cameras of 1080p at 15 frames per second, blurred and published, that it can "
        "process, as measured there; null unless it was.",
        examples=[4.2],
    )

    @classmethod
    def of(cls, node: NodeStatus, caller: Caller) -> NodeReply:
        """A node as the caller may see it."""
        seen = [one for one in node.streams if caller.access.may(Right.VIEW, one)]
        return cls(
            node_id=node.node_id,
            name=node.name,
            address=node.address,
            state=node.state,
            reason=node.reason,
            streams=seen,
            version=node.version,
            cameras=None if node.cameras is None else round(node.cameras, 1),
        )


@router.get("", summary="List the machines of the cluster")
async def list_nodes(manager: ManagerDep, caller: CallerDep) -> list[NodeReply]:
    """Empty without `--cluster`."""
    return [NodeReply.of(node, caller) for node in manager.nodes()]


@router.post("/{node_id}/drain", summary="Empty a machine", responses=CHANGES)
async def drain_node(node_id: NodeId, manager: ManagerDep, caller: CallerDep) -> NodeReply:
    """No stream starts there any more, and those that run there move to other machines, one after
    another; each is interrupted for a few seconds. When one finds no room, the rest stay. Once the
    state is `drained`, the machine can be stopped."""
    return NodeReply.of(await manager.drain(node_id, drain=True), caller)


@router.post("/{node_id}/resume", summary="Use a machine again", responses=CHANGES)
async def resume_node(node_id: NodeId, manager: ManagerDep, caller: CallerDep) -> NodeReply:
    """Streams may start there again; those that moved away do not come back by themselves."""
    return NodeReply.of(await manager.drain(node_id, drain=False), caller)
