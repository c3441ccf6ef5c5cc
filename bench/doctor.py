"""The doctor's prediction, compared with live streams on the same machine.

What one stream uses of the CPU says how many there could be: the cameras and the RTSP server, which
run on the same cores here, take little from it. Then the predicted number of cameras is run,
rounded down, and one more, which shows what is left when there are too many.
"""

from __future__ import annotations

import math
import re
import statistics
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
FPS_COLUMN, CPU_COLUMN = (1 + live.HEAD.index(name) for name in ("fps each", "CPU cores"))
OPTIONS: dict[Load, dict[str, Any]] = {
    LOADS[0]: {"max_fps": 15},
    LOADS[1]: {"max_fps": 5},
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
            results = {
                number: live.measure(number, cameras, Path(folder) / load.name, options)
                for number in sorted({1, count, count + 1})
            }
            measured = usable_cpus() * USABLE / _cores(results[1], load)
            rows.append(
                (
                    load.name,
                    f"{predicted:.1f}",
                    f"{measured:.1f}",
                    f"{predicted / measured:.2f}",
                    count,
                    results[count][FPS_COLUMN],
                    results[count + 1][FPS_COLUMN],
                )
            )
    show(f"The doctor's prediction and live streams: {name}", HEAD, rows)


def _cores(one: list[object], load: Load) -> float:
    """What a stream would use if no frame of it had been dropped."""
    rates = [float(rate) for rate in re.findall(r"[\d.]+", str(one[FPS_COLUMN]))]
    return float(str(one[CPU_COLUMN])) * load.fps / statistics.mean(rates)
