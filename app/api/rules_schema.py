"""Documents the rules in ``/docs``: their settings and events, from the table of rules."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.analytics.rules import RULES, RuleEntry
from app.analytics.rules.scope import ScopeSettings


def document_rules(app: FastAPI) -> None:
    """Describe each rule in the OpenAPI document, wherever a request has ``analytics``."""
    generate = app.openapi

    def with_rules() -> dict[str, Any]:
        if app.openapi_schema is None:
            schemas = generate()["components"]["schemas"]
            for schema in list(schemas.values()):
                for shape in _settings_by_rule(schema.get("properties", {}).get("analytics", {})):
                    shape["properties"] = {name: _ref(name) for name in RULES}
            for name, entry in RULES.items():
                schema = _rule_schema(name, entry)
                schemas.update(schema.pop("$defs"))  # of all rules, so that clients find them
                schemas[_title(name)] = schema
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = with_rules  # type: ignore[method-assign]  # as FastAPI's documentation does it


def _settings_by_rule(analytics: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of a request's ``analytics`` that map names of rules to settings."""
    shapes = [shape for outer in analytics.get("anyOf", ()) for shape in _alternatives(outer)]
    return [shape for shape in shapes if shape.get("type") == "object"]


def _alternatives(shape: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of a schema, such as of a field that may be null; else the schema itself."""
    return list(shape.get("anyOf", [shape]))


def _rule_schema(name: str, entry: RuleEntry) -> dict[str, Any]:
    template = "#/components/schemas/{model}"
    events = "\n".join(f"- `{event}`: {about}" for event, about in entry.events.items())
    schema = entry.settings.model_json_schema(ref_template=template)
    shared = ScopeSettings.model_json_schema(ref_template=template)
    for part in ("properties", "$defs"):
        schema[part] = schema.get(part, {}) | shared.get(part, {})
    return {
        **schema,
        "title": _title(name),
        "description": f"{entry.summary}\n\n{schema.get('description', '')}\n\nEvents:\n{events}",
    }


def _title(name: str) -> str:
    return f"Rule_{name}"


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{_title(name)}"}
