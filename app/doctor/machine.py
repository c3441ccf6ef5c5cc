"""Checks of the machine: CPU, memory, open files, clock."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import time
from pathlib import Path

from app.config import usable_cpus
from app.doctor.findings import Finding, Phrase, ok, verbatim, warning

GIB = 2**30
MIN_MEMORY = GIB
MIN_OPEN_FILES = 1024
OLDEST_CLOCK = 1_735_689_600  # 2025-01-01: a clock before that was never set
TIME_ERROR = 5  # from Linux's timex.h: the clock is not synchronised
FEATURES = {
    "avx2": "AVX2",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX512-VNNI",
    "amx_int8": "AMX",
    "asimd": "NEON",
    "asimddp": "dot product",
}
"""Names in /proc/cpuinfo of the instruction sets that networks profit from."""
NO_AVX2 = Phrase(
    "without AVX2 networks run several times slower; choose host as the CPU type if this is a "
    "virtual machine"
)


def machine() -> list[Finding]:
    """Check the machine itself."""
    return [cpu(), memory(), open_files(), clock()]


def cpu() -> Finding:
    """The processor, the cores that may be used, and the instruction sets that matter."""
    model, flags = _cpu_info()
    names = [name for flag, name in FEATURES.items() if flag in flags]
    count = usable_cpus()
    cores = Phrase("1 core usable") if count == 1 else Phrase("{count} cores usable", count=count)
    known = ", ".join(names) or Phrase("no vector instructions known")
    text = Phrase("{model}, {cores}, {known}", model=model, cores=cores, known=known)
    if platform.machine() in ("x86_64", "AMD64") and flags and "avx2" not in flags:
        return warning("cpu", text, NO_AVX2)
    if count == 1:
        advice = Phrase("give it two cores: detection and encoding run side by side")
        return warning("cpu", text, advice)
    return ok("cpu", text)


def cpu_name() -> str:
    """What the system calls the processor."""
    return _cpu_info()[0]


def _cpu_info() -> tuple[str, set[str]]:
    """Name and flags of the processor; no flags where the system does not list them."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return platform.processor() or platform.machine(), set()
    lines = [line.partition(":") for line in info.splitlines()]
    values = {name.strip(): value.strip() for name, _, value in lines}
    flags = set(values.get("flags", values.get("Features", "")).split())
    return values.get("model name", platform.machine()), flags


def memory() -> Finding:
    """Memory that is free for the server, within the limit of its container."""
    total, free = _memory()
    text = Phrase("{free:.1f} of {total:.1f} GiB available", free=free / GIB, total=total / GIB)
    if free < MIN_MEMORY:
        return warning("memory", text, Phrase("keep 1 GiB free: four cameras take about 0.9 GiB"))
    return ok("memory", text)


def _memory() -> tuple[int, int]:
    """Bytes in total and available."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = free = page * os.sysconf("SC_PHYS_PAGES")
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="utf-8"))
        total, free = min(total, limit), min(free, max(0, limit - used))
    except (OSError, ValueError):  # not Linux, or no limit
        pass
    return total, free


def open_files() -> Finding:
    """The number of files and sockets that the process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return ok("open files", Phrase("no limit"))
    text = Phrase("{count} at most", count=soft)
    if soft < MIN_OPEN_FILES:
        reachable = hard == resource.RLIM_INFINITY or hard >= MIN_OPEN_FILES
        command = f"ulimit -n {MIN_OPEN_FILES}"
        as_root = Phrase("{command} (as root)", command=command)
        return warning("open files", text, verbatim(command) if reachable else as_root)
    return ok("open files", text)


def clock() -> Finding:
    """Whether the clock is set and kept right: events and recordings carry its time."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    if time.time() < OLDEST_CLOCK:
        advice = Phrase("set the clock, then turn on NTP")
        return warning("clock", Phrase("{now}: it was never set", now=now), advice)
    if _is_unsynchronised():
        advice = Phrase("turn on NTP: timedatectl set-ntp true (in a container: on its host)")
        return warning("clock", Phrase("{now}, not synchronised", now=now), advice)
    return ok("clock", verbatim(now))


def _is_unsynchronised() -> bool:
    """Whether Linux says that nothing keeps the clock right; False where that is not known."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return False
    # struct timex with ``modes`` 0: it only reads. 512 bytes are more than any version has.
    return bool(adjtimex(ctypes.create_string_buffer(512)) == TIME_ERROR)
