"""The one table of all routes and sockets, with the right that each of them needs.

A route that is missing here is answered with 404 to everybody: ``tests/api/test_rights.py`` walks
over the app's routes and compares. ``docs/reference/rights.md`` is made from this table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from starlette.routing import compile_path

from app.rights import Right

SOCKET = "WEBSOCKET"
"""The method of a WebSocket in the table."""


class Reach(StrEnum):
    """For which cameras a caller needs the right of a route."""

    OPEN = "open"
    """No right and no sign-in: it has no data."""
    SIGNED_IN = "signed in"
    """No right, but the caller must be known."""
    CAMERA = "camera"
    """For the camera in the path; without ``view`` for it, the reply is that to an unknown id."""
    OWN = "own"
    """For any camera. The handler shows and finds only what belongs to cameras with the right."""
    ALL = "all"
    """For all cameras."""


class RouteRight(NamedTuple):
    """One row: a path with its methods, and what it needs.

    Attributes:
        right: None only for ``OPEN`` and ``SIGNED_IN``.
        camera: the part of the path that is a camera's id, for ``CAMERA``.
    """

    methods: tuple[str, ...]
    path: str
    reach: Reach
    right: Right | None = None
    camera: str = ""

    def is_audited(self, method: str) -> bool:
        """Whether a call is written to the audit log: if it changes something, or shows much."""
        changes = method not in (SOCKET, "GET", "HEAD")
        return changes or self.path in AUDITED_READS


AUDITED_READS = frozenset(
    {
        "/api/streams/by-input",
        "/api/streams/{stream_id}/mjpeg",
        "/api/streams/{stream_id}/video",
        "/camera/{camera_id}/mjpeg",
        "/stream/video/{stream_id}",
        "/ws/stream/{stream_id}",
        "/ws/camera/{camera_id}",
        "/api/plates/export.csv",
        "/api/plates/{plate_id}/image",
        "/api/sessions/{session_id}/image",
        "/collect/jobs/{job_id}/files/{file_id}",
        "/api/events/export.csv",
        "/api/events/export.json",
        "/api/recordings/export",
        "/api/recordings/play.mp4",
        "/api/audit/export.csv",
        "/api/system/backup",
        "/api/sign-in/oidc/callback",
    }
)
"""Reads that are written to the audit log: live video, exports, images of plates, and the sign-in
that a provider's page ends."""


def _row(methods: str, path: str, reach: Reach, right: Right | None = None) -> RouteRight:
    camera = re.search(r"\{(stream_id|camera_id)\}", path) if reach is Reach.CAMERA else None
    return RouteRight(tuple(methods.split()), path, reach, right, camera[1] if camera else "")


def _open(methods: str, path: str) -> RouteRight:
    return _row(methods, path, Reach.OPEN)


def _signed_in(methods: str, path: str) -> RouteRight:
    return _row(methods, path, Reach.SIGNED_IN)


def _camera(methods: str, path: str, right: Right) -> RouteRight:
    return _row(methods, path, Reach.CAMERA, right)


def _own(methods: str, path: str, right: Right) -> RouteRight:
    return _row(methods, path, Reach.OWN, right)


def _all(methods: str, path: str, right: Right) -> RouteRight:
    return _row(methods, path, Reach.ALL, right)


