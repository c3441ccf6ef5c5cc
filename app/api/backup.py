"""``GET /api/system/backup``: a copy of the database as a download."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from app.api.errors import error_replies
from app.api.system_deps import SYSTEM_ERRORS, SystemDep
from app.db.backup import DatabaseBackup
from app.errors import BackupRunning, StoreError

PREFIX, NAME = "backup-", "watchpost.db"
MEDIA_TYPE = "application/octet-stream"
LONGEST_DOWNLOAD_S = 6 * 3600.0

router = APIRouter(tags=["system"], responses=SYSTEM_ERRORS)


@router.get(
    "/api/system/backup",
    summary="Download a copy of the database",
    response_class=FileResponse,
    responses={
        200: {"content": {MEDIA_TYPE: {}}},
        **error_replies(
            {
                409: "A copy is being made, or the database is not SQLite: use pg_dump",
                503: "There is no space for the copy",
            }
        ),
    },
)
async def download_backup(system: SystemDep) -> FileResponse:
    """Cameras, events, users, plates, jobs, targets: everything but files, such as recordings and
    snapshots. Credentials in it stay encrypted with `secret.key`, which is not part of it."""
    if system.copying.locked():
        raise BackupRunning
    async with system.copying:
        file = await asyncio.to_thread(_copy, system.database, system.settings.data_dir)
    name = time.strftime("watchpost-%Y-%m-%d-%H%M%S.db", time.gmtime())
    return FileResponse(
        file,
        media_type=MEDIA_TYPE,
        filename=name,
        background=BackgroundTask(asyncio.to_thread, shutil.rmtree, file.parent, True),
    )


def _copy(database: DatabaseBackup, data_dir: Path) -> Path:
    """The copy, in a folder of its own; those that a kill has left behind are removed.

    Raises BackupElsewhere, StoreError.
    """
    for left_over in data_dir.glob(f"{PREFIX}*"):
        if time.time() - left_over.stat().st_mtime > LONGEST_DOWNLOAD_S:
            shutil.rmtree(left_over, ignore_errors=True)
    with ExitStack() as undo:
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=data_dir))  # mode 700
        except OSError as error:
            raise StoreError(reason=f"no copy can be written: {error.strerror}") from None
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        database.copy(folder / NAME)
        undo.pop_all()
    return folder / NAME
