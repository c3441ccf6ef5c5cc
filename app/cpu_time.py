"""CPU time of this process by thread, and of its children; from ``/proc``, so on Linux only."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc/self/task")
NATIVE = "native"
"""The name of threads that Python does not know, as those of OpenVINO and FFmpeg."""


class CpuTime(NamedTuple):
    """What a thread, or all threads of one name, used since it began."""

    name: str
    seconds: float


def thread_times() -> list[CpuTime]:
    """CPU time of every thread, by Python's name for it; empty where it cannot be read."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    times = []
    for folder in _entries(PROC):
        seconds = _seconds(folder / "stat")
        if seconds is not None:
            times.append(CpuTime(names.get(int(folder.name), NATIVE), seconds))
    return times


def child_times() -> list[CpuTime]:
    """CPU time of every process that this one has started and that still runs."""
    times = []
    for folder in _entries(PROC):
        with suppress(OSError):
            for child in (folder / "children").read_text(encoding="ascii").split():
                seconds = _seconds(Path("/proc") / child / "stat")
                if seconds is not None:
                    times.append(CpuTime(child, seconds))
    return times


def memory_bytes() -> int | None:
    """Resident memory of this process; None where it cannot be read."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _seconds(stat: Path) -> float | None:
    """User and system time of a ``stat`` file; None for what has ended meanwhile."""
    try:
        fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
