"""What the parts of a frame's path cost on a node: measured once, and kept in its data folder."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app import __version__
from app.config import Settings, usable_cpus
from app.doctor.findings import Finding
from app.doctor.machine import cpu_name
from app.doctor.measure import Costs
from app.doctor.report import measured_costs

logger = logging.getLogger(__name__)

FILE = "costs.json"
NICE = 19
"""The child that measures runs behind everything else: streams are not delayed."""


class NodeCosts:
    """Measures in the background, when a front first asks.

    Args:
        file: keeps the costs; another CPU, version or device is measured again.
        measure: returns the costs, or the problem that prevented it; blocks for some ten seconds.
    """

    def __init__(
        self,
        settings: Settings,
        file: Path,
        measure: Callable[[], Costs | Finding] | None = None,
    ) -> None:
        self._settings = settings
        self._file = file
        self._measure = measure or (lambda: measured_costs(settings, niceness=NICE))
        self._getting: asyncio.Task[Costs | None] | None = None

    async def get(self) -> Costs | None:
        """The costs, once they are measured; None if that failed, and the next call tries again."""
        getting = self._getting
        if getting is None or (getting.done() and (getting.exception() or not getting.result())):
            getting = self._getting = asyncio.create_task(asyncio.to_thread(self._get))
        return await asyncio.shield(getting)

    def _get(self) -> Costs | None:
        machine = [__version__, cpu_name(), usable_cpus(), self._settings.device]
        if (known := self._read(machine)) is not None:
            return known
        outcome = self._measure()
        if isinstance(outcome, Finding):
            logger.warning("this machine could not be measured: %s", outcome.text)
            return None
        self._write({"machine": machine, "costs": asdict(outcome)})
        return outcome

    def _read(self, machine: list[object]) -> Costs | None:
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            if kept["machine"] != machine:
                return None
            costs = kept["costs"]
            return Costs(**{**costs, "device_ms": tuple(costs["device_ms"])})
        except (OSError, ValueError, KeyError, TypeError):  # none yet, or of another version
            return None

    def _write(self, kept: dict[str, Any]) -> None:
        part = self._file.with_suffix(".part")
        try:
            part.write_text(json.dumps(kept, indent=1), encoding="utf-8")
            part.replace(self._file)
        except OSError as error:
            logger.warning("the costs of this machine are not kept: %s", error.strerror)
