"""Settings: what is set, and those that can be changed while the server runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from app.api.audit_middleware import note
from app.api.errors import error_replies
from app.api.system_deps import SYSTEM_ERRORS, SystemDep
from app.config import Settings
from app.errors import InvalidRequest, in_words
from app.urls import MASK, without_credentials

LIVE = (
    "log_level",
    "recording.continuous_days",
    "recording.event_days",
    "recording.flagged_days",
    "space.min_free",
    "space.max_bytes",
    "space.max_days",
    "space.max_events",
    "notify.give_up_s",
    "notify.keep_days",
    "notify.max_waiting",
)
"""Those that are read again each time they are needed; all others are read once, at the start."""

router = APIRouter(prefix="/api/system/settings", tags=["system"], responses=SYSTEM_ERRORS)


class SettingReply(BaseModel):
    """A setting of the server."""

    name: str = Field(examples=["space.max_days"])
    variable: str = Field(
        description="The environment variable that sets it.",
        examples=["WATCHPOST_SPACE__MAX_DAYS"],
    )
    value: Any = Field(description="What holds now; secrets are masked.", examples=[14])
    default: Any = Field(examples=[None])
    live: bool = Field(description="Whether it can be changed now; all others need a restart.")
    description: str


class SettingsChange(BaseModel):
    """New values of settings that can be changed now, by name."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"values": {"space.max_days": 14}}]}
    )

    values: dict[str, Any] = Field(min_length=1, max_length=len(LIVE))


@router.get("", summary="List settings")
async def list_settings(system: SystemDep) -> list[SettingReply]:
    """All settings with their values; secrets are masked."""
    return list(_all(system.settings))


@router.patch(
    "",
    summary="Change settings until the next start",
    responses=error_replies({400: "Unknown setting, wrong value, or one that needs a restart"}),
)
async def change_settings(
    body: SettingsChange, request: Request, system: SystemDep
) -> list[SettingReply]:
    """Those with `live` are used from now on, and until the server restarts: to keep a value, set
    its environment variable, too. Either all values are changed or none."""
    checked = {name: _checked(system.settings, name, new) for name, new in body.values.items()}
    for name, value in checked.items():
        owner, field = _owner(system.settings, name)
        setattr(owner, field, value)
    if "log_level" in checked:
        logging.getLogger("app").setLevel(system.settings.log_level.upper())
    note(request, **{name.replace(".", "_"): value for name, value in checked.items()})
    return list(_all(system.settings))


def _all(settings: Settings) -> Iterator[SettingReply]:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if not isinstance(value, BaseModel):
            yield _reply(name, field, value)
            continue
        for inner, inner_field in type(value).model_fields.items():
            yield _reply(f"{name}.{inner}", inner_field, getattr(value, inner))


def _reply(name: str, field: FieldInfo, value: Any) -> SettingReply:
    return SettingReply(
        name=name,
        variable=f"WATCHPOST_{name.replace('.', '__').upper()}",
        value=_shown(value),
        default=_shown(field.get_default(call_default_factory=True, validated_data={})),
        live=name in LIVE,
        description=field.description or "",
    )


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return without_credentials(str(value))


def _owner(settings: Settings, name: str) -> tuple[BaseModel, str]:
    section, _, field = name.rpartition(".")
    return (getattr(settings, section) if section else settings), field


def _checked(settings: Settings, name: str, value: Any) -> Any:
    """A value as its field wants it. Raises InvalidRequest."""
    if name not in LIVE:
        raise InvalidRequest(field=f"values.{name}"[:100], reason=f"one of {', '.join(LIVE)}")
    owner, field = _owner(settings, name)
    info = type(owner).model_fields[field]
    try:
        kind: Any = Annotated[info.annotation, info]
        return TypeAdapter[Any](kind).validate_python(value)
    except ValidationError as error:
        reason = in_words(error.errors()[0]["msg"])
        raise InvalidRequest(field=f"values.{name}", reason=reason) from None
