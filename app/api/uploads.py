"""Multipart uploads, with a size limit that applies while they arrive."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.errors import BadUpload, UploadTooLarge
from app.failure_reason import PARSER_ERRORS

FIELD = "file"
WRAPPING = 64 * 1024
"""Bytes that a part's headers and boundaries may add to its file."""
FILE = {"type": "string", "format": "binary"}


def _form(field: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description of a form with one field; the route parses the request itself."""
    schema = {"type": "object", "required": [FIELD], "properties": {FIELD: field}}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


BODY = _form(FILE)
MANY = _form({"type": "array", "items": FILE})


class Upload(NamedTuple):
    """An uploaded file."""

    name: str
    data: bytes


async def read_uploads(request: Request, *, max_bytes: int, max_files: int = 1) -> list[Upload]:
    """The files of the field ``file``; a single one may still be larger than ``max_bytes``.

    Raises:
        BadUpload: no multipart form, or no file in it.
        UploadTooLarge: the files together are larger than ``max_files`` times ``max_bytes``.
    """
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data") or "boundary=" not in kind.lower():
        raise BadUpload(reason="send it as multipart/form-data, in the field `file`")
    body = _limited(request, (max_bytes + WRAPPING) * max_files, max_bytes)
    # A few parts above the limit, so that too many files are told from a broken form.
    parser = MultiPartParser(request.headers, body, max_files=max_files + 8, max_fields=64)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadUpload(reason=f"the form is broken: {error.message}") from None
    except PARSER_ERRORS:
        raise BadUpload(reason="the form is broken") from None
    try:
        files = [part for part in form.getlist(FIELD) if isinstance(part, UploadFile)]
        if not files:
            raise BadUpload(reason="the field `file` contains no file")
        if len(files) > max_files:
            raise BadUpload(reason=f"the field `file` contains more than {max_files} files")
        return [Upload(_name(file), await file.read()) for file in files]
    finally:
        await form.close()


def _name(file: UploadFile) -> str:
    """The name of the file, without characters that cannot be encoded."""
    return (file.filename or "image").encode("utf-8", "replace").decode()


async def _limited(request: Request, most: int, max_bytes: int) -> AsyncGenerator[bytes]:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise UploadTooLarge(limit=megabytes(max_bytes))
    arrived = 0
    async for chunk in request.stream():
        arrived += len(chunk)
        if arrived > most:
            raise UploadTooLarge(limit=megabytes(max_bytes))
        yield chunk


def megabytes(size: int) -> str:
    return f"{size / 2**20:g} MB"
