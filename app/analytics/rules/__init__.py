"""Tracks to events. A new rule is one file here and one line in ``RULES``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from app.analytics.rules import bags, objects, plates, smoking
from app.analytics.rules.base import (
    AnalyzedFrame,
    ChoosesLabels,
    CountsObjects,
    CountsPlaces,
    FramePixels,
    HoldsFrames,
    RequestsCrops,
    Rule,
    RuleEntry,
    SeesRestarts,
    SeesSkippedFrames,
    StreamContext,
)
from app.analytics.rules.scope import RuleScope, split_settings
from app.analytics.zones import polygons_for
from app.config import read_sections
from app.errors import InvalidRequest, NoAnalytics, in_words
from app.places import zones_of
from app.types import Analytics

RULES: dict[str, RuleEntry] = {
    "bags": bags.ENTRY,
    "objects": objects.ENTRY,
    "plates": plates.ENTRY,
    "smoking": smoking.ENTRY,
}


def event_types() -> tuple[str, ...]:
    """All types of events."""
    return tuple(event for entry in RULES.values() for event in entry.events)


def counted_kinds() -> tuple[str, ...]:
    """All kinds of objects that are counted: people, and those that rules count."""
    return ("person", *(kind for entry in RULES.values() for kind in entry.counts))


def match_margin(kind: str) -> float:
    """How much boxes of a kind of object are enlarged to compare them, in lengths."""
    return max((entry.match_margins.get(kind, 0.0) for entry in RULES.values()), default=0.0)


def read_rule_settings(env_file: str | None = ".env") -> dict[str, BaseModel]:
    """The server's settings of each rule, from the environment and ``.env``.

    Raises:
        ValidationError: a value that a rule does not accept.
    """
    sections = {name: entry.section or name for name, entry in RULES.items()}
    read = read_sections(
        {sections[name]: entry.settings for name, entry in RULES.items()}, env_file
    )
    return {name: read[section] for name, section in sections.items()}


def make_rules(
    analytics: Analytics,
    defaults: Mapping[str, BaseModel],
    helpers: Mapping[str, Any] | None = None,
    stream: StreamContext | None = None,
) -> list[Rule]:
    """The rules that a stream asked for.

    Args:
        defaults: the server's settings of each rule; a stream's own override them.
        helpers: what the rules of all streams share, by name.
        stream: the stream, with all of its zones.

    Raises:
        InvalidRequest: an unknown rule, or a setting that the rule does not accept.
        NoAnalytics: a rule whose helper is missing.
    """
    helpers, stream = helpers or {}, stream or StreamContext()
    for number, zone in enumerate(stream.zones):
        for index, name in enumerate(zone.rules):
            _entry(name, f"zones.{number}.rules.{index}")
    rules: list[Rule] = []
    for name, changes in analytics.items():
        entry = _entry(name, "analytics")
        shared, own = split_settings(name, changes)
        zones = zones_of(name, stream.zones)
        if entry.wants_zones and zones:
            kinds = ("watch", "ignore")
            own = {kind: polygons_for(zones, kind, *entry.labels) for kind in kinds} | own
        settings = _merged_settings(name, entry, defaults[name], own)
        if entry.wants_stream:
            known = replace(stream, zones=zones, timezone=shared.zone, helpers=helpers)
            rules.append(entry.make(settings, known))
        elif entry.needs is None:
            rules.append(entry.make(settings))
        elif entry.needs in helpers:
            rules.append(entry.make(settings, helpers[entry.needs]))
        else:
            raise NoAnalytics
    return rules


def _entry(name: str, field: str) -> RuleEntry:
    """The entry of a rule. Raises InvalidRequest: there is no such rule."""
    entry = RULES.get(name)
    if entry is None:
        known = ", ".join(sorted(RULES))
        raise InvalidRequest(field=field, reason=f"{name} is not known here ({known})")
    return entry


def labels_of(analytics: Analytics, rules: Sequence[Rule]) -> list[str]:
    """What the rules of a stream look for in whole frames."""
    return [
        label
        for name, rule in zip(analytics, rules, strict=True)
        for label in (rule.labels if isinstance(rule, ChoosesLabels) else RULES[name].labels)
    ]


def _merged_settings(
    name: str, entry: RuleEntry, defaults: BaseModel, changes: Mapping[str, Any]
) -> BaseModel:
    try:
        return entry.settings(**{**defaults.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["analytics", name, *map(str, first["loc"])])
        raise InvalidRequest(field=where, reason=in_words(first["msg"])) from None


__all__ = [
    "RULES",
    "AnalyzedFrame",
    "CountsObjects",
    "CountsPlaces",
    "FramePixels",
    "HoldsFrames",
    "RequestsCrops",
    "Rule",
    "RuleEntry",
    "RuleScope",
    "SeesRestarts",
    "SeesSkippedFrames",
    "StreamContext",
    "counted_kinds",
    "event_types",
    "labels_of",
    "make_rules",
    "match_margin",
    "read_rule_settings",
]
