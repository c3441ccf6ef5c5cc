"""The control room (``static/app``, built from ``web/``) and the page ``static/viewer.html``.

Both are files, with security headers that keep anything else out.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp

INSTALLED = Path(__file__).resolve().parents[1] / "static"
CHECKOUT = Path(__file__).resolve().parents[2] / "static"
STATIC = INSTALLED if INSTALLED.is_dir() else CHECKOUT

HEADERS = {
    # Only files of this server, nothing inline, no HTML made from strings: so the name of a
    # stream can never run as a script. 'self' covers this server's WebSockets, too.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; "
        "trusted-types service-worker"  # whose policy allows that one script
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Revalidated each time (usually a 304), so the page and its scripts have one version.
    "Cache-Control": "no-cache",
}

SERVICE_WORKER = "service_worker.js"
mimetypes.add_type("application/manifest+json", ".webmanifest")

router = APIRouter(include_in_schema=False)


class PageFiles(StaticFiles):
    """The folder ``static/``, with the same headers as the pages."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    def file_response(self, full_path: Any, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(full_path, *args, **kwargs)
        response.headers.update(HEADERS)
        if Path(full_path).name == SERVICE_WORKER:
            response.headers["Service-Worker-Allowed"] = "../../"  # the page's folder
        return response


def files() -> ASGIApp:
    """The app that serves ``static/``, compressed where the browser accepts it."""
    return GZipMiddleware(PageFiles(), minimum_size=1024)


@router.api_route("/", methods=["GET", "HEAD"])
async def root(request: Request) -> Response:
    """The control room for a browser; a program is told that the server runs."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"message": "Camera Collector API is running!"})
    if "token" in request.query_params:
        return RedirectResponse("./")  # it is a cookie by now, and leaves the address
    return FileResponse(STATIC / "app" / "index.html", media_type="text/html", headers=HEADERS)


@router.api_route("/viewer", methods=["GET", "HEAD"])
async def viewer() -> FileResponse:
    return FileResponse(STATIC / "viewer.html", media_type="text/html", headers=HEADERS)
