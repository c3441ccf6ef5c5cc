"""The values of accounts: users, their sign-ins, and API tokens.

Times named ``*_ts`` are Unix seconds. No value contains a password or a token, only hashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.rights import ALL, Access, Cameras, Grant, Right, Role


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in.

    Attributes:
        password_hash: argon2id; None for a user who can only sign in through a provider.
        subject: issuer and id at an OpenID Connect provider, if the user comes from there.
    """

    user_id: int
    name: str
    grants: tuple[Grant, ...]
    password_hash: str | None = field(default=None, repr=False)
    disabled: bool = False
    subject: str | None = None
    created_ts: float = 0.0

    @property
    def access(self) -> Access:
        """All that the user may do."""
        return Access() if self.disabled else Access.of(self.grants)

    @property
    def is_administrator(self) -> bool:
        """Whether the user may manage others."""
        return self.access.everywhere(Right.ADMINISTER)


@dataclass(frozen=True, slots=True)
class UserSession:
    """One sign-in of a user in a browser.

    Attributes:
        rotated_ts: when its cookie was last replaced.
        confirmed_ts: when the browser first used the newest cookie; None if it has not.
    """

    session_id: int
    user_id: int
    created_ts: float
    seen_ts: float
    rotated_ts: float
    confirmed_ts: float | None
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token for programs.

    Attributes:
        user_id: its owner, whose rights limit it; None if the server's own token made it.
        rights, cameras: what it allows at most.
        used_ts: when it was last used, to the minute.
    """

    token_id: int
    user_id: int | None
    name: str
    rights: frozenset[Right]
    cameras: Cameras
    created_ts: float
    expires_ts: float | None
    used_ts: float | None

    @property
    def access(self) -> Access:
        """What it allows, before its owner's rights limit that."""
        return Access(dict.fromkeys(self.rights, self.cameras))


def grants_as_json(grants: Sequence[Grant]) -> list[dict[str, Any]]:
    """Grants as requests, replies and rows write them."""
    return [
        {
            "role": grant.role.value,
            "cameras": cameras_as_json(grant.cameras),
            "also": sorted(right.value for right in grant.also),
        }
        for grant in grants
    ]


def grants_from_json(values: Sequence[Mapping[str, Any]]) -> tuple[Grant, ...]:
    """Raises ValueError, KeyError or TypeError for values that are no grants."""
    return tuple(
        Grant(
            Role(value["role"]),
            cameras_from_json(value.get("cameras", [ALL])),
            frozenset(Right(right) for right in value.get("also", ())),
        )
        for value in values
    )


def cameras_as_json(cameras: Cameras) -> list[str]:
    """``["*"]`` for all cameras."""
    return [ALL] if cameras is None else sorted(cameras)


def cameras_from_json(ids: Sequence[str]) -> Cameras:
    """All cameras if one of the ids is ``*``."""
    return None if ALL in ids else frozenset(ids)
