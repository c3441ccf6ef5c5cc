"""Write the reference pages that come from the code: ``python -m docs.generate``.

The pages are committed, so that they can be read without building anything. ``tests/test_docs.py``
compares them with what the code says now.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast, get_args, get_origin

from prometheus_client.metrics_core import Metric
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app import cli, errors
from app.analytics.rules import RULES
from app.anpr.service import plate_counter
from app.api.errors import status_of
from app.api.events import EventMessage
from app.api.metrics import MetricsSnapshot, NetworkCollector
from app.api.video_socket import VideoMetrics
from app.config import Settings
from app.db.writer import write_histogram
from app.errors import CameraFailed, SetupError, WatchpostError
from app.failure_reason import WORDS
from app.metric_types import Collector
from app.models.batching import BatchingRunner, RunnerMetrics
from app.notifications import NotifyMetrics
from app.notify.targets import TARGETS
from app.pipeline.event_log import event_counter
from app.recording.footage_metrics import FootageMetrics
from app.recording.job_metrics import JobMetrics
from app.recording.retention import DiskUsage
from docs import rights_page as rights

FOLDER = Path(__file__).parent / "reference"
HEAD = "<!-- Written by `python -m docs.generate` (`make docs` runs it); do not edit. -->"
Row = Sequence[str]


def table(head: Row, rows: Iterable[Row]) -> str:
    """A Markdown table; vertical bars in cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


# ── settings ─────────────────────────────────────────────────────────────────────────────────

GENERAL = "The server"
TYPES: dict[Any, str] = {
    bool: "true or false",
    float: "number",
    int: "whole number",
    str: "text",
    Path: "path",
    SecretStr: "secret",
}
LIMITS = {
    "ge": "≥\u00a0{}",
    "gt": ">\u00a0{}",
    "le": "≤\u00a0{}",
    "lt": "<\u00a0{}",
    "min_length": "at least {} items",
    "max_length": "at most {} items",
}


def settings_page() -> str:
    sections: list[tuple[str, str, type[BaseModel]]] = [(GENERAL, "", Settings)]
    for name, field in Settings.model_fields.items():
        if nested := nested_settings(field):
            sections.append((name, f"{name}__", nested))
    for name, entry in RULES.items():
        section = entry.section or name
        sections.append((section, f"{section}__", entry.settings))
    flags = flags_by_setting()
    parts = [_settings_section(title, prefix, model, flags) for title, prefix, model in sections]
    return "\n\n".join(
        [
            "# Settings",
            HEAD,
            "Each setting can be set by a flag of `run.py`, if it has one, by an environment "
            "variable, or in a `.env` file in the working directory. A flag overrides the "
            "environment, and the environment overrides the file. `.env.example` has the most "
            'common settings. Lists in the environment are JSON, such as `["RU", "KZ"]`, unless '
            "another form is described.",
            "A stream can override the settings under `smoking`, `bags`, `object_rule` and "
            "`plate_rule`: see [Smoking and abandoned bags](../guides/analytics.md) and "
            "[Zones, lines and hours](../guides/zones.md).",
            *parts,
        ]
    )


def nested_settings(field: FieldInfo) -> type[BaseModel] | None:
    """The class of a field that is a group of settings; None for other fields."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def flags_by_setting() -> dict[str, str]:
    """The flags of ``run.py`` by the setting that they set."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        cli.parse(["--help"])
    found = re.findall(r"^  (--[a-z-]+)", shown.getvalue(), re.MULTILINE)
    names = {flag: flag.removeprefix("--").replace("-", "_") for flag in found}
    return {cli.NESTED.get(name, name): flag for flag, name in names.items()}


def _settings_section(
    title: str, prefix: str, model: type[BaseModel], flags: dict[str, str]
) -> str:
    rows = [
        _setting(prefix + name, field, flags)
        for name, field in model.model_fields.items()
        if not nested_settings(field)
    ]
    about = "" if model is Settings else f"{first_sentence(model)}\n\n"
    name = title if model is Settings else f"`{title}`"
    return f"## {name}\n\n{about}" + table(["setting", "meaning", "default", "type"], rows)


