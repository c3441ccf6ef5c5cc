"""``GET /api/rules``: the rules of the analytics with their settings, for whoever offers them."""

from __future__ import annotations

import functools
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.analytics.rules import RULES, RuleEntry, read_rule_settings
from app.analytics.rules.scope import ScopeSettings
from app.api.deps import ManagerDep

router = APIRouter(tags=["cameras"])


class RuleReply(BaseModel):
    """A rule that streams can ask for in `analytics`."""

    name: str = Field(examples=["objects"])
    summary: str = Field(
        examples=["Objects that appear and leave, enter zones, stay in them, and cross lines."]
    )
    available: bool = Field(description="Whether this server has the networks for it.")
    events: dict[str, str] = Field(
        description="The types of events that it reports, each with a sentence.",
        examples=[{"line_crossed": "An object crossed a line."}],
    )
    settings: dict[str, Any] = Field(
        description="JSON Schema of its settings.",
        examples=[{"properties": {"loiter_s": {"type": "number", "default": 30.0}}}],
    )
    defaults: dict[str, Any] = Field(
        description="The values that this server uses where a stream sets none.",
        examples=[{"loiter_s": 30.0}],
    )


@router.get("/api/rules", summary="List the rules of the analytics")
async def list_rules(manager: ManagerDep) -> list[RuleReply]:
    """Every rule with its settings, their limits and defaults, and the events that it reports."""
    return [
        RuleReply(**described, available=manager.has_analytics) for described in _described_rules()
    ]


@functools.cache
def _described_rules() -> list[dict[str, Any]]:
    defaults = read_rule_settings()
    return [
        {
            "name": name,
            "summary": entry.summary,
            "events": dict(entry.events),
            "settings": _schema(entry),
            "defaults": {
                **defaults[name].model_dump(mode="json"),
                **ScopeSettings().model_dump(mode="json"),
            },
        }
        for name, entry in RULES.items()
    ]


def _schema(entry: RuleEntry) -> dict[str, Any]:
    """The rule's own settings, then those that every rule has. Zones are settings of the stream."""
    schema, shared = entry.settings.model_json_schema(), ScopeSettings.model_json_schema()
    filled = {"watch", "ignore"} if entry.wants_zones else set()
    own = {name: one for name, one in schema["properties"].items() if name not in filled}
    return {
        **schema,
        "properties": own | shared["properties"],
        "$defs": schema.get("$defs", {}) | shared.get("$defs", {}),
    }
