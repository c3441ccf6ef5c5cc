"""Completes the OpenAPI document: who may make each call, what files are, examples of replies.

So Authorize works in ``/docs``, and generated clients have a function with a good name for each
call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.api.credentials import SESSION_COOKIE
from app.api.examples import add_examples
from app.api.route_rights import Reach, RightsTable, RouteRight

SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token of `POST /api/tokens`, or the server's own token. Calls from "
        "the server's own machine need none.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "The cookie that `POST /api/sign-in` sets; browsers send it by themselves.",
    },
}
REFUSALS = {
    "401": "A token or a sign-in is needed",
    "403": "The caller lacks the right",
    "429": "Too many wrong attempts: wait",
}


def operation_id(route: APIRoute) -> str:
    """The name of a call, and of its function in generated clients: that of the handler."""
    return route.name


def complete_document(app: FastAPI) -> None:
    """Say for each operation how callers authenticate, which right it needs, and what it sends."""
    generate: Callable[[], dict[str, Any]] = app.openapi
    table = RightsTable()

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            schema["components"]["securitySchemes"] = SCHEMES
            for name, model in schema["components"]["schemas"].items():
                model["title"] = name.replace("-", "")  # ``Hours-Input`` and ``-Output`` differ
            for path, operations in schema["paths"].items():
                for method, operation in operations.items():
                    row = table.find(method.upper(), path.replace("{", "").replace("}", "")).row
                    if row is not None:
                        _describe(operation, row)
                    _describe_files(operation)
            add_examples(schema)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _describe(operation: dict[str, Any], row: RouteRight) -> None:
    if row.reach is Reach.OPEN:
        operation["security"] = []
        return
    operation["security"] = [{name: []} for name in SCHEMES]
    for status, description in REFUSALS.items():
        if status != "403" or row.right is not None:
            operation["responses"].setdefault(status, _refusal(description))
    if row.right is not None:
        where = " for all cameras" if row.reach is Reach.ALL else ""
        needs = f"Needs the right `{row.right}`{where}."
        operation["description"] = f"{operation.get('description', '')}\n\n{needs}".strip()


def _describe_files(operation: dict[str, Any]) -> None:
    """Files and images have no schema of their own; clients get their bytes."""
    for response in operation["responses"].values():
        for media_type, content in response.get("content", {}).items():
            if not content and not media_type.startswith("text/"):
                content["schema"] = {"type": "string", "format": "binary"}


def _refusal(description: str) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/ErrorReply"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}
