"""Which sources a job records, and how each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app import urls
from app.errors import InvalidRequest, RequestError
from app.jobs import JobSpec, Part
from app.pipeline.registry import ALIVE
from app.pipeline.sources.named import source_url
from app.recording.captures import OWN_IDS
from app.types import StreamStatus

BY_ITSELF = "a running stream is recorded as it shows itself"
FOR_URLS = "is for URLs and files"
NOT_COPIED = "only RTSP URLs and files can be copied as they are"
NO_STREAM = "no stream or camera has this id (GET /cameras lists them)"
COPIED = (*urls.RTSP, "file")


def plan_parts(
    spec: JobSpec, streams: Sequence[StreamStatus], folders: Sequence[Path]
) -> list[Part]:
    """The sources of a spec, or all running streams.

    Args:
        streams: all that there are.
        folders: where files may be read.

    Raises:
        InvalidRequest: names every source that cannot be used.
    """
    if not spec.sources:
        if spec.rotate:
            raise InvalidRequest(field="rotate", reason=f"{BY_ITSELF}; rotate {FOR_URLS}")
        running = [status for status in streams if status.state in ALIVE]
        ids = [status.spec.stream_id for status in running]
        return [Part("stream", one, one) for one in ids if not one.startswith(OWN_IDS)]
    parts: list[Part] = []
    problems: list[dict[str, str]] = []
    for number, source in enumerate(spec.sources):
        try:
            part = _part(source, spec, streams, folders)
            parts += [] if part in parts else [part]
        except RequestError as error:
            reason = str(error.details.get("reason", error))
            problems.append({"field": f"sources.{number}", "reason": reason})
    if problems:
        raise InvalidRequest(**problems[0], errors=problems)
    return parts


def _part(
    source: str, spec: JobSpec, streams: Sequence[StreamStatus], folders: Sequence[Path]
) -> Part:
    known = any(status.spec.stream_id == source for status in streams)
    if known:
        if not spec.blur:
            raise InvalidRequest(field="blur", reason=f"{BY_ITSELF}; blur: false {FOR_URLS}")
        if spec.rotate:
            raise InvalidRequest(field="rotate", reason=f"{BY_ITSELF}; rotate {FOR_URLS}")
        return Part("stream", source, source)
    try:
        url = source_url(source, folders)
    except InvalidRequest as error:
        if "://" in source:
            raise
        reason = f"{NO_STREAM}, and as a file: {error.details['reason']}"
        raise InvalidRequest(field="source", reason=reason) from None
    if not spec.blur and urls.scheme_of(url) not in COPIED:
        raise InvalidRequest(field="blur", reason=NOT_COPIED)
    return Part("open" if spec.blur else "copy", url, urls.without_credentials(url))
