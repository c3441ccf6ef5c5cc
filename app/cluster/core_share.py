"""The cores of one of several nodes of a machine: a part of them for each.

Without that, each node would start as many threads for each network as the machine has cores, and
they would compete.
"""

from __future__ import annotations

import os
from pathlib import Path

THREADS = Path("/proc/self/task")


def take_share(number: int, nodes: int) -> None:
    """Run on a part of the cores from now on, also with threads that exist already; Linux only.

    Args:
        number: of this node, from 1.
        nodes: of this machine.
    """
    if not hasattr(os, "sched_setaffinity") or not THREADS.is_dir():
        return
    mine = share(sorted(os.sched_getaffinity(0)), number, nodes)
    for thread in THREADS.iterdir():
        try:
            os.sched_setaffinity(int(thread.name), mine)
        except ProcessLookupError:  # it has ended
            continue


def share(cores: list[int], number: int, nodes: int) -> list[int]:
    """The cores of a node: neighbours, which share caches. All, if there are fewer than nodes."""
    if len(cores) < nodes:
        return cores
    return cores[len(cores) * (number - 1) // nodes : len(cores) * number // nodes]
