"""The doctor's prediction, compared with live streams on the same machine.

The number of cameras that it predicts is rounded down, and run; what they use of the CPU says how
many there could be. One more camera than that shows what is left when there are too many.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from app.config import Settings, usable_cpus
from app.doctor.capacity import LOADS, USABLE, Load
from app.doctor.findings import Finding
from app.doctor.report import measured_costs
from bench import clip, live
from bench.table import show

CLIP = "people, one by one"
CPU_COLUMN = live.HEAD.index("CPU cores")
OPTIONS: dict[Load, dict[str, Any]] = {
    LOADS[0]: {"max_fps": 15},
    LOADS[3]: {"max_fps": 5, "analytics": ["bags"]},
}
HEAD = ("cameras of", "predicted", "measured", "ratio", "run", "fps each", "one more: fps each")


def run() -> None:
    """Print a table of predictions and measurements."""
    sys.path.insert(0, str(live.ROOT / "tests"))
    from support import rtsp

    missing = rtsp.available()
    costs = measured_costs(Settings())
    if missing or isinstance(costs, Finding):
        print(f"\nthe doctor is not checked: {missing or costs}")
        return
    name = CLIP if CLIP in clip.available() else clip.WANDERING
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        rtsp.RtspServer(serve={"cam": clip.make(20, fps=15, name=name)}) as cameras,
    ):
        for load, options in OPTIONS.items():
            predicted = load.cameras(costs)
            count = max(1, math.floor(predicted))
            exact, more = (
                live.measure(number, cameras, Path(folder) / load.name, options)
                for number in (count, count + 1)
            )
            rows.append(_row(load, predicted, count, exact, more))
    show(f"The doctor's prediction and live streams: {name}", HEAD, rows)


def _row(
    load: Load, predicted: float, count: int, exact: list[object], more: list[object]
) -> list[object]:
    """A row of the table; the columns of ``exact`` and ``more`` follow the number of streams."""
    used = float(str(exact[1 + CPU_COLUMN]))
    measured = usable_cpus() * USABLE / used * count
    ratio = f"{predicted / measured:.2f}"
    return [load.name, f"{predicted:.1f}", f"{measured:.1f}", ratio, count, exact[1], more[1]]
