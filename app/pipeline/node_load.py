"""What a node of a cluster does now, and what that costs, as it reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class NetworkLoad(NamedTuple):
    """One network of a node.

    Attributes:
        waiting: images that wait for it.
        batches, seconds: how many it has processed, and how long that took in all.
    """

    waiting: int
    batches: int
    seconds: float


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """A node of a cluster.

    Attributes:
        cpus: that the process of its streams may use.
        cpu_s: CPU time of that process since it began.
        load_1m: of the machine; None where it cannot be read.
        memory_bytes: resident memory of the process; None where it cannot be read.
        disk_size, disk_free: bytes of the disk of its recordings.
        stored: bytes of what it has stored, at its last sweep.
        events_waiting: events that the front has not taken.
        events_lost: events that no front took in time.
        networks: by purpose.
        photos: how many uploaded photos it has read since it began.
    """

    cpus: int
    cpu_s: float
    load_1m: float | None
    memory_bytes: int | None
    disk_size: int
    disk_free: int
    stored: int
    events_waiting: int
    events_lost: int
    networks: Mapping[str, NetworkLoad] = field(default_factory=dict)
    photos: int = 0
