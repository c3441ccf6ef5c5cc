"""Which user a person is whom the OpenID Connect provider has signed in, and what they may do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from app.accounts import User
from app.db.users import UserRepository
from app.errors import LastAdministrator, NoAccount, UserExists
from app.oidc_settings import OidcSettings
from app.rights import Grant

logger = logging.getLogger(__name__)

MAX_NAME = 64
SAME_NAMES = 100


class Found(NamedTuple):
    """A user, and what their sign-in has changed.

    Attributes:
        changed: the grants are other ones than before.
    """

    user: User
    created: bool = False
    changed: bool = False


def user_of(
    claims: Mapping[str, Any], subject: str, settings: OidcSettings, users: UserRepository
) -> Found:
    """Find or make the user, and set their grants if the settings map roles. Blocking.

    Args:
        subject: the provider's issuer and its id of the user.

    Raises:
        NoAccount: nobody may sign in as this person; LastAdministrator: the mapping would leave
            no administrator; StoreError.
    """
    grants, user = grants_of(claims, settings), users.with_subject(subject)
    if user is None:
        allowed = settings.create == "everybody" or (settings.create == "mapped" and grants)
        if not allowed:
            raise NoAccount
        return Found(_added(claims, subject, grants, settings, users), created=True)
    if user.disabled:
        raise NoAccount
    if not settings.roles:
        return Found(user)
    changed = grants != user.grants
    if changed:
        try:
            user = users.change(user.user_id, {"grants": grants})
        except LastAdministrator:
            logger.warning("the provider gives user %d, the last administrator, less", user.user_id)
            raise
    if not grants and settings.create != "everybody":
        raise NoAccount
    return Found(user, changed=changed)


def grants_of(claims: Mapping[str, Any], settings: OidcSettings) -> tuple[Grant, ...]:
    """What the values of the role claim give; nothing by default."""
    given = claims.get(settings.role_claim)
    values = given if isinstance(given, list) else [given]
    return tuple(role.to_grant() for value, role in settings.roles.items() if value in values)


def _added(
    claims: Mapping[str, Any],
    subject: str,
    grants: tuple[Grant, ...],
    settings: OidcSettings,
    users: UserRepository,
) -> User:
    """A new user; if the name is taken, it gets a number: who is who depends on the subject."""
    name = _name(claims, settings)
    for number in range(1, SAME_NAMES):
        suffix = f" ({number})" if number > 1 else ""
        try:
            return users.add(name[: MAX_NAME - len(suffix)] + suffix, grants, subject=subject)
        except UserExists:
            continue
    raise NoAccount


def _name(claims: Mapping[str, Any], settings: OidcSettings) -> str:
    for claim in (settings.name_claim, "email", "name", "sub"):
        value = claims.get(claim)
        if isinstance(value, str) and value.strip() and value.isprintable():
            return value.strip()[:MAX_NAME]
    return "user"