def _setting(name: str, field: FieldInfo, flags: dict[str, str]) -> Row:
    names = [f"`WATCHPOST_{name.upper()}`"]
    if flag := flags.get(name):
        names.append(f"`{flag}`")
    return ["<br>".join(names), field.description or "", default_of(field), type_of(field)]


def default_of(field: FieldInfo) -> str:
    """The default as text; a dash if there is none."""
    value = field.default
    if value is PydanticUndefined or value is None or value in ([], (), {}, ""):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{json.dumps(value) if isinstance(value, tuple) else value}`"


def type_of(field: FieldInfo) -> str:
    """The type and its limits as text."""
    limits = [
        words.format(getattr(rule, name))
        for rule in field.metadata
        for name, words in LIMITS.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([_type(field.annotation), *limits])


def _type(kind: Any) -> str:
    if kind in TYPES:
        return TYPES[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (list, tuple):
        return "list"
    if origin is dict:
        return "JSON object"
    if hasattr(kind, "__metadata__"):  # Annotated
        return _type(arguments[0])
    wanted = [part for part in arguments if part is not type(None)]
    return _type(wanted[0])


def first_sentence(kind: type) -> str:
    """The first sentence of a class's docstring."""
    return (kind.__doc__ or "").strip().partition("\n\n")[0].partition("Attributes:")[0].strip()


# ── events ───────────────────────────────────────────────────────────────────────────────────

BAG = "`bag_id`, `person_id`, `owner_id`, `owner_confidence`, `label`, `box`, `detected`, `static`"
OBJECT = "`object_id`, `label`, `zones`"
DETAILS = {
    "object_appeared": OBJECT,
    "object_left": OBJECT,
    "zone_entered": f"`zone`, {OBJECT}",
    "zone_left": f"`zone`, {OBJECT}",
    "zone_loitering": f"`zone`, {OBJECT}",
    "line_crossed": f"`line`, `direction` (`a_to_b` or `b_to_a`), `from`, `to`, {OBJECT}",
    "bag_placed": BAG,
    "bag_unattended": BAG,
    "bag_abandoned": BAG,
    "bag_reclaimed": BAG,
    "bag_taken": BAG,
    "smoking_ended": "`person_id`",
    "plate_seen": "`plate_number`, `alternatives`, `votes`, `reads`",
    "plate_match": "`plate_number`, `watch_id`, `watched`, `note`, `action`, perhaps `plate_id`",
}
"""The ``details`` of each event that has any."""


def events_page() -> str:
    known = [
        (f"`{name}`", meaning, DETAILS.get(name, "–"))
        for entry in RULES.values()
        for name, meaning in entry.events.items()
    ]
    schema = EventMessage.model_json_schema()["properties"]
    fields = [
        (f"`{name}`", _json_type(value), value.get("description", ""))
        for name, value in schema.items()
    ]
    return "\n\n".join(
        [
            "# Events",
            HEAD,
            "[Events](../guides/events.md) describes how to follow them. Clients must ignore types "
            "and fields that they do not know: new ones may be added.",
            "## Types",
            "The values of `event`.",
            table(["event", "when", "`details`"], known),
            "## Fields",
            "The same in server-sent events, WebSockets and `GET /api/events`.",
            table(["field", "type", "meaning"], fields),
        ]
    )


def _json_type(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return f"always `{schema['const']}`"
    options = schema.get("anyOf", [schema])
    return " or ".join(option.get("type", "any") for option in options)


# ── errors ───────────────────────────────────────────────────────────────────────────────────


def errors_page() -> str:
    rows = [
        (f"`{kind.code}`", _status(kind), meaning(kind), kind.template)
        for kind in sorted(error_classes(), key=lambda kind: (status_of(kind()), kind.code))
    ]
    return "\n\n".join(
        [
            "# Errors",
            HEAD,
            "All errors of all APIs are JSON in the same form. `message` is for people, in the "
            "language of `Accept-Language` (`en`, `ko`, `ru`; default: English, but Korean for "
            "`/api/streams`, as its contract has it); `code` and "
            "`details` are for programs.",
            '```json\n{"code": "STREAM_NOT_FOUND", "message": "Stream not found: cam-1",\n'
            ' "details": {"stream_id": "cam-1"}}\n```',
            "## Codes",
            "Names in braces are filled from `details`. A dash marks errors that never appear in "
            "an HTTP reply: they end the start of the server, or the Python API raises them. "
            "Other HTTP errors have the name of their status as code, such as "
            "`METHOD_NOT_ALLOWED` (405).",
            table(["code", "status", "when", "message"], rows),
            "## Reasons",
            "`details.reason` of `INPUT_FAILED`, `OUTPUT_FAILED` and `BAD_FRAME` is one of these.",
            table(["reason", "meaning"], [(f"`{code}`", words) for code, words in WORDS.items()]),
        ]
    )


