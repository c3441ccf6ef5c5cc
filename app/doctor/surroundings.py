"""Checks of what the server uses: data folder, disk, database, port, RTSP output."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from app import urls
from app.config import Settings
from app.data_folder import TOKEN_FILE, is_locked
from app.db.audit import check_audit
from app.db.engine import DatabaseState, reach
from app.db.vault import KEY_FILE, open_vault
from app.doctor.findings import Finding, Phrase, ok, problem, verbatim, warning
from app.doctor.ray_nodes import ray_nodes
from app.errors import SetupError, StoreError

CONNECT_TIMEOUT_S = 2.0
GIB = 2**30
DATABASE_STATES = {
    DatabaseState.MISSING: Phrase("not created yet"),
    DatabaseState.EMPTY: Phrase("empty"),
    DatabaseState.CURRENT: Phrase("up to date"),
    DatabaseState.OLD: Phrase("is migrated at the next start"),
}
OWN_OUTPUTS = Phrase("each stream's own (WATCHPOST_STREAMS__OUTPUT_BASE is not set)")


def surroundings(settings: Settings) -> Iterator[Finding]:
    """Check everything that the settings name; nothing is changed or created."""
    yield data_folder(settings.data_dir)
    yield disk(settings)
    yield database(settings)
    yield audit_log(settings)
    yield rtsp_output(settings)
    yield ray_nodes()


def data_folder(folder: Path) -> Finding:
    """Whether the data folder can be written, and nobody else can read its secrets."""
    existing = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        advice = Phrase(
            "let the user {user} write to it, or choose another folder with --data-dir",
            user=os.getuid(),
        )
        return problem("data folder", verbatim(f"{folder}: {error.strerror}"), advice)
    open_to_all = [
        file.name
        for file in (folder / KEY_FILE, folder / TOKEN_FILE)
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077
    ]
    if open_to_all:
        names = ", ".join(open_to_all)
        text = Phrase("{folder}: other users can read {names}", folder=folder, names=names)
        command = f"chmod 600 {' '.join(str(folder / name) for name in open_to_all)}"
        return warning("data folder", text, verbatim(command))
    if not folder.exists():
        return ok("data folder", Phrase("{folder} (not created yet)", folder=folder))
    return ok("data folder", verbatim(str(folder)))


def disk(settings: Settings) -> Finding:
    """Free space at the data folder, and whether recordings may use it."""
    try:
        usage = shutil.disk_usage(_existing(settings.data_dir))
    except OSError as error:
        advice = Phrase("check the disk of the data folder")
        return problem("disk", verbatim(str(error.strerror)), advice)
    free, total = usage.free / GIB, usage.total / GIB
    text = Phrase("{free:.1f} of {total:.1f} GiB free", free=free, total=total)
    floor = settings.space.min_free
    if usage.free < floor:
        advice = Phrase(
            "free {missing:.1f} GiB, or lower WATCHPOST_SPACE__MIN_FREE: "
            "old recordings are removed to keep that much free, and no new ones start",
            missing=(floor - usage.free) / GIB,
        )
        return problem("disk", text, advice)
    return ok("disk", text)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    # Unlike Path.exists, this takes what the user may not see as missing.
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110


def database(settings: Settings) -> Finding:
    """Whether the database answers."""
    try:
        name, state = reach(settings.resolved_database_url())
    except SetupError as error:
        advice = Phrase("check WATCHPOST_DATABASE_URL, and that the database runs")
        return problem("database", verbatim(str(error)), advice)
    return ok("database", Phrase("{name}, {state}", name=name, state=DATABASE_STATES[state]))


def audit_log(settings: Settings) -> Finding:
    """Whether the audit log is complete and unchanged."""
    secret = settings.secret_key.get_secret_value() if settings.secret_key else None
    try:
        if secret is None and not (settings.data_dir / KEY_FILE).exists():
            return ok("audit log", Phrase("not created yet"))
        broken = check_audit(
            settings.resolved_database_url(), open_vault(settings.data_dir, secret)
        )
    except (SetupError, StoreError, OSError) as error:
        text = Phrase("it cannot be checked: {error}", error=error)
        return warning("audit log", text, Phrase("check the database"))
    if broken is not None:
        advice = Phrase(
            "somebody changed the database, or its key was replaced: compare with a backup"
        )
        return problem("audit log", Phrase("the chain is broken: {where}", where=broken), advice)
    return ok("audit log", Phrase("complete and unchanged"))


def port(settings: Settings) -> Finding:
    """Whether the server's port is free, or used by this data folder's own server."""
    name = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((settings.host, settings.port))
    except OSError as error:
        if is_locked(settings.data_dir):
            return ok("port", Phrase("{name}, Watchpost is running", name=name))
        advice = Phrase("stop what uses it, or choose another one with --port")
        return problem("port", verbatim(f"{name}: {error.strerror}"), advice)
    return ok("port", Phrase("{name} is free", name=name))


def rtsp_output(settings: Settings) -> Finding:
    """Whether the RTSP server for all outputs accepts connections."""
    base = settings.streams.output_base
    if base is None:
        return ok("RTSP output", OWN_OUTPUTS)
    shown, parts = urls.without_credentials(base), urlsplit(base)
    address = parts.hostname or "", parts.port or urls.DEFAULT_PORTS[parts.scheme]
    try:
        with socket.create_connection(address, CONNECT_TIMEOUT_S):
            return ok("RTSP output", Phrase("{url} accepts connections", url=shown))
    except OSError as error:
        advice = Phrase("start that RTSP server (such as MediaMTX), or correct --output-base")
        reason = error.strerror or str(error) or type(error).__name__
        text = Phrase("{url} cannot be reached: {reason}", url=shown, reason=reason)
        return problem("RTSP output", text, advice)
