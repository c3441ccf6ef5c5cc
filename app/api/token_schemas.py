"""Schemas of API tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from app.accounts import ApiToken, cameras_as_json, cameras_from_json
from app.api.account_schemas import CameraIds
from app.rights import ALL, Cameras, Right


class TokenRequest(BaseModel):
    """A new API token."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "dashboard", "rights": ["view"], "cameras": ["cam-1"]}]
        },
    )

    name: Annotated[
        str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=100)
    ]
    rights: list[Right] = Field(min_length=1, max_length=16)
    cameras: CameraIds = [ALL]
    expires_ts: float | None = Field(
        None, gt=0, lt=1e11, description="Unix seconds. Default: it does not expire."
    )

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not name.isprintable():
            raise ValueError("use printable characters")
        return name

    def to_cameras(self) -> Cameras:
        return cameras_from_json(self.cameras)


class TokenReply(BaseModel):
    """An API token, without its secret."""

    token_id: int
    user_id: int | None = Field(description="Its owner; null if the server's own token made it.")
    name: str
    rights: list[Right]
    cameras: list[str]
    created_ts: float
    expires_ts: float | None
    used_ts: float | None = Field(description="When it was last used, to the minute.")

    @classmethod
    def of(cls, token: ApiToken) -> TokenReply:
        same = ("token_id", "user_id", "name", "created_ts", "expires_ts", "used_ts")
        return cls(
            **{name: getattr(token, name) for name in same},
            rights=sorted(token.rights),
            cameras=cameras_as_json(token.cameras),
        )


class TokenMade(TokenReply):
    """A new API token; its secret is shown only here."""

    token: str
