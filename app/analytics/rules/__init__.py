"""Tracks to events. A new rule is one file here and one line in ``RULES``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from app.analytics.rules.bags import BagRule
from app.analytics.rules.base import (
    AnalyzedFrame,
    FramePixels,
    RequestsCrops,
    Rule,
    SeesSkippedFrames,
)
from app.analytics.rules.plates import PlateRule
from app.analytics.rules.smoking import SmokingRule
from app.config import BagSettings, PlateRuleSettings, SmokingSettings
from app.errors import InvalidRequest, NoAnalytics, in_words
from app.types import Analytics


class RuleEntry(NamedTuple):
    """How a rule is made, and the settings that a stream may change for itself.

    Attributes:
        needs: name of the helper that it shares with all streams, as its second argument.
    """

    make: Callable[..., Rule]
    settings: type[BaseModel]
    needs: str | None = None


RULES: dict[str, RuleEntry] = {
    "bags": RuleEntry(BagRule, BagSettings),
    "plates": RuleEntry(PlateRule, PlateRuleSettings, needs="plates"),
    "smoking": RuleEntry(SmokingRule, SmokingSettings),
}

EVENTS = (
    "bag_placed",
    "bag_unattended",
    "bag_abandoned",
    "bag_reclaimed",
    "bag_taken",
    "camera_moved",
    "plate_seen",
    "plate_match",
    "smoking_started",
    "smoking_ended",
)
"""Every type of event that there is."""


def make_rules(
    analytics: Analytics,
    defaults: Mapping[str, BaseModel],
    helpers: Mapping[str, Any] | None = None,
) -> list[Rule]:
    """The rules that a stream asked for.

    Args:
        defaults: the server's settings of each rule, which a stream's own are laid over.
        helpers: what rules share with those of other streams, by name.

    Raises:
        InvalidRequest: an unknown rule, or a setting that the rule does not take.
        NoAnalytics: a rule whose helper is not there.
    """
    rules: list[Rule] = []
    for name, changes in analytics.items():
        entry = RULES.get(name)
        if entry is None:
            known = ", ".join(sorted(RULES))
            raise InvalidRequest(field="analytics", reason=f"{name} is not known here ({known})")
        try:
            settings = entry.settings(**{**defaults[name].model_dump(), **changes})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(["analytics", name, *map(str, first["loc"])])
            raise InvalidRequest(field=where, reason=in_words(first["msg"])) from None
        if entry.needs is None:
            rules.append(entry.make(settings))
        elif helpers and entry.needs in helpers:
            rules.append(entry.make(settings, helpers[entry.needs]))
        else:
            raise NoAnalytics
    return rules


__all__ = [
    "EVENTS",
    "RULES",
    "AnalyzedFrame",
    "FramePixels",
    "RequestsCrops",
    "Rule",
    "RuleEntry",
    "SeesSkippedFrames",
    "make_rules",
]
