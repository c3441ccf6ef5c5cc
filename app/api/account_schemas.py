"""Schemas of accounts: sign-in, users and API tokens."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.accounts import (
    User,
    UserSession,
    cameras_as_json,
    cameras_from_json,
    grants_as_json,
)
from app.rights import ALL, Access, Caller, Grant, Right, Role

Name = Annotated[
    str,
    StringConstraints(
        strict=True, strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]*$"
    ),
]
Password = Annotated[str, StringConstraints(strict=True, max_length=1024, pattern=r"^[^\x00]*$")]
CameraIds = Annotated[
    list[Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]],
    Field(max_length=1000, description='Ids of cameras or streams; `["*"]`: all.'),
]


Code = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=40),
    Field(description="One-time code of the authenticator app, or a recovery code."),
]


class Credentials(BaseModel):
    """A name and a password."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"examples": [{"name": "kim", "password": "correct horse battery"}]},
    )

    name: Name
    password: Password


class SignInRequest(Credentials):
    """A name, a password, and a code where the user needs one."""

    one_time_code: Code | None = None


class SetupRequest(Credentials):
    """The first user."""

    code: str | None = Field(
        None, max_length=100, description="From the log; not needed on the server's own machine."
    )


class PasswordChange(BaseModel):
    """The new password of the caller."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [{"current": "correct horse battery", "new": "staple for a long night"}]
        },
    )

    current: Password
    new: Password


class GrantSchema(BaseModel):
    """A role for some cameras."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"role": "viewer", "cameras": ["cam-1"]}]},
    )

    role: Role
    cameras: CameraIds = [ALL]
    also: list[Right] = Field([], max_length=16, description="Rights beside those of the role.")

    def to_grant(self) -> Grant:
        return Grant(self.role, cameras_from_json(self.cameras), frozenset(self.also))


Subject = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=200, pattern=r"^[\x21-\x7e]*$"),
    Field(
        description="Id (`sub`) of the user at the identity provider, who can then sign in there."
    ),
]


class UserRequest(BaseModel):
    """A new user, with a password, or an id at the identity provider, or both."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "kim",
                    "password": "correct horse battery",
                    "grants": [{"role": "viewer", "cameras": ["cam-1"]}],
                }
            ]
        },
    )

    name: Name
    password: Password | None = None
    subject: Subject | None = None
    grants: list[GrantSchema] = Field(max_length=32, description="None: the user may do nothing.")

    def to_grants(self) -> tuple[Grant, ...]:
        return tuple(grant.to_grant() for grant in self.grants)


class UserChange(BaseModel):
    """Fields of a user to change; a new password ends the user's sign-ins."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"examples": [{"grants": [{"role": "operator", "cameras": ["cam-1"]}]}]},
    )

    grants: list[GrantSchema] = Field([], max_length=32)
    disabled: bool = Field(False, strict=True, description="Such a user can do nothing.")
    password: Password = ""
    subject: Subject | None = Field(None, description="Null: not through the identity provider.")


class UserReply(BaseModel):
    """A user, without any secret."""

    user_id: int
    name: str
    grants: list[GrantSchema]
    disabled: bool
    has_password: bool = Field(description="False for users of an identity provider.")
    subject: str | None = Field(description="Id at the identity provider.")
    two_factor: bool = Field(description="Whether sign-ins with the password need a code.")
    created_ts: float

    @classmethod
    def of(cls, user: User, two_factor: Container[int]) -> UserReply:
        """``two_factor``: the ids of users who have set it up."""
        return cls(
            user_id=user.user_id,
            name=user.name,
            grants=[GrantSchema(**grant) for grant in grants_as_json(user.grants)],
            disabled=user.disabled,
            has_password=user.password_hash is not None,
            subject=user.subject.rpartition("#")[2] if user.subject is not None else None,
            two_factor=user.user_id in two_factor,
            created_ts=user.created_ts,
        )


class Account(BaseModel):
    """The caller, and what they may do."""

    caller: str = Field(description="As the audit log names the caller, such as `user 3`.")
    name: str | None = Field(description="Name of the signed-in user.")
    has_password: bool = Field(description="Whether the signed-in user can use a password.")
    rights: dict[Right, list[str]] = Field(
        description='The cameras that each right covers; `["*"]`: all.'
    )

    @classmethod
    def of(cls, caller: Caller, user: User | None) -> Account:
        return cls(
            caller=caller.name,
            name=user.name if user is not None else None,
            has_password=user is not None and user.password_hash is not None,
            rights=_rights(caller.access),
        )


def _rights(access: Access) -> dict[Right, list[str]]:
    covered = {right: access.cameras(right) for right in Right}
    return {
        right: cameras_as_json(cameras)
        for right, cameras in covered.items()
        if cameras != frozenset()
    }


class SignInOptions(BaseModel):
    """How somebody can sign in here."""

    signed_in: bool
    users: bool = Field(description="Whether there are any users.")
    setup: Literal["open", "code"] | None = Field(
        description="How the first user can be made: without or with the code from the log."
    )
    provider: str | None = Field(
        None, description="Name of the identity provider that can sign users in."
    )
    problem: str | None = Field(
        None, description="Why a sign-in through the identity provider failed, in words."
    )


class SignInReply(BaseModel):
    """One sign-in of the caller."""

    session_id: int
    current: bool
    created_ts: float
    seen_ts: float = Field(description="When it was last used, to the minute.")
    address: str
    agent: str = Field(description="The browser, as it names itself.")

    @classmethod
    def of(cls, session: UserSession, current: int | None) -> SignInReply:
        same = ("session_id", "created_ts", "seen_ts", "address", "agent")
        values = {name: getattr(session, name) for name in same}
        return cls(**values, current=session.session_id == current)


class Done(BaseModel):
    """The call has succeeded."""

    done: Literal[True] = True


class SignedOut(Done):
    """The session has ended."""

    continue_at: str | None = Field(
        None, description="The identity provider's page that ends the session there, too."
    )
