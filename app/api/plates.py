"""Number plates: upload, list, correct, search (contract ``docs/contracts/anpr.md``)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from app.anpr.service import PlateService
from app.api.csv_lines import csv_line
from app.api.deps import (
    CallerDep,
    LanguageDep,
    PlateCountsDep,
    PlateLanguageDep,
    PlateRepositoryDep,
    PlateSearchDep,
    PlateServiceDep,
    WatchlistDep,
)
from app.api.errors import ErrorReply
from app.api.i18n import describe, reply
from app.api.plate_deps import (
    PLAIN,
    Id,
    Limit,
    OwnCameras,
    OwnOrDeletedPlate,
    OwnPlate,
    OwnSession,
    Skip,
    Wanted,
    existing,
    own_plate,
)
from app.api.plate_schemas import (
    Activity,
    Plate,
    PlateChange,
    PlateDeleted,
    PlateDetails,
    Refused,
    SessionReply,
    Statistics,
    Uploaded,
    WatchChange,
    WatchDeleted,
    WatchReply,
    utc_text,
)
from app.api.uploads import BODY, MANY, Upload, megabytes, read_uploads
from app.errors import BadUpload, DetectorError, Forbidden, TooManyUploads, UploadTooLarge
from app.plates import StoredPlate
from app.rights import Right, common_cameras

IMAGES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}, "description": "The image"}
}
TOTAL: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "X-Total-Count": {"schema": {"type": "integer"}, "description": "On all pages."}
        }
    }
}


def _errors(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    """Descriptions of error replies by status: ``_errors(e404="No such plate")``."""
    return {
        int(name[1:]): {"model": ErrorReply, "description": description}
        for name, description in descriptions.items()
    }


UNUSABLE = _errors(
    e400="No file, or an image that is empty or damaged",
    e413="More bytes or pixels than the limit",
    e415="Not a JPEG, PNG, WebP or BMP image",
    e429="Too many images wait already; `Retry-After` has the seconds to wait",
    e503="A network failed or is falling behind (then with `Retry-After`), or the database failed",
)
MISSING = _errors(e404="No such plate, session, image or entry")

router = APIRouter(
    prefix="/api",
    tags=["plates"],
    responses=_errors(e400="Wrong field or value", e401="Token needed", e503="The database failed"),
)


@router.post("/upload", summary="Read an image", openapi_extra=BODY, responses=UNUSABLE)
async def upload_image(request: Request, plate_service: PlateServiceDep) -> Uploaded:
    """Find and read the number plates in a JPEG, PNG, WebP or BMP image (not HEIC) of up to 20 MB
    and 50 megapixels, turned upright by its EXIF data."""
    async with request.state.uploads.place():
        [file] = await read_uploads(request, max_bytes=plate_service.settings.max_bytes)
        return await _read(request, plate_service, file)


@router.post("/upload/batch", summary="Read several images", openapi_extra=MANY, responses=UNUSABLE)
async def upload_images(
    request: Request, plate_service: PlateServiceDep, language: LanguageDep
) -> list[Uploaded | Refused]:
    """Read several `file` parts, each as its own session; results are in the same order. A file
    that cannot be used has an error in its place and does not affect the others."""
    async with request.state.uploads.place():
        files = await read_uploads(
            request,
            max_bytes=plate_service.settings.max_bytes,
            max_files=plate_service.settings.max_files,
        )
        replies: list[Uploaded | Refused] = []
        for file in files:
            try:
                replies.append(await _read(request, plate_service, file))
            except (BadUpload, DetectorError, TooManyUploads) as error:
                error_reply = ErrorReply(
                    code=error.code, message=describe(error, language), details=error.details
                )
                replies.append(Refused(filename=file.name, error=error_reply))
    return replies


async def _read(request: Request, plate_service: PlateService, file: Upload) -> Uploaded:
    """Read one file when it is its turn. Raises BadUpload, also if it has too many bytes, and
    TooManyUploads."""
    if len(file.data) > plate_service.settings.max_bytes:
        raise UploadTooLarge(limit=megabytes(plate_service.settings.max_bytes))
    async with request.state.uploads.turn():
        return Uploaded.of(await plate_service.upload(file.name, file.data))


@router.get("/sessions", summary="List sessions", responses=TOTAL)
async def list_sessions(
    response: Response,
    rows: PlateRepositoryDep,
    cameras: OwnCameras,
    limit: Limit,
    skip: Skip = 0,
) -> list[SessionReply]:
    """Uploads and vehicles that passed cameras, newest first."""
    found, total = await asyncio.to_thread(rows.sessions, skip, limit, cameras)
    response.headers["X-Total-Count"] = str(total)
    return [SessionReply.of(session) for session in found]


@router.get("/sessions/{session_id}", summary="Show a session", responses=MISSING)
async def show_session(session: OwnSession) -> SessionReply:
    """One uploaded image, with the plates read in it."""
    return SessionReply.of(session)


@router.get(
    "/sessions/{session_id}/image",
    summary="A session's image",
    response_class=Response,
    responses=IMAGES | MISSING,
)
async def session_image(session: OwnSession, plate_service: PlateServiceDep) -> FileResponse:
    """The whole image; for a camera, the blurred frame."""
    return _image(plate_service, session.source_image_path)


@router.get("/plates", summary="List plates", responses=TOTAL)
async def list_plates(
    response: Response, wanted: Wanted, rows: PlateRepositoryDep, limit: Limit, skip: Skip = 0
) -> list[Plate]:
    """Newest first; `X-Total-Count` has the number of matches."""
    found, total = await asyncio.to_thread(rows.plates, wanted, skip, limit)
    response.headers["X-Total-Count"] = str(total)
    return [Plate.of(plate) for plate in found]


@router.get(
    "/plates/export.csv",
    summary="Plates as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}},
)
async def export_plates(
    wanted: Wanted, rows: PlateRepositoryDep, caller: CallerDep
) -> StreamingResponse:
    """All matching plates, newest first, with country and votes. Needs the right `plates`, too."""
    if not caller.access.somewhere(Right.PLATES):
        raise Forbidden(right=Right.PLATES.value)
    exported = common_cameras(wanted.cameras, caller.access.cameras(Right.EXPORT))
    wanted = replace(wanted, cameras=exported)
    return StreamingResponse(
        _csv(rows.export(wanted)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="plates.csv"'},
    )


@router.get("/plates/{plate_id}", summary="Show a plate", responses=MISSING)
async def show_plate(plate: OwnPlate) -> Plate:
    """One reading."""
    return Plate.of(plate)


@router.get("/plates/{plate_id}/details", summary="Show a plate's details", responses=MISSING)
async def plate_details(plate: OwnPlate) -> PlateDetails:
    """A reading with its alternatives, and how it was found."""
    return PlateDetails.of(plate)


@router.get(
    "/plates/{plate_id}/image",
    summary="A plate's image",
    response_class=Response,
    responses=IMAGES | MISSING,
)
async def plate_image(plate: OwnPlate, plate_service: PlateServiceDep) -> FileResponse:
    """The crop of the plate."""
    return _image(plate_service, plate.image_path)


@router.put("/plates/{plate_id}", summary="Correct or verify", responses=MISSING)
async def change_plate(
    plate_id: Id, body: PlateChange, rows: PlateRepositoryDep, cameras: OwnCameras
) -> Plate:
    """A corrected plate becomes `manual`, and the statistics count it as corrected."""
    # Not as a dependency: an invalid body is a 400 whether or not the plate exists.
    plate = existing(await own_plate(plate_id, rows, cameras))
    changes = body.model_dump(exclude_unset=True)
    return Plate.of(await asyncio.to_thread(rows.update, plate.plate_id, changes))


@router.delete("/plates/{plate_id}", summary="Delete a plate", responses=MISSING)
async def delete_plate(
    plate: OwnPlate,
    rows: PlateRepositoryDep,
    language: PlateLanguageDep,
) -> PlateDeleted:
    """Hide a plate from lists, search and statistics; its row and its images stay."""
    await asyncio.to_thread(rows.delete, plate.plate_id)
    return PlateDeleted(message=reply("PLATE_DELETED", language), id=plate.plate_id)


@router.delete("/plates/{plate_id}/data", summary="Erase images", responses=MISSING)
async def erase_plate_images(
    plate: OwnOrDeletedPlate,
    rows: PlateRepositoryDep,
    plate_service: PlateServiceDep,
    language: PlateLanguageDep,
) -> PlateDeleted:
    """Remove from the disk: the plate's image, the whole image it is from, and all other crops of
    that image. Works for deleted plates, too."""
    paths = await asyncio.to_thread(rows.forget_pictures, plate.plate_id)
    await asyncio.to_thread(plate_service.files.erase, paths)
    return PlateDeleted(message=reply("PICTURES_ERASED", language), id=plate.plate_id)


@router.get("/search", summary="Search")
async def search_plates(
    query: Annotated[
        str,
        Query(
            min_length=1,
            max_length=64,
            pattern=PLAIN,
            description="A number or a part of it.",
            examples=["A123"],
        ),
    ],
    limit: Limit,
    searcher: PlateSearchDep,
    cameras: OwnCameras,
) -> list[Plate]:
    """Find a number or a part of it, including look-alikes (O and 0, I and 1); best match first.
    If nothing matches, numbers that are one edit away."""
    found = await asyncio.to_thread(searcher.find, query, limit, cameras)
    return [Plate.of(plate) for plate in found]


@router.get("/statistics", summary="Statistics")
async def plate_statistics(counts: PlateCountsDep, cameras: OwnCameras) -> Statistics:
    """How many plates were read, verified and corrected."""
    return Statistics.of(await asyncio.to_thread(counts.statistics, cameras))


@router.get("/statistics/activity", summary="Counts by hour, day and source")
async def plate_activity(counts: PlateCountsDep, cameras: OwnCameras) -> Activity:
    """Also how often people had to correct a reading."""
    return Activity.of(await asyncio.to_thread(counts.activity, cameras))


@router.get("/watchlist", summary="Show the watch-list")
async def list_watched_plates(watchlist_rows: WatchlistDep) -> list[WatchReply]:
    """The numbers that raise `plate_match` events."""
    return [WatchReply.of(entry) for entry in await asyncio.to_thread(watchlist_rows.entries)]


@router.post("/watchlist", summary="Add to watch-list", status_code=201)
async def watch_plate(body: WatchChange, watchlist_rows: WatchlistDep) -> WatchReply:
    """Streams with `analytics.plates` report `plate_match` when it passes."""
    return WatchReply.of(
        await asyncio.to_thread(watchlist_rows.add, body.number, body.note, body.action)
    )


@router.delete(
    "/watchlist/{watch_id}", summary="Remove a number from the watch-list", responses=MISSING
)
async def unwatch_plate(watch_id: Id, watchlist_rows: WatchlistDep) -> WatchDeleted:
    """Events that it has raised stay."""
    await asyncio.to_thread(watchlist_rows.remove, watch_id)
    return WatchDeleted(id=watch_id)


def _image(plate_service: PlateServiceDep, relative: str) -> FileResponse:
    path = plate_service.files.path(relative)
    kind = {".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp"}.get(path.suffix)
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=kind or "image/jpeg", headers=headers)


def _csv(plates: Iterator[StoredPlate]) -> Iterator[str]:
    names = [name for name in PlateDetails.model_fields if name != "position"]
    names[names.index("processed_by") : names.index("processed_by")] = [
        "x_min", "y_min", "x_max", "y_max",
    ]  # fmt: skip
    yield csv_line(names)
    for plate in plates:
        row: dict[str, Any] = PlateDetails.of(plate).model_dump()
        row |= row.pop("position")
        row["timestamp"] = utc_text(plate.at)
        row["votes"] = json.dumps(plate.votes) if plate.votes else ""
        yield csv_line([row[name] for name in names])
