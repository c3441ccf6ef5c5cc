"""The settings of signing in through an OpenID Connect provider."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator, model_validator

from app.accounts import cameras_from_json
from app.rights import ALL, Grant, Right, Role


class MappedRole(BaseModel):
    """The role that a value of the provider's claim gives."""

    role: Role
    cameras: list[str] = [ALL]
    also: list[Right] = []

    def to_grant(self) -> Grant:
        return Grant(self.role, cameras_from_json(self.cameras), frozenset(self.also))


def _role_alone(value: object) -> object:
    """``"viewer"`` as ``{"role": "viewer"}``; other values stay as they are."""
    return {"role": value} if isinstance(value, str) else value


def is_secure(url: str) -> bool:
    """Whether nobody on the network can read or change what a URL delivers."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme != "http":
        return False
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


class OidcSettings(BaseModel):
    """Signing in through an OpenID Connect provider, such as Keycloak, Authentik or Entra ID."""

    issuer: str | None = Field(
        None,
        description="The provider's issuer URL, such as https://sso.example.com/realms/site. "
        "Default: users sign in with passwords only.",
    )
    client_id: str = Field("", description="Id of this server at the provider.")
    client_secret: SecretStr | None = Field(
        None, description="Secret of this server at the provider. Default: a public client."
    )
    name: str = Field(
        "OpenID Connect",
        description="The provider's name on the page's button.",
    )
    public_url: str | None = Field(
        None,
        description="URL under which browsers reach this server, such as "
        "https://cameras.example.com. Needed behind a proxy that handles TLS. Default: that of the "
        "request.",
    )
    scopes: tuple[str, ...] = Field(
        ("openid", "profile", "email"), description="Scopes that are requested."
    )
    name_claim: str = Field(
        "preferred_username", description="Claim that names a user who is created."
    )
    role_claim: str = Field("groups", description="Claim whose values give roles, by `roles`.")
    roles: dict[str, Annotated[MappedRole, BeforeValidator(_role_alone)]] = Field(
        {},
        description="Roles by the claim's values, such as "
        '`{"staff": "operator", "gate": {"role": "viewer", "cameras": ["gate"]}}`. If there are '
        "any, each sign-in sets the user's grants to what they give. Default: administrators "
        "decide here.",
    )
    create: Literal["nobody", "mapped", "everybody"] = Field(
        "nobody",
        description="Who becomes a user at the first sign-in: only those whom an administrator has "
        "linked, those to whom the claim gives a role, or everybody whom the provider signs in.",
    )

    @field_validator("issuer", "public_url")
    @classmethod
    def _secure(cls, url: str | None) -> str | None:
        if url is not None and not is_secure(url):
            raise ValueError("use an https:// URL")
        return url

    @model_validator(mode="after")
    def _complete(self) -> OidcSettings:
        if self.issuer is not None and not self.client_id:
            raise ValueError("client_id is needed, too")
        if "openid" not in self.scopes:
            raise ValueError("scopes must contain openid")
        return self
