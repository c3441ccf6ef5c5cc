"""What streams ask Ray for: a share of the CPU, an accelerator, and the site they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from app.cluster.placed import PlacedStream
from app.config import ClusterSettings, DeviceName
from app.doctor.measure import Costs
from app.doctor.stream_cost import REFERENCE, cpu_cores, device_share
from app.recording.captures import LIVE_FPS
from app.types import StreamSpec, StreamStats

WORKERS = "workers"
"""The resource that says how many actors a node has: `ray start --resources='{"workers": 4}'`."""
SMALL = 0.001
"""Of a site's or an accelerator's resource: `ray start --resources='{"site:north": 1}'`."""
SMALLEST = 0.0001
"""Ray reserves nothing less."""
COPIES = 0.1
"""Cores for a source that a job copies without decoding it; a guess."""


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
        spec, stats, costs = placed.spec, placed.status.stats, list(measured) or [REFERENCE]
        asked = {"CPU": self._cpu(spec, stats, costs), **self._accelerator(spec, costs)}
        return asked | self._site(spec.stream_id)

    def of_job(self, name: str, measured: Iterable[Costs], *, copies: bool) -> dict[str, float]:
        """The resources that a source of a job asks for: as a stream with an output.

        Args:
            name: of the job, with which the patterns of sites are compared.
            measured: as for streams.
            copies: it is only copied.
        """
        if self._settings.address == "local":
            return {WORKERS: SMALLEST}
        if copies:
            share = min(COPIES, self._settings.cpu_per_stream or COPIES)
            return {"CPU": share, **self._site(name)}
        spec, costs = StreamSpec("", "", "", max_fps=LIVE_FPS), list(measured) or [REFERENCE]
        asked = {"CPU": self._cpu(spec, StreamStats(), costs), **self._accelerator(spec, costs)}
        return asked | self._site(name)

    def _site(self, name: str) -> dict[str, float]:
        sites = self._settings.sites.items()
        return {f"site:{site}": SMALL for pattern, site in sites if fnmatchcase(name, pattern)}

    def _cpu(self, spec: StreamSpec, stats: StreamStats, costs: list[Costs]) -> float:
        if self._settings.cpu_per_stream is not None:
            return self._settings.cpu_per_stream
        return max(cpu_cores(spec, stats, one, self._object_fps) for one in costs)

    def _accelerator(self, spec: StreamSpec, costs: list[Costs]) -> dict[str, float]:
        if self._device in ("auto", "cpu"):
            return {}
        if self._device != "cuda":
            return {f"device:{self._device}": SMALL}
        accelerated = [one for one in costs if any(one.device_ms)] or [REFERENCE]
        shares = (device_share(spec, one, self._object_fps) for one in accelerated)
        return {"GPU": max(shares)}
