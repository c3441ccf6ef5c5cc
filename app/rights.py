"""Who may do what: rights, the roles that bundle them, and the cameras that they cover.

A *camera* is any stream, under its id. What belongs to no camera, such as an uploaded photo or the
list of users, needs its right for all cameras.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ALL = "*"
"""All cameras, as requests and rows write it."""
PLATE_EVENTS = ("plate_seen", "plate_match")
"""Types of events that contain a plate's text; they need ``Right.PLATES`` to be seen."""


class Right(StrEnum):
    """One thing that a caller may do."""

    VIEW = "view"
    CONTROL = "control"
    JOBS = "jobs"
    PLATES = "plates"
    EXPORT = "export"
    CLEAR_VIEW = "clear_view"
    MONITOR = "monitor"
    ADMINISTER = "administer"


MEANING: Mapping[Right, str] = {
    Right.VIEW: "watch live video, events and snapshots",
    Right.CONTROL: "start, stop, add, change and remove streams and cameras, and push frames",
    Right.JOBS: "start, follow and end collection jobs and schedules",
    Right.PLATES: "read, upload, correct and delete number plates, and see their events",
    Right.EXPORT: "download recordings and lists",
    Right.CLEAR_VIEW: "start a stream or job whose faces are not covered",
    Right.MONITOR: "read the metrics, the last errors and the doctor's report",
    Right.ADMINISTER: "manage users, tokens of others, the audit log, erasure, notifications, "
    "settings and backups",
}


class Role(StrEnum):
    """A bundle of rights."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


RIGHTS_OF: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.VIEW}),
    Role.OPERATOR: frozenset({Right.VIEW, Right.CONTROL, Right.JOBS, Right.PLATES, Right.EXPORT}),
    Role.ADMINISTRATOR: frozenset(Right),
}

Cameras = frozenset[str] | None
"""Ids of cameras; None means all, also those to come."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for some cameras.

    Attributes:
        also: rights beside those of the role.
    """

    role: Role
    cameras: Cameras = None
    also: frozenset[Right] = frozenset()

    @property
    def rights(self) -> frozenset[Right]:
        """The rights of the role, and those beside it."""
        return RIGHTS_OF[self.role] | self.also


@dataclass(frozen=True, slots=True)
class Access:
    """The rights of a caller, each with the cameras that it covers; without any by default."""

    rights: Mapping[Right, Cameras] = field(default_factory=dict)

    @classmethod
    def of(cls, grants: Iterable[Grant]) -> Access:
        """All that the grants allow together."""
        rights: dict[Right, Cameras] = {}
        for grant in grants:
            for right in grant.rights:
                rights[right] = _union(rights.get(right, frozenset()), grant.cameras)
        return cls(rights)

    def cameras(self, right: Right) -> Cameras:
        """The cameras that a right covers; an empty set without the right."""
        return self.rights.get(right, frozenset())

    def may(self, right: Right, camera: str) -> bool:
        """Whether the caller has a right for one camera."""
        covered = self.cameras(right)
        return covered is None or camera in covered

    def everywhere(self, right: Right) -> bool:
        """Whether the caller has a right for all cameras, and for what belongs to none."""
        return self.cameras(right) is None

    def somewhere(self, right: Right) -> bool:
        """Whether the caller has a right for any camera."""
        return self.cameras(right) != frozenset()

    def sees_event(self, camera: str, kind: str) -> bool:
        """Whether the caller may see an event of a camera, by its type."""
        hidden = kind in PLATE_EVENTS and not self.may(Right.PLATES, camera)
        return self.may(Right.VIEW, camera) and not hidden

    def limited_to(self, other: Access) -> Access:
        """What both allow, as for a token of a user."""
        return Access(
            {
                right: common_cameras(cameras, other.cameras(right))
                for right, cameras in self.rights.items()
            }
        )


def _union(one: Cameras, other: Cameras) -> Cameras:
    return None if one is None or other is None else one | other


def common_cameras(one: Cameras, other: Cameras) -> Cameras:
    """The cameras that are in both."""
    if one is None:
        return other
    return one if other is None else one & other


EVERYTHING = Access.of([Grant(Role.ADMINISTRATOR)])
NOTHING = Access()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call, and what they may do.

    Attributes:
        name: such as ``user 3``, ``token 7`` or ``this machine``; it never contains a secret.
        access: what the caller may do.
        user_id: of the signed-in user, or of the token's owner.
        session_id: of the sign-in, if there is one.
        token_id: of the API token, if there is one.
    """

    name: str
    access: Access
    user_id: int | None = None
    session_id: int | None = None
    token_id: int | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """What the rights depend on: if one of these ends, so do the caller's calls."""
        ids = {"user": self.user_id, "session": self.session_id, "token": self.token_id}
        return tuple(f"{kind} {number}" for kind, number in ids.items() if number is not None)


NOBODY = Caller("nobody", NOTHING)
