"""The audit log, for administrators."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import math
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.api.deps import AuditLogDep
from app.api.errors import ErrorReply
from app.api.events import Since, Until
from app.audit import AuditFilter, AuditRow, Outcome

MAX_ID = 2**63 - 1
COLUMNS = ("audit_id", "ts", "actor", "address", "action", "outcome", "details", "row_hash")

router = APIRouter(
    prefix="/api/audit",
    tags=["accounts"],
    responses={
        400: {"model": ErrorReply, "description": "Wrong parameter"},
        401: {"model": ErrorReply, "description": "Token needed"},
        403: {"model": ErrorReply, "description": "The caller is no administrator"},
    },
)


class AuditReply(BaseModel):
    """Something that a caller did, saw, or was denied. It contains ids only."""

    audit_id: int
    ts: float = Field(description="Unix seconds.")
    actor: str = Field(description="Such as `user 3`, `token 7`, `server token`, `this machine`.")
    address: str
    action: str = Field(description="Method and path of the route, or what the server did.")
    outcome: Outcome
    details: dict[str, Any]
    row_hash: str = Field(description="SHA-256 of the row and of the hash before it.")

    @classmethod
    def of(cls, row: AuditRow) -> AuditReply:
        entry = row.entry
        return cls(
            audit_id=row.audit_id,
            ts=row.ts,
            actor=entry.actor,
            address=entry.address,
            action=entry.action,
            outcome=entry.outcome,
            details=dict(entry.details),
            row_hash=row.row_hash,
        )


class AuditPage(BaseModel):
    """Rows, newest first."""

    total: int = Field(description="Number of matching rows, on all pages.")
    cursor: int | None = Field(description="The `cursor` of the next page; null on the last.")
    rows: list[AuditReply]


class AuditCheck(BaseModel):
    """Whether the log is complete and unchanged."""

    ok: bool
    problem: str | None


def _wanted(
    actor: Annotated[str | None, Query(max_length=64, description="Such as `user 3`.")] = None,
    action: Annotated[str | None, Query(max_length=100, description="A part of it.")] = None,
    outcome: Annotated[Outcome | None, Query(description="How the call ended.")] = None,
    since: Since = None,
    until: Until = None,
) -> AuditFilter:
    return AuditFilter(
        actor,
        action,
        outcome,
        -math.inf if since is None else since,
        math.inf if until is None else until,
    )


Wanted = Annotated[AuditFilter, Depends(_wanted)]


@router.get("", summary="The audit log")
async def show_audit_log(
    audit: AuditLogDep,
    wanted: Wanted,
    limit: Annotated[int, Query(ge=1, le=500, description="Most rows of the reply.")] = 50,
    cursor: Annotated[
        int | None,
        Query(ge=0, le=MAX_ID, description="That of the reply before, for the next page."),
    ] = None,
) -> AuditPage:
    """Newest first."""
    rows, total = await asyncio.to_thread(audit.rows.page, wanted, limit + 1, cursor)
    more = len(rows) > limit
    return AuditPage(
        total=total,
        cursor=rows[limit - 1].audit_id if more else None,
        rows=[AuditReply.of(row) for row in rows[:limit]],
    )


@router.get(
    "/export.csv",
    summary="The audit log as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}},
)
async def export_audit_log(audit: AuditLogDep, wanted: Wanted) -> StreamingResponse:
    """All matching rows, newest first."""
    return StreamingResponse(
        _csv(audit.rows.all(wanted)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
    )


@router.get("/check", summary="Is the audit log complete and unchanged?")
async def check_audit_log(audit: AuditLogDep) -> AuditCheck:
    """Recomputes the chain of hashes and verifies the signatures, as `watchpost doctor` does."""
    problem = await asyncio.to_thread(audit.rows.check)
    return AuditCheck(ok=problem is None, problem=problem)


def _csv(rows: Iterator[AuditRow]) -> Iterator[str]:
    yield ",".join(COLUMNS) + "\r\n"
    for row in rows:
        values = AuditReply.of(row).model_dump()
        values["details"] = json.dumps(values["details"], ensure_ascii=False)
        file = io.StringIO()
        csv.writer(file).writerow([values[name] for name in COLUMNS])
        yield file.getvalue()
