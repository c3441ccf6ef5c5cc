"""Examples of replies in the OpenAPI document, made from their schemas.

A reply's example has the values that its fields have in ``Field(examples=…)``, in
``example_values.py``, or by their schema. So an example cannot miss a field, and a new field needs
one value in one place; ``tests/api/test_openapi.py`` names those that have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app import errors
from app.api.errors import ErrorReply
from app.api.example_values import KEYS, OF_SCHEMAS, TS, VALUES
from app.errors import WatchpostError

Schema = dict[str, Any]
MISSING = "(no example)"
"""Stands where no value is known."""
NEEDED = re.compile(r"Needs the right `(\w+)`")
TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
ERRORS: Mapping[int, WatchpostError] = {
    400: errors.InvalidRequest(
        field="max_fps", reason="Input should be less than or equal to 60", errors=[]
    ),
    401: errors.Unauthorized(reason="This server needs a token. Its log says where it is."),
    403: errors.Forbidden(right="control"),
    404: errors.NotFound(path="/camera/CAM_99"),
    409: errors.Conflict(),
    413: errors.UploadTooLarge(limit="20 MB"),
    415: errors.NotAnImage(),
    416: errors.BadRange(bytes=18_874_368),
    426: errors.UpgradeRequired(),
    429: errors.TooManyAttempts(retry_after_s=30),
    502: errors.SourceError(
        end="input", reason="connection_refused", url="rtsp://192.0.2.10:554/live/cam1"
    ),
    503: errors.StoreError(reason="the disk is full"),
}
NOT_FOUND: Mapping[str, WatchpostError] = {
    "stream_id": errors.StreamNotFound(stream_id="CAM_99"),
    "camera_id": errors.StreamNotFound(stream_id="CAM_99"),
    "event_id": errors.EventNotFound(event_id=51234),
    "job_id": errors.JobNotFound(job_id="9b2f4c1e"),
    "schedule_id": errors.ScheduleNotFound(schedule_id="9b2f4c1e"),
    "plate_id": errors.PlateNotFound(plate_id=7),
    "session_id": errors.SessionNotFound(session_id=7),
    "watch_id": errors.WatchNotFound(watch_id=7),
    "user_id": errors.UserNotFound(user_id=7),
    "token_id": errors.TokenNotFound(token_id=7),
    "target_id": errors.TargetNotFound(target_id=7),
    "route_id": errors.RouteNotFound(route_id=7),
    "delivery_id": errors.DeliveryNotFound(delivery_id=7),
}
"""By the last id in a path."""


TEXTS: Mapping[str, str] = {
    "/events": "id: 51234\nevent: event\ndata: {...}\n\n",
    "/metrics": 'watchpost_stream_fps{stream="CAM_01"} 14.9\n',
    "/api/plates/export.csv": "id,plate_number,confidence,timestamp\n"
    "7,A123BC77,0.93,2026-11-28T22:40:00Z\n",
    "/api/events/export.csv": "id,time,camera_id,event,label,zone\n"
    "51234,2026-11-28T22:40:00.000Z,CAM_01,zone_entered,person,parking\n",
    "/api/audit/export.csv": "audit_id,time,actor,address,action,outcome\n"
    "1042,2026-11-28T22:40:00Z,user 3,192.0.2.44,PATCH /camera/{camera_id},done\n",
}
"""Replies that are text, by path."""


def add_examples(document: Schema) -> None:
    """Give every reply in JSON or text an example, unless it has one."""
    builder = ExampleBuilder(document["components"]["schemas"])
    for path, calls in document["paths"].items():
        for call in calls.values():
            for status, response in call["responses"].items():
                for media_type, content in response.get("content", {}).items():
                    if {"example", "examples"} & set(content):
                        continue
                    if int(status) >= 400:
                        needed = NEEDED.search(call.get("description", ""))
                        right = needed[1] if needed else ""
                        content["example"] = error_example(int(status), path, right)
                    elif media_type.startswith("text/"):
                        content["example"] = TEXTS.get(path, MISSING)
                    elif media_type == "application/json":
                        content["example"] = builder.example(content["schema"])


def error_example(status: int, path: str, right: str = "") -> Schema:
    """An error as a call replies with it, which needs a right."""
    error = errors.Forbidden(right=right) if status == 403 and right else ERRORS[status]
    if status == 404 and (ids := re.findall(r"\{(\w+)\}", path)):
        error = NOT_FOUND.get(ids[-1], error)
    return ErrorReply(code=error.code, message=str(error), details=error.details).model_dump()


class ExampleBuilder:
    """Makes values for schemas.

    Args:
        schemas: the components of the document, by name.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas

    def example(self, schema: Schema, name: str = "", owner: str = "") -> Any:
        """A value for a schema.

        Args:
            name: of the field.
            owner: the schema that has the field.
        """
        if "$ref" in schema:
            owner = schema["$ref"].rpartition("/")[2]
            schema = self._schemas[owner]
        for given in self._given(schema, name, owner):
            return given
        return self._made(schema, name, owner)

    def _given(self, schema: Schema, name: str, owner: str) -> Iterator[Any]:
        """The values that are stated, the best first."""
        if f"{owner}.{name}" in OF_SCHEMAS:
            yield OF_SCHEMAS[f"{owner}.{name}"]
        if "const" in schema:
            yield schema["const"]
        yield from schema.get("examples", [])
        if "example" in schema:
            yield schema["example"]
        known = VALUES.get(name, TS if name.endswith("_ts") or name == "ts" else ())
        for value in known if isinstance(known, tuple) else (known,):
            if self._fits(value, schema):
                yield value
        if "enum" in schema:
            yield schema["enum"][0]

    def _made(self, schema: Schema, name: str, owner: str) -> Any:
        """A value made of the parts of a schema."""
        alternatives = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
        if alternatives:
            return self.example(alternatives[0], name, owner)
        if "properties" in schema:
            owner = owner if self._schemas.get(owner) is schema else ""
            return {
                field: self.example(shape, field, owner)
                for field, shape in schema["properties"].items()
            }
        if schema.get("type") == "array":
            items = schema.get("prefixItems") or [schema.get("items", {})]
            return [self.example(item, name, owner) for item in items]
        if schema.get("type") == "object":
            values = schema.get("additionalProperties")
            if isinstance(values, dict) and name in KEYS:
                return {KEYS[name]: self.example(values, name, owner)}
            return {}
        return schema.get("default", MISSING)

    def _fits(self, value: object, schema: Schema) -> bool:
        """Whether a value of the table is one of this schema."""
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        for inner in (*schema.get("anyOf", []), *schema.get("oneOf", [])):
            if self._fits(value, inner):
                return True
        if "const" in schema:
            return bool(value == schema["const"])
        types = TYPES.get(schema.get("type", ""), ())
        is_number = isinstance(value, bool) and bool not in types
        if not isinstance(value, types) or is_number or isinstance(value, list):
            return False
        if isinstance(value, dict):
            return "properties" not in schema
        return value in schema.get("enum", [value])
