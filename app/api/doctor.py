"""``GET /api/doctor``: what this machine has, and how many cameras it can process."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.requests import HTTPConnection
from pydantic import BaseModel, Field

from app.api.deps import LanguageDep
from app.api.i18n import doctor_template
from app.config import Settings
from app.doctor.findings import Status
from app.doctor.report import Report, examine

router = APIRouter(tags=["system"])


class FindingSchema(BaseModel):
    """One thing that was checked."""

    name: str
    status: Status
    text: str
    advice: str = Field(description="What to do; empty if there is nothing to do.")


class CapacitySchema(BaseModel):
    """How many cameras of one kind keep their frame rate."""

    load: str
    fps: float
    cameras: float


class SuggestionSchema(BaseModel):
    """Something that would help."""

    text: str
    cameras: float = Field(description="How many cameras of the first kind there could be then.")


class DoctorReport(BaseModel):
    """What this machine has, what it lacks, and how many cameras it can process."""

    healthy: bool = Field(description="Nothing keeps the server from working.")
    findings: list[FindingSchema]
    costs: dict[str, Any] | None = Field(
        description="CPU time of each part in milliseconds of one core, for 1080p frames."
    )
    cameras: list[CapacitySchema]
    demo_fps: float | None
    suggestions: list[SuggestionSchema]


class DoctorService:
    """Examines the machine, once at a time for all callers; belongs to the event loop's thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: dict[bool, asyncio.Task[Report]] = {}

    async def report(self, *, measured: bool) -> Report:
        """Examine the machine; a caller joins an examination that is running."""
        task = self._running.get(measured)
        if task is None or task.done():
            work = asyncio.to_thread(self._examine, measured)
            task = self._running[measured] = asyncio.create_task(work)
        return await asyncio.shield(task)

    def _examine(self, measured: bool) -> Report:
        return examine(self._settings, measured=measured, is_server=True)


def _doctor(connection: HTTPConnection) -> DoctorService:
    doctor: DoctorService = connection.state.doctor
    return doctor


@router.get("/api/doctor", summary="What this machine has, and how many cameras it can process")
async def doctor_report(
    service: Annotated[DoctorService, Depends(_doctor)],
    language: LanguageDep,
    measure: Annotated[
        bool, Query(description="Also measure the costs, which takes some ten seconds.")
    ] = True,
) -> DoctorReport:
    """The checks of `watchpost doctor`. Measuring steps back behind the running streams, whose
    load hardly changes the result; callers at the same time get the same report."""
    report = await service.report(measured=measure)
    return DoctorReport.model_validate(report.as_dict(partial(doctor_template, language=language)))