TABLE: tuple[RouteRight, ...] = (
    # The page and its files, and what says that the process answers.
    _open("GET HEAD", "/"),
    _open("GET HEAD", "/viewer"),
    _open("GET HEAD", "/static/{path:path}"),
    _open("GET", "/healthz"),
    # The server.
    _signed_in("GET", "/readyz"),
    _signed_in("GET", "/api/version"),
    _signed_in("GET HEAD", "/openapi.json"),
    _signed_in("GET", "/docs"),
    _signed_in("GET", "/docs/oauth2-redirect"),
    _signed_in("GET HEAD", "/static-offline-docs/{path:path}"),
    _all("GET", "/metrics", Right.MONITOR),
    _all("GET", "/api/doctor", Right.MONITOR),
    _all("GET", "/api/system/status", Right.MONITOR),
    _all("GET", "/api/system/log", Right.MONITOR),
    _all("GET", "/api/nodes", Right.MONITOR),
    _all("POST", "/api/nodes/{node_id}/drain", Right.ADMINISTER),
    _all("POST", "/api/nodes/{node_id}/resume", Right.ADMINISTER),
    _all("GET PATCH", "/api/system/settings", Right.ADMINISTER),
    _all("GET", "/api/system/backup", Right.ADMINISTER),
    # Accounts.
    _open("GET POST", "/api/sign-in"),
    _open("GET", "/api/sign-in/oidc"),
    _open("GET", "/api/sign-in/oidc/callback"),
    _open("POST", "/api/setup"),
    _signed_in("POST", "/api/sign-out"),
    _signed_in("GET", "/api/account"),
    _signed_in("PUT", "/api/account/password"),
    _signed_in("GET", "/api/account/sign-ins"),
    _signed_in("DELETE", "/api/account/sign-ins/{session_id}"),
    _signed_in("GET POST", "/api/account/two-factor"),
    _signed_in("POST", "/api/account/two-factor/confirm"),
    _signed_in("POST", "/api/account/two-factor/recovery-codes"),
    _signed_in("POST", "/api/account/two-factor/remove"),
    _signed_in("GET POST", "/api/tokens"),
    _signed_in("DELETE", "/api/tokens/{token_id}"),
    _all("GET POST", "/api/users", Right.ADMINISTER),
    _all("GET PATCH DELETE", "/api/users/{user_id}", Right.ADMINISTER),
    _all("DELETE", "/api/users/{user_id}/two-factor", Right.ADMINISTER),
    _all("GET", "/api/audit", Right.ADMINISTER),
    _all("GET", "/api/audit/export.csv", Right.ADMINISTER),
    _all("GET", "/api/audit/check", Right.ADMINISTER),
    _all("GET", "/api/privacy", Right.ADMINISTER),
    _all("POST", "/api/privacy/erase", Right.ADMINISTER),
    _all("POST", "/api/privacy/export", Right.ADMINISTER),
    # Streams.
    _own("GET", "/api/streams", Right.VIEW),
    _all("GET", "/api/streams/by-input", Right.CONTROL),
    _all("POST", "/api/streams/register", Right.CONTROL),
    _camera("GET", "/api/streams/{stream_id}", Right.VIEW),
    _camera("GET", "/api/streams/{stream_id}/jpeg", Right.VIEW),
    _camera("GET", "/api/streams/{stream_id}/mjpeg", Right.VIEW),
    _camera("GET", "/api/streams/{stream_id}/video", Right.VIEW),
    # Sockets of one stream: who may not view it is told so after the handshake.
    _own(SOCKET, "/api/streams/{stream_id}/video", Right.VIEW),
    _camera("POST", "/api/streams/{stream_id}/start", Right.CONTROL),
    _camera("POST", "/api/streams/{stream_id}/stop", Right.CONTROL),
    _camera("POST", "/api/streams/{stream_id}/restart", Right.CONTROL),
    _camera("POST", "/api/streams/{stream_id}/disconnect", Right.CONTROL),
    # Push streams.
    _all("POST", "/stream/request", Right.CONTROL),
    _camera("DELETE", "/stream/{stream_id}", Right.CONTROL),
    _camera("GET HEAD", "/stream/video/{stream_id}", Right.VIEW),
    _camera("GET", "/ws/stream/{stream_id}", Right.VIEW),
    # Sockets answer an unknown id after the handshake, and so their handlers check the camera.
    _own(SOCKET, "/ws/stream/{stream_id}", Right.VIEW),
    # Cameras.
    _own("GET", "/cameras", Right.VIEW),
    _all("POST", "/cameras", Right.CONTROL),
    _all("POST", "/api/demo", Right.CONTROL),
    _all("POST", "/api/cameras/test", Right.CONTROL),
    _all("POST", "/api/cameras/discover", Right.CONTROL),
    _all("POST", "/api/cameras/onvif", Right.CONTROL),
    _all("GET", "/api/cameras/makers", Right.CONTROL),
    _signed_in("GET", "/api/rules"),
    _camera("GET", "/camera/{camera_id}", Right.VIEW),
    _camera("GET", "/camera/{camera_id}/stats", Right.VIEW),
    _camera("GET", "/camera/{camera_id}/jpeg", Right.VIEW),
    _camera("GET", "/camera/{camera_id}/mjpeg", Right.VIEW),
    _camera("POST", "/camera/{camera_id}/start", Right.CONTROL),
    _camera("POST", "/camera/{camera_id}/stop", Right.CONTROL),
    _camera("POST", "/camera/{camera_id}/restart", Right.CONTROL),
    _camera("PATCH", "/camera/{camera_id}", Right.CONTROL),
    _camera("DELETE", "/camera/{camera_id}", Right.CONTROL),
    _own(SOCKET, "/ws/camera/{camera_id}", Right.VIEW),
    # Events.
    _own("GET", "/events", Right.VIEW),
    _own(SOCKET, "/ws/events", Right.VIEW),
    _own("GET", "/api/events", Right.VIEW),
    _own("GET", "/api/events/counts", Right.VIEW),
    _own("GET", "/api/events/days", Right.VIEW),
    _own("GET", "/api/events/export.csv", Right.EXPORT),
    _own("GET", "/api/events/export.json", Right.EXPORT),
    _own("GET", "/api/events/{event_id}", Right.VIEW),
    _own("PATCH", "/api/events/{event_id}", Right.CONTROL),
    _own("GET", "/api/events/{event_id}/snapshot.jpg", Right.VIEW),
    _own("GET HEAD", "/api/events/{event_id}/clip.mp4", Right.VIEW),
    # Recordings: the camera is in the query, and so the handlers check it.
    _own("GET", "/api/recordings", Right.VIEW),
    _own("PATCH", "/api/recordings", Right.CONTROL),
    _own("GET HEAD", "/api/recordings/export", Right.EXPORT),
    _own("GET HEAD", "/api/recordings/play.mp4", Right.VIEW),
    _own("GET", "/api/recordings/frame", Right.VIEW),
    _own("GET", "/api/recordings/days", Right.VIEW),
    _own("GET", "/api/storage", Right.VIEW),
    # Notifications. Targets get events of cameras that their routes name, and hold secrets.
    _all("GET POST", "/api/targets", Right.ADMINISTER),
    _all("GET", "/api/targets/kinds", Right.ADMINISTER),
    _all("GET", "/api/targets/web-push-key", Right.ADMINISTER),
    _all("GET PATCH DELETE", "/api/targets/{target_id}", Right.ADMINISTER),
    _all("POST", "/api/targets/{target_id}/test", Right.ADMINISTER),
    _all("POST", "/api/targets/{target_id}/rotate", Right.ADMINISTER),
    _all("GET POST", "/api/routes", Right.ADMINISTER),
    _all("GET PATCH DELETE", "/api/routes/{route_id}", Right.ADMINISTER),
    _all("GET", "/api/deliveries", Right.ADMINISTER),
    _all("POST", "/api/deliveries/send-dead", Right.ADMINISTER),
    _all("GET", "/api/deliveries/{delivery_id}", Right.ADMINISTER),
    _all("POST", "/api/deliveries/{delivery_id}/send", Right.ADMINISTER),
    _all("DELETE", "/api/snapshot-links", Right.ADMINISTER),
    # Whoever has a signed link may see its picture; the handler checks the signature.
    _open("GET", "/shared/snapshots/{event_id}.jpg"),
    # Plates.
    _all("POST", "/api/upload", Right.PLATES),
    _all("POST", "/api/upload/batch", Right.PLATES),
    _own("GET", "/api/sessions", Right.PLATES),
    _own("GET", "/api/sessions/{session_id}", Right.PLATES),
    _own("GET", "/api/sessions/{session_id}/image", Right.PLATES),
    _own("GET", "/api/plates", Right.PLATES),
    _own("GET", "/api/plates/export.csv", Right.EXPORT),
    _own("GET", "/api/plates/{plate_id}", Right.PLATES),
    _own("PUT", "/api/plates/{plate_id}", Right.PLATES),
    _own("DELETE", "/api/plates/{plate_id}", Right.PLATES),
    _own("GET", "/api/plates/{plate_id}/details", Right.PLATES),
    _own("GET", "/api/plates/{plate_id}/image", Right.PLATES),
    _own("DELETE", "/api/plates/{plate_id}/data", Right.PLATES),
    _own("GET", "/api/search", Right.PLATES),
    _own("GET", "/api/statistics", Right.PLATES),
    _own("GET", "/api/statistics/activity", Right.PLATES),
    _all("GET", "/api/watchlist", Right.PLATES),
    _all("POST", "/api/watchlist", Right.PLATES),
    _all("DELETE", "/api/watchlist/{watch_id}", Right.PLATES),
    # Collection jobs.
    _own("POST", "/collect", Right.JOBS),
    _own("GET", "/collect/jobs", Right.JOBS),
    _own("GET", "/collect/jobs/{job_id}", Right.JOBS),
    _own("PATCH", "/collect/jobs/{job_id}", Right.JOBS),
    _own("DELETE", "/collect/jobs/{job_id}", Right.JOBS),
    _own("GET", "/collect/jobs/{job_id}/logs", Right.JOBS),
    _own("GET", "/collect/jobs/{job_id}/files", Right.JOBS),
    _own("GET HEAD", "/collect/jobs/{job_id}/files/{file_id}", Right.EXPORT),
    _own("POST", "/collect/schedules", Right.JOBS),
    _own("GET", "/collect/schedules", Right.JOBS),
    _own("GET", "/collect/schedules/{schedule_id}", Right.JOBS),
    _own("PATCH", "/collect/schedules/{schedule_id}", Right.JOBS),
    _own("DELETE", "/collect/schedules/{schedule_id}", Right.JOBS),
    # Matches every name of one part below /ws, and so it is last, as in the app.
    _own(SOCKET, "/ws/{job_id}", Right.JOBS),
)


