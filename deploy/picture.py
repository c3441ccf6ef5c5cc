"""Draws the dashboard as an image: every panel of ``dashboard.json``, with data of Prometheus.

    python deploy/picture.py docs/images/dashboard.webp --minutes 10

Needs matplotlib (requirements-dev.txt) and no Grafana.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

DASHBOARD = Path(__file__).with_name("dashboard.json")
POINTS = 240
TICKS_S = (15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400)
COLUMNS, CELL = 24, 0.36
"""Grafana's columns in the width, and the height of one of its rows in inches."""
BACK, PANEL, TEXT, FAINT = "#111217", "#181b1f", "#d8d9da", "#8e9299"
COLORS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#b877d9", "#f2495c", "#8ab8ff", "#96d98d")
NAMED = {"gray": "#6e7681", "green": "#56a64b", "orange": "#ff9830", "blue": "#5794f2"}
NAMED |= {"red": "#e02f44"}


class Series(NamedTuple):
    """A time series: its name, Unix seconds and values, both (N,)."""

    name: str
    times: np.ndarray
    values: np.ndarray


class Prometheus:
    """Reads the time series of panels from Prometheus.

    Args:
        url: of the Prometheus server.
        minutes: the time span of the image.
    """

    def __init__(self, url: str, minutes: float) -> None:
        self._url = url.rstrip("/")
        self.end = time.time()
        self.start = self.end - minutes * 60
        self._step = max(1.0, (self.end - self.start) / POINTS)

    def series(self, panel: dict[str, Any]) -> list[Series]:
        """The time series of a panel."""
        return [one for target in panel.get("targets", []) for one in self._target(target)]

    def _target(self, target: dict[str, Any]) -> Iterator[Series]:
        window = f"{max(15, round(4 * self._step))}s"
        expr = target["expr"].replace("$__rate_interval", window).replace("$stream", ".*")
        query: dict[str, Any] = {"query": expr, "time": self.end}
        if not target.get("instant"):
            query = {"query": expr, "start": self.start, "end": self.end, "step": self._step}
        call = "query" if target.get("instant") else "query_range"
        url = f"{self._url}/api/v1/{call}?{urllib.parse.urlencode(query)}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=30) as reply:
            found = json.load(reply)["data"]["result"]
        for one in found:
            name = re.sub(
                r"\{\{\s*(\w+)\s*\}\}",
                lambda label, of=one["metric"]: of.get(label[1], ""),
                target["legendFormat"],
            )
            times, values = np.array(one.get("values") or [one["value"]], dtype=float).T
            yield Series(name, times, values)


# ── formatting ───────────────────────────────────────────────────────────────────────────────


def readable(value: float, unit: str | None, decimals: int | None = None) -> str:
    """A number with its unit, such as 2.4 GB, 35 ms or 40 %."""
    if not np.isfinite(value):
        return "–"
    if unit is None and decimals is not None:
        return f"{value:,.{decimals}f}"
    if unit == "bytes":
        for prefix in ("", "k", "M", "G"):
            if abs(value) < 1000:
                return f"{value:.3g} {prefix}B"
            value /= 1000
        return f"{value:.3g} TB"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if 0 < abs(value) < 1 else f"{value:.3g} s"
    if unit == "percentunit":
        return f"{value * 100:.0f} %"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


# ── kinds of panels ──────────────────────────────────────────────────────────────────────────


def draw_lines(
    axes: Axes, series: Sequence[Series], panel: dict[str, Any], data: Prometheus
) -> None:
    unit = panel["fieldConfig"]["defaults"].get("unit")
    for one, color in zip(series, COLORS * 9, strict=False):
        axes.plot(one.times, one.values, color=color, linewidth=1.3, label=one.name)
        axes.fill_between(one.times, one.values, color=color, alpha=0.08, linewidth=0)
    axes.set_xlim(data.start, data.end)
    finite = [value for one in series for value in one.values if np.isfinite(value)]
    top = max(finite, default=0.0)
    axes.set_ylim(0, top * 1.15 or 1)
    step = next(s for s in TICKS_S if (data.end - data.start) / s <= 5 or s == TICKS_S[-1])
    shown = "%H:%M:%S" if step < 60 else "%H:%M"
    axes.set_xticks(np.arange(-(-data.start // step) * step, data.end, step))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda second, _: datetime.fromtimestamp(second).strftime(shown))
    )
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: readable(value, unit)))
    axes.grid(color="#2c3235", linewidth=0.6)
    legend(axes, [one.name for one in series])


def legend(axes: Axes, names: Sequence[str]) -> None:
    if names and any(names):
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.13),
            ncols=-(-len(names) // 2) if len(names) > 3 else len(names),
            fontsize=7 if len(names) < 7 else 6,
            frameon=False,
            labelcolor=TEXT,
            handlelength=1,
            columnspacing=1.0,
            handletextpad=0.5,
        )


def draw_number(axes: Axes, series: Sequence[Series], panel: dict[str, Any], _: Prometheus) -> None:
    value = series[0].values[-1] if series else float("nan")
    defaults = panel["fieldConfig"]["defaults"]
    steps = defaults.get("thresholds", {"steps": [{"color": "green", "value": None}]})["steps"]
    color = next(s["color"] for s in reversed(steps) if s["value"] is None or value >= s["value"])
    axes.text(
        0.5,
        0.45,
        readable(value, defaults.get("unit"), defaults.get("decimals")),
        ha="center",
        va="center",
        fontsize=19,
        color=NAMED.get(color, TEXT),
        transform=axes.transAxes,
    )
    bare(axes)


