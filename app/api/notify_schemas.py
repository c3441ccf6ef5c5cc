"""Schemas of targets, routes and deliveries."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from app.analytics.bags.item import OBJECT as UNKNOWN_OBJECT
from app.analytics.rules import event_types
from app.errors import InvalidRequest
from app.local_time import Hours, TimeZoneName
from app.notifications import Delivery, DeliveryState, Route, Target
from app.notify.targets import TARGETS
from app.types import BAG_LABELS, LABELS

Name = Annotated[
    str,
    StringConstraints(
        strict=True, strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$"
    ),
]
Word = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=100, pattern=r"^[^\x00]*$")
]
Words = Annotated[list[Word], Field(max_length=200)]
Id = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
CLOSED = ConfigDict(extra="forbid", hide_input_in_errors=True)


class TargetRequest(BaseModel):
    """A new target."""

    model_config = ConfigDict(
        **CLOSED,
        json_schema_extra={
            "examples": [
                {
                    "kind": "webhook",
                    "name": "Alarm centre",
                    "options": {"url": "https://alarms.example/hook"},
                }
            ]
        },
    )

    kind: str = Field(max_length=32, description="One of `GET /api/targets/kinds`.")
    name: Name
    options: dict[str, Any] = Field({}, description="Of its kind; secrets are encrypted.")

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in TARGETS:
            raise ValueError(f"one of {', '.join(TARGETS)}")
        return kind


class TargetChange(BaseModel):
    """Fields of a target to change."""

    model_config = ConfigDict(**CLOSED, json_schema_extra={"examples": [{"enabled": False}]})

    name: Name = ""
    enabled: bool = Field(True, strict=True, description="Off: it gets no more events.")
    options: dict[str, Any] = Field({}, description="Those to change; the others stay.")


class TargetReply(BaseModel):
    """A target, without any secret."""

    target_id: int
    kind: str
    name: str
    enabled: bool
    options: dict[str, Any] = Field(description="Secrets are masked.")
    created_ts: float
    error: str | None = Field(description="Why it cannot be used.")

    @classmethod
    def of(cls, target: Target) -> TargetReply:
        shown: dict[str, Any] = {}
        kind, error = TARGETS.get(target.kind), target.error
        if kind is not None and error is None:
            try:
                shown = kind.shown(kind.read(target.options))
            except InvalidRequest as unusable:  # written by a version that took them
                error = str(unusable)
        return cls(
            target_id=target.target_id,
            kind=target.kind,
            name=target.name,
            enabled=target.enabled,
            options=shown,
            created_ts=target.created_ts,
            error=error,
        )


class TargetMade(TargetReply):
    """A target with a secret that is shown this once."""

    secret: str | None = Field(description="The key of its signatures; not shown again.")


class KindReply(BaseModel):
    """A kind of target, and the schema of its options."""

    kind: str
    summary: str
    options: dict[str, Any] = Field(description="A JSON schema.")


class WebPushKey(BaseModel):
    """What a browser needs to subscribe."""

    public_key: str = Field(description="`applicationServerKey`, in Base64url.")


class AttemptReply(BaseModel):
    """What became of a test message."""

    ok: bool = Field(description="Whether the other side accepted it.")
    answer: str = Field(description="What the other side said, or why it said nothing.")
    seconds: float


class RouteRequest(BaseModel):
    """A route: which events go to which targets. An empty list takes all."""

    model_config = ConfigDict(
        **CLOSED,
        json_schema_extra={
            "examples": [
                {
                    "name": "At night",
                    "targets": [1],
                    "cameras": ["gate"],
                    "types": ["bag_abandoned"],
                    "hours": [{"from": "22:00", "to": "06:00"}],
                    "timezone": "Europe/Paris",
                    "max_per_minute": 6,
                }
            ]
        },
    )

    name: Name
    enabled: bool = Field(True, strict=True)
    targets: list[Id] = Field(min_length=1, max_length=50, description="Ids of targets.")
    cameras: Words = Field([], description="Ids of cameras or streams.")
    types: Words = Field([], description="Types of events.")
    labels: Words = Field([], description="Labels of objects, as in an event's `details.label`.")
    zones: Words = Field([], description="Names of zones, as in an event's `details`.")
    hours: list[Hours] = Field([], max_length=32, description="The only hours; empty: always.")
    timezone: TimeZoneName | None = Field(
        None, description="IANA name of the time zone of `hours`. Default: the server's."
    )
    max_per_minute: int | None = Field(
        None, ge=1, le=1000, strict=True, description="Further events are counted, not sent."
    )
    group_s: float = Field(
        0.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="Events of one camera within these seconds become one message.",
    )

    @field_validator("types")
    @classmethod
    def _known(cls, types: list[str]) -> list[str]:
        for kind in types:
            if kind not in event_types():
                raise ValueError(f"one of {', '.join(event_types())}")
        return types

    @field_validator("labels")
    @classmethod
    def _known_label(cls, labels: list[str]) -> list[str]:
        known = dict.fromkeys((*LABELS, *BAG_LABELS, UNKNOWN_OBJECT))
        if not set(labels) <= set(known):
            raise ValueError(f"one of {', '.join(known)}")
        return labels

    def to_route(self) -> Route:
        return _changed(Route(0, self.name, self.enabled, ()), self, set(type(self).model_fields))


class RouteChange(RouteRequest):
    """Fields of a route to change."""

    name: Name = ""
    targets: list[Id] = Field([], min_length=1, max_length=50, description="Ids of targets.")

    def applied_to(self, route: Route) -> Route:
        return _changed(route, self, self.model_fields_set)


def _changed(route: Route, given: RouteRequest, names: set[str]) -> Route:
    values: dict[str, Any] = {}
    for name in names:
        value = getattr(given, name)
        key = "target_ids" if name == "targets" else name
        values[key] = tuple(value) if isinstance(value, list) else value
    return replace(route, **values)


class RouteReply(BaseModel):
    """A route."""

    route_id: int
    name: str
    enabled: bool
    targets: list[int]
    cameras: list[str]
    types: list[str]
    labels: list[str]
    zones: list[str]
    hours: list[Hours]
    timezone: str | None
    max_per_minute: int | None
    group_s: float
    suppressed: int = Field(description="Events not sent because of `max_per_minute`.")

    @classmethod
    def of(cls, route: Route) -> RouteReply:
        names = [name for name in cls.model_fields if name != "targets"]
        return cls(targets=route.target_ids, **{name: getattr(route, name) for name in names})


class DeliveryReply(BaseModel):
    """A message on its way to a target."""

    delivery_id: int
    message_id: str = Field(description="The same for every attempt.")
    target_id: int
    route_id: int | None
    stream_id: str
    event_ids: list[int]
    state: DeliveryState
    failures: int = Field(description="Attempts that failed.")
    created_ts: float
    due_ts: float = Field(description="When the next attempt is due, or the last one was.")
    finished_ts: float | None
    answer: str | None = Field(description="What the other side said last.")

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryReply:
        return cls(**asdict(delivery))


class DeliveryPage(BaseModel):
    """Deliveries, newest first."""

    cursor: int | None = Field(description="The `cursor` of the next page; null on the last.")
    deliveries: list[DeliveryReply]


class SentAgain(BaseModel):
    """How many dead deliveries wait again."""

    deliveries: int
