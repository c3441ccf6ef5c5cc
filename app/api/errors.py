"""Errors as HTTP replies: the one place that maps error classes to status codes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from app import errors
from app.api.i18n import LOCALES, Language, default_of, describe, language_of
from app.errors import WatchpostError, in_words
from app.urls import scrub

logger = logging.getLogger(__name__)

MAX_FIELD = 200
NOT_JSON = "send JSON, with the header Content-Type: application/json"

STATUS: dict[type[WatchpostError], HTTPStatus] = {
    errors.RequestError: HTTPStatus.BAD_REQUEST,
    errors.UpgradeRequired: HTTPStatus.UPGRADE_REQUIRED,
    errors.UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.BadRange: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.NotAnImage: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManyUploads: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.SecretUnreadable: HTTPStatus.CONFLICT,
    errors.FarEndError: HTTPStatus.BAD_GATEWAY,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DetectorError: HTTPStatus.SERVICE_UNAVAILABLE,
}
LATE_RETRY_S = 2
"""When a machine whose networks are falling behind may be asked again."""


class ErrorReply(BaseModel):
    """The body of every error reply, in every API."""

    code: str
    message: str
    details: dict[str, object]

    model_config = {
        "json_schema_extra": {
            "example": {
                "code": "STREAM_NOT_FOUND",
                "message": "Stream not found: d4633bc5",
                "details": {"stream_id": "d4633bc5"},
            }
        }
    }


def error_replies(descriptions: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route or router: what each error status means there."""
    return {
        status: {"model": ErrorReply, "description": description}
        for status, description in descriptions.items()
    }


def status_of(error: WatchpostError) -> HTTPStatus:
    """The status of the error's class, or of its nearest base class that has one."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def language_for(connection: HTTPConnection) -> Language:
    """The language of a call's texts: the caller's, or that of the contract, or English."""
    return language_of(connection.headers.get("accept-language"), default_of(connection.url.path))


def reply_body(error: WatchpostError, language: Language) -> ErrorReply:
    """An error as replies have it."""
    return ErrorReply(
        code=error.code,
        message=scrub(describe(error, language)),
        details={name: _scrubbed(value) for name, value in error.details.items()},
    )


def reply(error: WatchpostError, language: Language) -> JSONResponse:
    """The reply for an error."""
    body = reply_body(error, language)
    return JSONResponse(body.model_dump(mode="json"), status_of(error), _headers(error))


def _scrubbed(value: object) -> object:
    """A detail without credentials: its texts may repeat a URL that the caller sent."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {key: _scrubbed(one) for key, one in value.items()}
    return [_scrubbed(one) for one in value] if isinstance(value, list | tuple) else value


def _headers(error: WatchpostError) -> dict[str, str]:
    """Headers that HTTP requires with the status (RFC 9110, 11.6.1 and 14.4)."""
    if isinstance(error, errors.Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.TooManyAttempts | errors.TooManyUploads | errors.ClipNotReady):
        return {"Retry-After": str(error.details["retry_after_s"])}
    if isinstance(error, errors.DetectorLate):
        return {"Retry-After": str(LATE_RETRY_S)}
    if isinstance(error, errors.BadRange):
        return {"Content-Range": f"bytes */{error.details['bytes']}"}
    return {}


def install(app: FastAPI) -> None:
    """Give every error of the app the same form; FastAPI's own 422 becomes a 400."""

    app.openapi = lambda: _without_422(FastAPI.openapi(app))  # type: ignore[method-assign]

    @app.exception_handler(WatchpostError)
    async def expected(request: Request, error: WatchpostError) -> JSONResponse:
        if isinstance(error, errors.DetectorError):
            logger.warning("%s %s: %s", request.method, request.url.path, error)
        return reply(error, language_for(request))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return reply(_first_problem(error), language_for(request))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        language = language_for(request)
        if error.status_code == HTTPStatus.NOT_FOUND:
            return reply(errors.NotFound(path=scrub(request.url.path)), language)
        return _http_error(error, request.url.path, language)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.error("%s %s: %s", request.method, request.url.path, type(error).__name__)
        return reply(WatchpostError(), language_for(request))


def method_not_allowed(path: str, allowed: Iterable[str], language: Language) -> JSONResponse:
    """The reply to a method that a path does not have."""
    error = HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(allowed)})
    return _http_error(error, path, language)


def _http_error(error: HTTPException, path: str, language: Language) -> JSONResponse:
    code = HTTPStatus(error.status_code).name
    message = LOCALES[language].errors.get(code, str(error.detail))
    body = ErrorReply(code=code, message=message, details={"path": scrub(path)})
    return JSONResponse(body.model_dump(), error.status_code, error.headers)


def _without_422(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without FastAPI's reply to invalid input, which ours replaces."""
    for calls in schema["paths"].values():
        for call in calls.values():
            call["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    return schema


def _first_problem(error: RequestValidationError) -> errors.InvalidRequest:
    """All problems in the details, the first in the message; rejected values in neither."""
    if isinstance(error.body, bytes):  # FastAPI parses a body as JSON only if its type says so
        return errors.InvalidRequest(field="body", reason=NOT_JSON)
    problems = [
        {"field": _field(problem["loc"]), "reason": in_words(problem["msg"])}
        for problem in error.errors()
    ]
    return errors.InvalidRequest(**problems[0], errors=problems)


def _field(location: tuple[int | str, ...]) -> str:
    """``("body", "max_fps")`` as ``max_fps``; the body itself as ``body``."""
    named = [str(part) for part in location[1:] if not isinstance(part, int)]
    return scrub(".".join(named))[:MAX_FIELD] or str(location[0])