class Match(NamedTuple):
    """What the table says about a request.

    Attributes:
        row: None if no route has this path and method.
        camera: the id in the path, for ``Reach.CAMERA``.
        allowed: the methods that the path has.
        parts: the ids in the path, by name.
    """

    row: RouteRight | None
    camera: str = ""
    allowed: tuple[str, ...] = ()
    parts: Mapping[str, str] = MappingProxyType({})


class RightsTable:
    """Finds the row of a request; the first that matches counts, as in the app."""

    def __init__(self, rows: Sequence[RouteRight] = TABLE) -> None:
        self._rows = [(compile_path(row.path)[0], row) for row in rows]

    def find(self, method: str, path: str) -> Match:
        """The row for a method, or ``SOCKET``, and a path.

        A path that only a slash at its end distinguishes from a route is that route: the app
        redirects to it.
        """
        found = self._find(method, path)
        if found.row is None and not found.allowed and len(path) > 1:
            return self._find(method, path[:-1] if path.endswith("/") else f"{path}/")
        return found

    def _find(self, method: str, path: str) -> Match:
        allowed: list[str] = []
        for pattern, row in self._rows:
            if parts := pattern.match(path):
                if method in row.methods:
                    camera = parts[row.camera] if row.camera else ""
                    return Match(row, camera, parts=parts.groupdict())
                allowed += [name for name in row.methods if name != SOCKET]
        return Match(None, allowed=tuple(dict.fromkeys(allowed)))