def draw_bars(
    axes: Axes, series: Sequence[Series], panel: dict[str, Any], data: Prometheus
) -> None:
    """Draw the newest values; series that ended earlier are left out."""
    defaults = panel["fieldConfig"]["defaults"]
    now = [one for one in series if one.times[-1] > data.end - 30]
    shown = sorted(now, key=lambda one: one.name)[:6]
    values = [one.values[-1] for one in shown]
    top = defaults.get("max") or max([*values, 1])
    for place, (one, value) in enumerate(zip(shown, values, strict=True)):
        axes.barh(place, top, color="#22252b", height=0.6)
        axes.barh(place, value, color=COLORS[0], height=0.6)
        name = one.name if len(one.name) < 24 else f"{one.name[:8]}…"
        text = f"{name}   {readable(value, defaults.get('unit'))}"
        axes.text(top * 0.02, place, text, va="center", fontsize=8, color="white")
    axes.set_ylim(len(shown) - 0.4 if shown else 1, -0.6)
    if not shown:
        axes.text(0.5, 0.5, "none", ha="center", color=FAINT, transform=axes.transAxes)
    bare(axes)


def draw_states(
    axes: Axes, series: Sequence[Series], panel: dict[str, Any], data: Prometheus
) -> None:
    """Draw one bar for each stream; its colour is the state."""
    known = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    ordered = sorted(series, key=lambda one: one.name)
    for place, one in enumerate(ordered):
        width = one.times[1] - one.times[0] if len(one.times) > 1 else 1
        for second, value in zip(one.times, one.values, strict=True):
            color = NAMED[known[str(int(value))]["color"]]
            axes.barh(place, width * 1.05, left=second, color=color, height=0.7, linewidth=0)
        away = {"xy": (data.start, place), "xytext": (-8, 0), "textcoords": "offset points"}
        axes.annotate(one.name, **away, ha="right", va="center", fontsize=8, color=TEXT)
    axes.set_xlim(data.start, data.end)
    axes.set_ylim(len(ordered) - 0.4, -0.6)
    bare(axes)
    for place, entry in enumerate(known.values()):
        x = 0.02 + 0.2 * place
        color = NAMED[entry["color"]]
        swatch = {"boxstyle": "round,pad=0.15", "fc": color, "ec": "none"}
        axes.text(x, -0.1, "   ", transform=axes.transAxes, fontsize=5, bbox=swatch)
        axes.text(
            x + 0.035, -0.115, entry["text"], transform=axes.transAxes, fontsize=7, color=TEXT
        )


def bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])


DRAW = {
    "timeseries": draw_lines,
    "stat": draw_number,
    "bargauge": draw_bars,
    "state-timeline": draw_states,
}


# ── the whole dashboard ──────────────────────────────────────────────────────────────────────


def draw(dashboard: dict[str, Any], data: Prometheus, out: Path) -> None:
    panels = dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(16, rows * CELL + 0.5), facecolor=BACK)
    height = figure.get_figheight()
    for panel in panels:
        place = panel["gridPos"]
        left, width = place["x"] / COLUMNS, place["w"] / COLUMNS
        top = 1 - (place["y"] * CELL + 0.4) / height
        tall = place["h"] * CELL / height
        if panel["type"] == "row":
            figure.text(0.008, top - 0.6 * tall, panel["title"], color=TEXT, fontsize=12)
            continue
        margin = 0.004
        box = (left + margin, top - tall + margin / 3, width - 2 * margin, tall - margin / 1.5)
        figure.add_artist(
            plt.Rectangle(box[:2], *box[2:], color=PANEL, transform=figure.transFigure, zorder=-1)
        )
        figure.text(left + 0.009, top - 0.22 / height, panel["title"], color=TEXT, fontsize=9)
        lines = panel["type"] in ("timeseries", "state-timeline")
        aside = {"timeseries": 0.035, "state-timeline": 0.05}.get(panel["type"], 0.012)
        inner = (
            left + aside,
            top - tall + (0.62 if lines else 0.15) / height,
            width - aside - 0.014,
            tall - (0.95 if lines else 0.48) / height,
        )
        axes = figure.add_axes(inner, facecolor=PANEL)
        axes.tick_params(colors=FAINT, labelsize=7, length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        DRAW[panel["type"]](axes, data.series(panel), panel, data)
    figure.text(0.008, 1 - 0.22 / height, dashboard["title"], color="white", fontsize=14)
    figure.savefig(out, dpi=75, facecolor=BACK)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Draw the dashboard as an image, with data of Prometheus."
    )
    parser.add_argument("out", type=Path, help="file to write: .png, .svg, .webp")
    parser.add_argument("--prometheus", default="http://localhost:9090")
    parser.add_argument("--minutes", type=float, default=10)
    flags = parser.parse_args()
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    draw(dashboard, Prometheus(flags.prometheus, flags.minutes), flags.out)


if __name__ == "__main__":
    main()
