"""What the server does now, and what that costs; and its last warnings and errors."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import time
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from fastapi import APIRouter, Query

from app import __version__
from app.api.deps import LanguageDep
from app.api.health import HealthDep, HealthService
from app.api.i18n import Language, phrase_in
from app.api.system_deps import SYSTEM_ERRORS, SystemDep, SystemServices
from app.api.system_schemas import (
    CameraLoad,
    CpuPart,
    DatabaseStatus,
    DiskStatus,
    HealthIssueReply,
    MachineStatus,
    NetworkStatus,
    NodeLoadReply,
    ProblemReply,
    SystemStatus,
)
from app.config import usable_cpus
from app.cpu_time import NATIVE, child_times, memory_bytes, thread_times
from app.models.batching import BatchingRunner
from app.recent_problems import MAX_PROBLEMS, RECENT
from app.recording.captures import OWN_IDS

PACKAGES = (
    *("openvino", "av", "opencv-python", "opencv-python-headless"),
    *("numpy", "sqlalchemy", "fastapi", "torch"),
)
NATIVE_PART, OTHER, PUBLISHING = "networks and codecs", "other", "publishing"
WORKER, NETWORK = "worker", "network"
_POOL_NUMBER = re.compile(r"_\d+$")
STREAM_PARTS = (
    *("input", "substream", "detect", "blur", "analyze"),
    *("output", "preview", "recording", "continuous"),
)
"""The threads of a stream; see ``docs/architecture.md``."""

router = APIRouter(prefix="/api/system", tags=["system"], responses=SYSTEM_ERRORS)


@router.get("/status", summary="What the server does, and what that costs")
async def show_system_status(
    health: HealthDep, system: SystemDep, language: LanguageDep
) -> SystemStatus:
    """Load by part and camera, rates and delays, disk, networks, versions. CPU times count up:
    the difference of two replies is the load between them."""
    snapshot = await health.read()
    issues = await health.issues()
    parts = await asyncio.to_thread(_parts, {one.spec.stream_id for one, _ in snapshot.streams})
    disk = snapshot.disk
    return SystemStatus(
        now_ts=time.time(),
        started_ts=system.started_ts,
        version=__version__,
        packages=await asyncio.to_thread(_packages),
        machine=_machine(),
        issues=[
            HealthIssueReply(
                what=phrase_in(one.what, language), reason=phrase_in(one.reason, language)
            )
            for one in issues
        ],
        parts=parts,
        cameras=_cameras(health, language),
        nodes=[NodeLoadReply.of(one) for one in health.manager.nodes()],
        networks=_networks(health, language),
        disk=DiskStatus(
            size=disk and disk.size,
            free=disk and disk.free,
            floor=snapshot.disk_floor,
            stored=snapshot.stored_bytes,
            limit=snapshot.stored_limit,
        ),
        database=await asyncio.to_thread(_database, system),
        events_waiting=snapshot.events_waiting,
        events_lost=snapshot.events_lost,
    )


@router.get("/log", summary="The last warnings and errors")
async def list_problems(
    limit: Annotated[int, Query(ge=1, le=MAX_PROBLEMS, description="Most rows.")] = MAX_PROBLEMS,
) -> list[ProblemReply]:
    """Newest first, since the start of the server; equal ones are counted. They hold no secrets."""
    return [ProblemReply.of(one) for one in RECENT.newest()[:limit]]


def _parts(streams: set[str]) -> list[CpuPart]:
    """CPU time by part of the work, and by stream where a part belongs to one."""
    used: defaultdict[tuple[str, str | None], float] = defaultdict(float)
    for name, seconds in thread_times():
        used[_part(name, streams)] += seconds
    for _, seconds in child_times():
        used[PUBLISHING, None] += seconds
    return [
        CpuPart(part=part, camera_id=stream, cpu_s=round(seconds, 2))
        for (part, stream), seconds in sorted(used.items(), key=lambda one: -one[1])
    ]


def _part(thread: str, streams: set[str]) -> tuple[str, str | None]:
    """What a thread does, by its name: ``gate-blur``, ``gate-analyze_0``, ``faces-0``."""
    if thread == NATIVE:
        return NATIVE_PART, None
    if thread == "MainThread":
        return "server", None
    first, _, last = _POOL_NUMBER.sub("", thread).rpartition("-")
    if last in STREAM_PARTS and first:
        return last, first if first in streams else None
    if first and last.isdigit():
        return NETWORK, None
    return (WORKER, None) if thread.startswith(WORKER) else (OTHER, None)


def _machine() -> MachineStatus:
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return MachineStatus(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        cpus=usable_cpus(),
        load_1m=load,
        memory_bytes=memory_bytes(),
    )


def _cameras(health: HealthService, language: Language) -> list[CameraLoad]:
    return [
        CameraLoad.of(one, language)
        for one in health.manager.all()
        if not one.spec.stream_id.startswith(OWN_IDS)
    ]


def _networks(health: HealthService, language: Language) -> list[NetworkStatus]:
    return [
        NetworkStatus(
            purpose=purpose,
            name=runner.network.name if runner else None,
            device=runner.network.device if runner else None,
            waiting=runner.waiting if runner else 0,
            trouble=_trouble(runner, language),
        )
        for purpose, runner in health.networks.items()
    ]


def _trouble(runner: BatchingRunner | None, language: Language) -> str | None:
    trouble = runner.trouble if runner else "it is not installed"
    return None if trouble is None else phrase_in(trouble, language)


def _database(system: SystemServices) -> DatabaseStatus:
    try:
        size = system.database.size()
    except OSError:
        size = None
    return DatabaseStatus(kind=system.database.kind, bytes=size)


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
