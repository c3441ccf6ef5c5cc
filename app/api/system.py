"""The server itself: liveness, readiness, metrics and version."""

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
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """The server can do all of its work."""

    status: str = "ready"


class Version(BaseModel):
    """Version, licence and source; the AGPL requires that users of a server can get its source."""

    name: str = "watchpost"
    version: str = __version__
    license: str = "AGPL-3.0-or-later"
    source: str = SOURCE_URL


@router.get("/healthz", summary="Liveness: does the process answer?")
async def health() -> Health:
    """Open to everybody, and without any data: for load balancers and containers."""
    return Health()


@router.get(
    "/readyz",
    summary="Readiness: can the server work?",
    responses={503: {"model": ErrorReply, "description": "What is missing"}},
)
async def readiness(health: HealthDep) -> Readiness:
    """Checks database, networks and disk. `details.missing` of the error lists what fails."""
    if missing := await health.issues():
        listed = [issue._asdict() for issue in missing]
        reason = "; ".join(f"{issue.what}: {issue.reason}" for issue in missing)
        raise NotReady(reason=reason, missing=listed)
    return Readiness()


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
async def metrics(request: Request, health: HealthDep) -> Response:
    """In Prometheus' text format, or OpenMetrics if the request accepts it.

    From another machine Prometheus needs the token: `authorization: {credentials_file: …}` in its
    scrape configuration; see `deploy/`.
    """
    encode, content_type = _format(request.headers.get("accept", ""))
    scrape = _Scrape(health.registry, await health.read())
    body = await asyncio.to_thread(encode, scrape)
    return Response(body, media_type=content_type)


@router.get("/api/version", summary="Version, licence and source")
async def version() -> Version:
    """Of the running server."""
    return Version()


def _format(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """The encoder for an ``Accept`` header, and its content type."""
    if "application/openmetrics-text" in accept:
        return openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest, CONTENT_TYPE_PLAIN_0_0_4


class _Scrape(Collector):
    """All metrics of this server: its registry, and the values read for this scrape."""

    def __init__(self, registry: CollectorRegistry, snapshot: MetricsSnapshot) -> None:
        self._registry = registry
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        yield from self._snapshot.collect()
