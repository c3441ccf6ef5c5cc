"""Command line of users: ``watchpost user add`` and ``watchpost user list``.

It works on the database, also while the server runs.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from app.access.passwords import Passwords, check_length
from app.accounts import cameras_as_json
from app.audit import AuditEntry
from app.config import Settings
from app.db.audit import AuditRepository
from app.db.engine import open_database
from app.db.users import UserRepository
from app.db.vault import Vault, open_vault
from app.errors import WatchpostError
from app.rights import Grant, Role

if TYPE_CHECKING:
    from sqlalchemy import Engine

DESCRIPTION = "Add and list the users of the server."
MAX_NAME = 64
USAGE_ERROR = 2


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands to a parser."""
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="add a user; asks for the password")
    add.add_argument("name", help="the name to sign in with")
    add.add_argument(
        "--role",
        choices=[role.value for role in Role],
        default=Role.ADMINISTRATOR.value,
        help="(default: administrator)",
    )
    add.add_argument(
        "--camera",
        action="append",
        metavar="ID",
        help="only for this camera; repeat it for several (default: all)",
    )
    add.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
    listing = commands.add_parser("list", help="list the users")
    for command in (add, listing):
        command.add_argument("--data-dir", help="folder for all data (default: ./data)")
        command.add_argument("--database-url", help="(default: SQLite in the data folder)")


def run(options: argparse.Namespace) -> int:
    """Run the parsed command. Returns 0, or 2 with one line about what is wrong."""
    given = {name: getattr(options, name) for name in ("data_dir", "database_url")}
    try:
        settings = Settings(**{name: value for name, value in given.items() if value})
        with _database(settings) as (engine, vault):
            users = UserRepository(engine)
            if options.command == "list":
                return _list(users)
            return _add(options, users, AuditRepository(engine, vault))
    except (WatchpostError, ValueError, OSError) as error:
        print(_line(error), file=sys.stderr)
        return USAGE_ERROR


def _line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return str(error)


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[Engine, Vault]]:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    secret = settings.secret_key.get_secret_value() if settings.secret_key else None
    vault = open_vault(settings.data_dir, secret)
    engine = open_database(settings.resolved_database_url(), vault, settings.recordings_dir())
    try:
        yield engine, vault
    finally:
        engine.dispose()


def _add(options: argparse.Namespace, users: UserRepository, audit: AuditRepository) -> int:
    name = options.name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"a name has 1 to {MAX_NAME} printable characters")
    role, cameras = Role(options.role), frozenset(options.camera or ())
    if role is Role.ADMINISTRATOR and cameras:
        raise ValueError("an administrator is one for all cameras: leave --camera out")
    password = _password(from_input=options.password_stdin)
    check_length(password)
    hashed = asyncio.run(Passwords().hash(password))
    user = users.add(name, (Grant(role, cameras or None),), password_hash=hashed)
    added = {"user_id": user.user_id}
    audit.append(AuditEntry("command line", "", "watchpost user add", details=added))
    print(f"user {user.user_id}: {user.name}, {role.value}")
    return 0


def _password(*, from_input: bool) -> str:
    if from_input:
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise ValueError("the two passwords differ")
    return password


def _list(users: UserRepository) -> int:
    for user in users.all():
        grants = [f"{g.role} of {', '.join(cameras_as_json(g.cameras))}" for g in user.grants]
        state = " (disabled)" if user.disabled else ""
        print(f"{user.user_id}\t{user.name}\t{'; '.join(grants)}{state}")
    return 0
