"""The server itself: is it there, can it work, how is it, and which one is it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from pydantic import BaseModel

from app import __version__
from app.api.errors import ErrorReply
from app.api.health import HealthDep
from app.api.metrics import MetricsSnapshot
from app.errors import NotReady
from app.metric_types import CollectorRegistry

SOURCE_URL = "https://github.com/watchpost/watchpost"

router = APIRouter(tags=["system"])


class Health(BaseModel):
    status: str = "ok"


class Readiness(BaseModel):
    status: str = "ready"


class Version(BaseModel):
    """The AGPL asks that users of a server can get its source."""

    name: str = "watchpost"
    version: str = __version__
    license: str = "AGPL-3.0-or-later"
    source: str = SOURCE_URL


@router.get("/healthz", summary="Is the process alive")
async def healthz() -> Health:
    return Health()


@router.get(
    "/readyz",
    summary="Can the server work",
    responses={503: {"model": ErrorReply, "description": "What is missing"}},
)
async def readyz(panel: HealthDep) -> Readiness:
    """Database, networks and disk. `details.missing` of the error lists what is not there."""
    if missing := await panel.troubles():
        listed = [trouble._asdict() for trouble in missing]
        reason = "; ".join(f"{trouble.what}: {trouble.reason}" for trouble in missing)
        raise NotReady(reason=reason, missing=listed)
    return Readiness()


@router.get("/metrics", summary="Numbers for Prometheus", response_class=Response)
async def metrics(request: Request, panel: HealthDep) -> Response:
    """In Prometheus' text format, or OpenMetrics where that is asked for.

    From another machine Prometheus needs the token: `authorization: {credentials_file: …}` in its
    scrape configuration; see `deploy/`.
    """
    encode, content_type = _format(request.headers.get("accept", ""))
    scrape = _Scrape(panel.registry, await panel.read())
    body = await asyncio.to_thread(encode, scrape)
    return Response(body, media_type=content_type)


@router.get("/api/version", summary="Version, licence and source")
async def version() -> Version:
    return Version()


def _format(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """How numbers are written down, and what that is called."""
    if "application/openmetrics-text" in accept:
        return openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest, CONTENT_TYPE_PLAIN_0_0_4


class _Scrape(Collector):
    """All metrics of this server: its registry, and what was read for this scrape."""

    def __init__(self, registry: CollectorRegistry, snapshot: MetricsSnapshot) -> None:
        self._registry = registry
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        yield from self._snapshot.collect()
