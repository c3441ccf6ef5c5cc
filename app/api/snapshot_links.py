"""Signed links to snapshots, as messages to phones have them."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from app.api.account_schemas import Done
from app.api.deps import EventRepositoryDep
from app.api.errors import error_replies
from app.api.events import MAX_ID
from app.api.notify_deps import NotifyDep
from app.notify.snapshot_links import PATH

router = APIRouter(tags=["notifications"])

EventId = Annotated[int, Path(ge=0, le=MAX_ID, examples=[1024])]
Until = Annotated[int, Query(ge=0, le=2**40, description="When the link expires, Unix seconds.")]
KeyId = Annotated[int, Query(alias="key", ge=1, le=2**31 - 1, description="The key that signed.")]
Signature = Annotated[str, Query(max_length=100, description="Of the event and the time.")]


@router.get(
    PATH,
    summary="The snapshot of a signed link",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}},
        **error_replies(
            {400: "Wrong parameter", 404: "The link is not valid, or the snapshot was removed"}
        ),
    },
)
async def shared_snapshot(
    event_id: EventId,
    until: Until,
    key_id: KeyId,
    signature: Signature,
    notify: NotifyDep,
    event_repository: EventRepositoryDep,
) -> Response:
    """Needs no sign-in: the signature of the link is the only right, and only to this picture."""
    notify.links.check(event_id, until, key_id, signature, time.time())
    jpeg = await asyncio.to_thread(event_repository.snapshot, event_id)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.delete(
    "/api/snapshot-links",
    summary="End all links to snapshots",
    responses=error_replies({401: "Token needed", 403: "The caller is no administrator"}),
)
async def end_links(notify: NotifyDep) -> Done:
    """Links that were sent to phones show nothing any more; new messages have new ones."""
    await asyncio.to_thread(notify.links.end_all)
    return Done()
