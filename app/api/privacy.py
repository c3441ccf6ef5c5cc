"""Privacy duties: what is kept and how long, erasure with proof, and export."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.requests import HTTPConnection
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app import plate_text
from app.api.audit_middleware import note
from app.api.deps import AuditLogDep, CallerDep, FootageDep, ManagerDep, SettingsDep
from app.api.erasure import ErasedCounts, Eraser
from app.api.errors import error_replies
from app.api.times import Time
from app.audit import AuditEntry
from app.config import Settings
from app.db.kept import Kept, KeptRepository
from app.footage import Period

CHUNK = 1 << 16
PROOF = 16
"""Digits of the fingerprint that stands for a plate in the audit log."""

router = APIRouter(
    prefix="/api/privacy",
    tags=["privacy"],
    responses=error_replies(
        {
            400: "Wrong field or value",
            401: "Token needed",
            403: "The caller is no administrator",
            404: "No such event",
            503: "Something could not be erased: call again",
        }
    ),
)

Number = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=32)]


class KeptReply(BaseModel):
    """One kind of data."""

    what: str
    count: int
    oldest_ts: float | None
    max_days: float | None = Field(description="Age after which it is removed; null: no limit.")
    max_count: int | None = Field(description="Most that is kept; null: no limit.")


class KeptList(BaseModel):
    """All that is kept, and for how long."""

    max_bytes: int | None = Field(description="Most bytes of files; null: what the disk allows.")
    min_free: int = Field(description="Bytes of the disk that stay free.")
    kept: list[KeptReply]


class EraseRequest(BaseModel):
    """What to erase: exactly one of camera (with a period), plate_number and event_id."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"camera": "gate", "since": "2026-02-03T12:00:00Z", "until": "2026-02-03T13:00:00Z"}
            ]
        },
    )

    camera: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    since: Time = None
    until: Time = None
    plate_number: Number | None = None
    event_id: int | None = Field(None, ge=0, le=2**63 - 1)

    @model_validator(mode="after")
    def _exactly_one(self) -> EraseRequest:
        given = [self.camera, self.plate_number, self.event_id]
        if sum(value is not None for value in given) != 1:
            raise ValueError("give one of camera, plate_number and event_id")
        if self.camera is None:
            if self.since is not None or self.until is not None:
                raise ValueError("a period belongs to a camera")
        elif self.since is None or self.until is None or self.since >= self.until:
            raise ValueError("give a camera with since and until, in this order")
        return self


class ErasedReply(BaseModel):
    """What was erased, and the entry of the audit log that proves it."""

    events: int
    plates: int
    images: int
    recordings: int
    watch_entries: int
    audit_id: int
    row_hash: str


class ExportRequest(BaseModel):
    """Whose data."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"plate_number": "A123BC"}]}
    )

    plate_number: Number


def _eraser(connection: HTTPConnection) -> Eraser:
    eraser: Eraser = connection.state.eraser
    return eraser


def _kept(connection: HTTPConnection) -> KeptRepository:
    kept: KeptRepository = connection.state.kept
    return kept


EraserDep = Annotated[Eraser, Depends(_eraser)]


@router.get("", summary="What is kept, and for how long")
async def list_kept_data(
    rows: Annotated[KeptRepository, Depends(_kept)], settings: SettingsDep
) -> KeptList:
    """Every kind of data, with its age and its limits."""
    found = await asyncio.to_thread(rows.all)
    return KeptList(
        max_bytes=settings.space.max_bytes,
        min_free=settings.space.min_free,
        kept=[_with_limits(one, settings) for one in found],
    )


@router.post("/erase", summary="Erase data, with proof")
async def erase_data(
    body: EraseRequest,
    request: Request,
    eraser: EraserDep,
    footage: FootageDep,
    manager: ManagerDep,
    audit: AuditLogDep,
    caller: CallerDep,
) -> ErasedReply:
    """Erase files and rows for good. The proof is an entry of the audit log with the numbers; it
    names a plate by a keyed hash only. Backups are not changed."""
    target: dict[str, str | int | float] = {}
    if body.event_id is not None:
        target = {"event_id": body.event_id}
        await footage.clips.forget_events({body.event_id})
        await manager.files.forget_events({body.event_id})
        counts = await asyncio.to_thread(eraser.erase_event, body.event_id)
    elif body.plate_number is not None:
        number = plate_text.folded(body.plate_number)
        target = {"plate": eraser.fingerprint(number)[:PROOF]}
        event_ids = await asyncio.to_thread(eraser.events_of_plate, number)
        await footage.clips.forget_events(event_ids)
        await manager.files.forget_events(event_ids)
        counts = await asyncio.to_thread(eraser.erase_plate, number)
    else:
        camera, since, until = body.camera or "", body.since or 0.0, body.until or 0.0
        target = {"camera_id": camera, "since": since, "until": until}
        await footage.release(camera, Period(since, until))
        if (node := manager.files.recording(camera)) is not None:
            await node.release(camera, Period(since, until))
        counts = await asyncio.to_thread(eraser.erase_camera, camera, since, until)
    note(request, **target)
    row = await audit.prove(_proof(caller.name, target, counts))
    numbers = {name: getattr(counts, name) for name in ErasedCounts.__dataclass_fields__}
    return ErasedReply(**numbers, audit_id=row.audit_id, row_hash=row.row_hash)


@router.post(
    "/export",
    summary="All that is kept of a plate",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}}},
)
async def export_plate_data(
    body: ExportRequest, request: Request, eraser: EraserDep
) -> StreamingResponse:
    """A ZIP file: `data.json` with readings and events, and all images. The number is in the body,
    so that no log shows it."""
    number = plate_text.folded(body.plate_number)
    note(request, plate=eraser.fingerprint(number)[:PROOF])
    file = await asyncio.to_thread(eraser.export_plate, number)
    name = f"watchpost-{time.strftime('%Y-%m-%d')}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_chunks(file), media_type="application/zip", headers=headers)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def _proof(actor: str, target: dict[str, str | int | float], counts: ErasedCounts) -> AuditEntry:
    numbers = {name: getattr(counts, name) for name in ErasedCounts.__dataclass_fields__}
    return AuditEntry(actor, "", "erased", details={**target, **numbers})


def _with_limits(one: Kept, settings: Settings) -> KeptReply:
    space, recording = settings.space.max_days, settings.recording
    days = {
        "events": space,
        "recordings": space,
        "clips of events": _shorter(space, recording.event_days),
        "continuous recordings": _shorter(space, recording.continuous_days),
        "audit log": settings.audit.max_days,
    }
    return KeptReply(
        what=one.what,
        count=one.count,
        oldest_ts=one.oldest_ts,
        max_days=days.get(one.what),
        max_count=settings.space.max_events if one.what == "events" else None,
    )


def _shorter(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)
