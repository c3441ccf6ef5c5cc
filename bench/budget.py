"""What a busy machine gives up, and takes back: one camera, then four, then one again.

The first camera detects smoking; the others are only blurred. Twice a second its frame rate, its
delay, and what it goes without are read from the API. A table is printed; with ``--plot`` a picture
is drawn as well, as in ``docs/speed.md``:

    ONEDNN_MAX_CPU_ISA=AVX2 python -m bench.budget --plot docs/images/budget.svg
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from bench import clip
from bench.live import ROOT, server
from bench.table import show

BUSY_FROM_S, BUSY_UNTIL_S, END_S = 15.0, 50.0, 95.0
OTHERS = ("cam1", "cam2", "cam3")
CONFIGURED_OBJECT_FPS = 5.0
EVERY_S = 0.5
ROW_EVERY_S = 5.0


class Sample(NamedTuple):
    """The first camera at one moment.

    Attributes:
        at_s: seconds since the benchmark began.
        fps: frames shown a second, over five seconds.
        p95_ms: delay that 95 of 100 of the last frames kept.
        object_fps: frames a second on which objects are detected.
        crops: whether people are examined enlarged.
        face_gap_ms: for how long covered faces may be predicted.
    """

    at_s: float
    fps: float
    p95_ms: float
    object_fps: float
    crops: bool
    face_gap_ms: int


def run(plot: Path | None = None) -> None:
    """Print a table, and draw a picture if ``plot`` names a file for it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support import rtsp

    missing = rtsp.available()
    if missing:
        print(f"\nthe budget is not measured: {missing}")
        return
    name = next(name for name in (*clip.FIXED, clip.WANDERING) if name in clip.available())
    with (
        tempfile.TemporaryDirectory() as folder,
        rtsp.RtspServer(serve={"cam": clip.make(20, fps=15, name=name)}) as cameras,
        server(Path(folder)) as (client, _),
    ):
        samples = _samples(client, cameras)
    _table(samples)
    if plot is not None:
        draw(samples, plot)


def _samples(client: httpx.Client, cameras: Any) -> list[Sample]:
    """Play the scenario: what the first camera did."""
    _start(client, cameras, "cam0", {"smoking": {}})
    began, samples, busy = time.monotonic(), [], False
    while (at_s := time.monotonic() - began) < END_S:
        if not busy and BUSY_FROM_S <= at_s < BUSY_UNTIL_S:
            busy = True
            for other in OTHERS:
                _start(client, cameras, other, {})
        elif busy and at_s >= BUSY_UNTIL_S:
            busy = False
            for other in OTHERS:
                client.post(f"/api/streams/{other}/disconnect").raise_for_status()
        samples.append(_sample(client, at_s))
        time.sleep(EVERY_S)
    return samples


def _start(client: httpx.Client, cameras: Any, name: str, analytics: dict[str, Any]) -> None:
    body = {
        "rtsp_url": cameras.url("/cam"),
        "output_url": cameras.url(f"/out-{name}"),
        "analytics": analytics,
    }
    client.post(f"/api/streams/{name}/start", json=body).raise_for_status()


def _sample(client: httpx.Client, at_s: float) -> Sample:
    data = client.get("/api/streams/cam0").json()["data"]
    stats, reduced = data["stats"], data["reduced"] or {}
    object_fps = reduced.get("object_fps")
    return Sample(
        at_s,
        stats["output_fps"],
        stats["latency_ms"]["p95"] or 0.0,
        CONFIGURED_OBJECT_FPS if object_fps is None else object_fps,
        reduced.get("crops", True),
        reduced.get("face_gap_ms", 0),
    )


def _table(samples: Sequence[Sample]) -> None:
    rows, due = [], 0.0
    for sample in samples:
        if sample.at_s >= due:
            due += ROW_EVERY_S
            streams = 4 if BUSY_FROM_S <= sample.at_s < BUSY_UNTIL_S else 1
            enlarged = "yes" if sample.crops else "no"
            numbers = [f"{sample.fps:.1f}", f"{sample.p95_ms:.0f}", f"{sample.object_fps:.1f}"]
            rows.append([f"{sample.at_s:.0f}", streams, *numbers, enlarged, sample.face_gap_ms])
    head = ["s", "streams", "fps", "p95 ms", "objects/s", "people enlarged", "faces predicted ms"]
    show("The first camera while three others come and go", head, rows)


def draw(samples: Sequence[Sample], file: Path) -> None:
    """Draw frame rate, object detections and delay over time, as SVG or PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    times = [sample.at_s for sample in samples]
    figure, (rates, delays) = pyplot.subplots(2, 1, sharex=True, figsize=(8, 4.5))
    rates.plot(times, [sample.fps for sample in samples], label="frames shown a second")
    rates.step(
        times,
        [sample.object_fps for sample in samples],
        where="post",
        label="objects detected a second",
    )
    held = [sample.at_s for sample in samples if sample.face_gap_ms]
    rates.plot(held, [0.3] * len(held), ".", markersize=3, label="faces predicted up to 200 ms")
    rates.set_ylim(0, 17)
    delays.plot(times, [sample.p95_ms for sample in samples], label="delay p95, ms (512 frames)")
    delays.set_ylim(bottom=0)
    delays.set_xlabel("seconds")
    for axes in (rates, delays):
        axes.axvspan(BUSY_FROM_S, BUSY_UNTIL_S, alpha=0.1, label="three more streams")
        axes.legend(loc="center right", fontsize=8)
    figure.tight_layout()
    figure.savefig(file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, help="file for the picture, .svg or .png")
    run(parser.parse_args().plot)
