"""The viewer page, ``static/viewer.html``, and the security headers that browsers get with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

INSTALLED = Path(__file__).resolve().parents[1] / "static"
CHECKOUT = Path(__file__).resolve().parents[2] / "static"
STATIC = INSTALLED if INSTALLED.is_dir() else CHECKOUT

HEADERS = {
    # Only files of this server, nothing inline, no HTML made from strings: so the name of a
    # stream can never run as a script. 'self' covers this server's WebSockets, too.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Revalidated each time (usually a 304), so the page and its scripts have one version.
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


class ViewerFiles(StaticFiles):
    """The folder ``static/``, with the same headers as the page."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


@router.api_route("/", methods=["GET", "HEAD"])
async def root(request: Request) -> Response:
    """Redirect a browser to the page; tell a program that the server runs."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("viewer")  # without a ?token=, which is a cookie by now
    return JSONResponse({"message": "Camera Collector API is running!"})


@router.api_route("/viewer", methods=["GET", "HEAD"])
async def viewer() -> FileResponse:
    return FileResponse(STATIC / "viewer.html", media_type="text/html", headers=HEADERS)
