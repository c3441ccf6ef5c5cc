"""The reference page of rights, from the table that the server itself uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.api.route_rights import SOCKET, TABLE, Reach, RouteRight
from app.rights import MEANING, RIGHTS_OF, Right, Role

ABOUT = """\
A role is a bundle of rights, and is given for some cameras or for all. A *camera* here is any
stream, under its id. What is not in the table of routes is closed to everybody, and a test walks
over all routes and sockets with every role. [Authentication](../authentication.md) describes users,
tokens and sign-in. The last column says which calls are written to the
[audit log](../authentication.md#audit-log); refused ones always are."""
REACHES = {
    Reach.OPEN: ("anybody", "No sign-in: there is no data behind it."),
    Reach.SIGNED_IN: ("known callers", "Any user, any token, or this machine."),
    Reach.CAMERA: (
        "the camera",
        "The right for the camera in the path. Without `view` for it, the reply is that to an "
        "unknown id.",
    ),
    Reach.OWN: (
        "own",
        "The right for any camera. Lists, searches and streams of events contain only what belongs "
        "to cameras for which the caller has it; other ids are unknown.",
    ),
    Reach.ALL: ("all cameras", "The right for all cameras, as it concerns more than one, or none."),
}


def rights_table() -> tuple[Sequence[str], list[Sequence[str]]]:
    """The head and the rows of the table of rights and roles."""
    rows: list[Sequence[str]] = [
        (f"`{right}`", MEANING[right], *(_mark(right in RIGHTS_OF[role]) for role in Role))
        for right in Right
    ]
    return ("right", "allows to", *(str(role) for role in Role)), rows


def reach_table() -> tuple[Sequence[str], list[Sequence[str]]]:
    """The head and the rows of the table of reaches."""
    return ("for", "meaning"), [REACHES[reach] for reach in Reach]


def route_table() -> tuple[Sequence[str], list[Sequence[str]]]:
    """The head and the rows of the table of routes."""
    head = ("method", "path", "right", "for", *(str(role) for role in Role), "audit")
    return head, list(_routes())


def _routes() -> Iterator[Sequence[str]]:
    for row in sorted(TABLE, key=lambda row: row.path):
        methods = ", ".join("WebSocket" if name == SOCKET else name for name in row.methods)
        right = f"`{row.right}`" if row.right else "–"
        roles = [_mark(_allowed(row, role)) for role in Role]
        audited = [name for name in row.methods if row.is_audited(name)]
        audit = ", ".join("WebSocket" if name == SOCKET else name for name in audited)
        place = (right, REACHES[row.reach][0])
        yield (f"`{methods}`", f"`{row.path}`", *place, *roles, audit or "–")


def _allowed(row: RouteRight, role: Role) -> bool:
    return row.right is None or row.right in RIGHTS_OF[role]


def _mark(allowed: bool) -> str:
    return "yes" if allowed else "–"
