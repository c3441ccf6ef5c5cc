"""What streams ask Ray for: a share of the CPU, an accelerator, and the site they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from app.cluster.placed import PlacedStream
from app.config import ClusterSettings, DeviceName
from app.doctor.measure import Costs
from app.doctor.stream_cost import REFERENCE, cpu_cores, device_share

WORKERS = "workers"
"""The resource that says how many actors a node has: `ray start --resources='{"workers": 4}'`."""
SMALL = 0.001
"""Of a site's or an accelerator's resource: `ray start --resources='{"site:north": 1}'`."""
SMALLEST = 0.0001
"""Ray reserves nothing less."""


class StreamShares:
    """Asks by what was measured: Ray places no more on a machine than fits there.

    Args:
        device: that networks should run on, as ``--device`` says; any but ``auto`` and ``cpu`` is
            asked for.
        object_fps: frames a second of a stream in which objects are detected at most.
    """

    def __init__(self, settings: ClusterSettings, device: DeviceName, object_fps: float) -> None:
        self._settings = settings
        self._device = device
        self._object_fps = object_fps

    @property
    def needs_costs(self) -> bool:
        """Whether machines have to be measured."""
        return self._settings.address != "local" and self._settings.cpu_per_stream is None

    def of(self, placed: PlacedStream, measured: Iterable[Costs]) -> dict[str, float]:
        """The resources that a stream asks for.

        In a cluster of this machine alone, all streams share its cores, as without a cluster: there
        is no other machine that could take those without room.

        Args:
            measured: on each machine; the slowest counts, as Ray may choose any.
        """
        if self._settings.address == "local":
            return {WORKERS: SMALLEST}
        costs = list(measured) or [REFERENCE]
        asked = {"CPU": self._cpu(placed, costs), **self._accelerator(placed, costs)}
        for pattern, site in self._settings.sites.items():
            if fnmatchcase(placed.spec.stream_id, pattern):
                asked[f"site:{site}"] = SMALL
        return asked

    def _cpu(self, placed: PlacedStream, costs: list[Costs]) -> float:
        if self._settings.cpu_per_stream is not None:
            return self._settings.cpu_per_stream
        stats = placed.status.stats
        return max(cpu_cores(placed.spec, stats, one, self._object_fps) for one in costs)

    def _accelerator(self, placed: PlacedStream, costs: list[Costs]) -> dict[str, float]:
        if self._device in ("auto", "cpu"):
            return {}
        if self._device != "cuda":
            return {f"device:{self._device}": SMALL}
        accelerated = [one for one in costs if any(one.device_ms)] or [REFERENCE]
        shares = (device_share(placed.spec, one, self._object_fps) for one in accelerated)
        return {"GPU": max(shares)}