def _status(kind: type[WatchpostError]) -> str:
    status = status_of(kind())
    inside = issubclass(kind, SetupError | CameraFailed)
    return "–" if inside and status == HTTPStatus.INTERNAL_SERVER_ERROR else str(int(status))


def error_classes() -> Iterator[type[WatchpostError]]:
    """All classes in ``app.errors`` with a code of their own."""
    seen: set[str] = set()
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, WatchpostError) and kind.code not in seen:
            seen.add(kind.code)
            yield kind


def meaning(kind: type[WatchpostError]) -> str:
    """When an error occurs: the first sentence of its class."""
    return first_sentence(kind).removesuffix(".")


# ── metrics ──────────────────────────────────────────────────────────────────────────────────


def metrics_page() -> str:
    rows = [
        (f"`{_series(metric)}`", metric.type, _labels(metric), metric.documentation)
        for metric in sorted(families(), key=lambda metric: metric.name)
    ]
    return "\n\n".join(
        [
            "# Metrics",
            HEAD,
            "The metrics of `GET /metrics`; [Monitoring](../monitoring.md) has alert rules and a "
            "dashboard for them. There are also the `process_…` metrics of Prometheus' client "
            "library: memory, CPU time, open files.",
            table(["metric", "type", "labels", "meaning"], rows),
        ]
    )


def families() -> list[Metric]:
    """All families in a scrape of a server without streams and jobs."""
    runner = cast("BatchingRunner", SimpleNamespace(metrics=RunnerMetrics(), waiting=0))
    notify = NotifyMetrics(tuple(TARGETS))
    collectors: list[Collector] = [
        *JobMetrics().all(),
        *FootageMetrics().all(),
        NetworkCollector({"any": runner}),
        event_counter(),
        plate_counter(),
        write_histogram(),
        notify.attempts,
        notify.latency,
        *VideoMetrics().all(),
    ]
    snapshot = MetricsSnapshot(
        streams=[],
        jobs_by_state={},
        running=[],
        crops_waiting=0,
        crops_skipped=0,
        events_waiting=0,
        events_lost=0,
        write_lag_s=0.0,
        disk=DiskUsage(1, 1),
        disk_floor=0,
        stored_bytes=0,
        stored_limit=1,
        removed=0,
    )
    counted = [family for collector in collectors for family in collector.collect()]
    return [*counted, *snapshot.collect()]


def _series(metric: Metric) -> str:
    return metric.name + ("_total" if metric.type == "counter" else "")


def _labels(metric: Metric) -> str:
    names = getattr(metric, "_labelnames", ()) or (
        metric.samples[0].labels if metric.samples else ()
    )
    return ", ".join(f"`{name}`" for name in names if name != "le") or "–"


# ── rights ───────────────────────────────────────────────────────────────────────────────────


def rights_page() -> str:
    return "\n\n".join(
        [
            "# Rights",
            HEAD,
            rights.ABOUT,
            table(*rights.rights_table()),
            "## Routes",
            table(*rights.reach_table()),
            table(*rights.route_table()),
        ]
    )


# ── all of them ──────────────────────────────────────────────────────────────────────────────

PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "events.md": events_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
    "rights.md": rights_page,
}


def main() -> None:
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
