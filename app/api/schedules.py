"""Collection jobs that repeat."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from app.api.audit_middleware import note
from app.api.deps import CallerDep, ManagerDep, SchedulerDep
from app.api.job_deps import JOB_ERRORS, may_see_spec, own_spec
from app.api.job_schemas import ScheduleChange, ScheduleReply, ScheduleRequest
from app.errors import InvalidRequest, ScheduleNotFound
from app.jobs import Schedule

router = APIRouter(prefix="/collect/schedules", tags=["collection"], responses=JOB_ERRORS)

NO_END = "a schedule has no end, and uncovered faces need one: start single jobs"

ScheduleId = Annotated[
    str,
    Path(
        description="From `POST /collect/schedules`.",
        examples=["7d0e6f0c-3f0b-4d35-9a83-2a1f7c9be0d1"],
    ),
]


async def _own_schedule(
    schedule_id: ScheduleId, schedules: SchedulerDep, caller: CallerDep
) -> Schedule:
    """A schedule that the caller may see. Raises ScheduleNotFound."""
    schedule = await schedules.get(schedule_id)
    if not may_see_spec(schedule.spec, caller):
        raise ScheduleNotFound(schedule_id=schedule_id)
    return schedule


OwnSchedule = Annotated[Schedule, Depends(_own_schedule)]


@router.post("", summary="Repeat a job")
async def add_schedule(
    body: ScheduleRequest,
    request: Request,
    schedules: SchedulerDep,
    manager: ManagerDep,
    caller: CallerDep,
) -> ScheduleReply:
    """Five cron fields, read in a time zone. A run that would overlap the previous one is skipped
    and counted."""
    schedule = body.to_schedule(str(uuid.uuid4()))
    own_spec(schedule.spec, caller, manager, may_choose=False)
    if not schedule.spec.blur:
        raise InvalidRequest(field="blur", reason=NO_END)
    note(request, schedule_id=schedule.schedule_id)
    await schedules.put(schedule)
    return ScheduleReply.of(schedule, schedules.due(schedule.schedule_id))


@router.get("", summary="List schedules")
async def list_schedules(schedules: SchedulerDep, caller: CallerDep) -> list[ScheduleReply]:
    """Oldest first."""
    found = [one for one in await schedules.all() if may_see_spec(one.spec, caller)]
    return [ScheduleReply.of(schedule, schedules.due(schedule.schedule_id)) for schedule in found]


@router.get("/{schedule_id}", summary="Show a schedule")
async def show_schedule(schedule: OwnSchedule, schedules: SchedulerDep) -> ScheduleReply:
    """One schedule, with the time of its next job."""
    return ScheduleReply.of(schedule, schedules.due(schedule.schedule_id))


@router.patch("/{schedule_id}", summary="Change a schedule or switch it off")
async def change_schedule(
    schedule: OwnSchedule, body: ScheduleChange, schedules: SchedulerDep
) -> ScheduleReply:
    """The given fields are changed; jobs that run already go on."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    changed = replace(schedule, **changes)
    await schedules.put(changed)
    return ScheduleReply.of(changed, schedules.due(changed.schedule_id))


@router.delete("/{schedule_id}", summary="Remove a schedule", status_code=204)
async def remove_schedule(schedule: OwnSchedule, schedules: SchedulerDep) -> None:
    """A running job of the schedule continues."""
    await schedules.remove(schedule.schedule_id)
