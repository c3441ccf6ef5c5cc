"""Opens the front of a cluster. Ray is imported here, and only if a cluster is asked for."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from app.analytics.objects.daily_counts import DailyCounts
from app.anpr.photos import PhotosElsewhere
from app.config import Settings
from app.db.leases import absolute, open_leases
from app.db.node_files import NodeFileRepository
from app.errors import SetupError
from app.footage import KeepDays
from app.pipeline.directory import StreamDirectory
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.registry import StreamStore
from app.plates import WatchEntry
from app.process import background
from app.recording.elsewhere import RecordersElsewhere
from app.startup.node import open_node

if TYPE_CHECKING:
    from app.cluster.node import OpenNode

NO_RAY = (
    "--cluster and more than one of --workers need Ray, which is not installed: "
    "pip install 'watchpost[cluster]'"
)


def namespace(database_url: str) -> str:
    """The name of an installation in the cluster: the same for each front with its database."""
    parts = urlsplit(database_url)
    host = parts.netloc.rpartition("@")[2] or socket.gethostname()  # SQLite: a file of this machine
    place = f"{host} {parts.path}"
    return f"watchpost-{hashlib.sha256(place.encode()).hexdigest()[:12]}"


class ClusterDirectory(StreamDirectory, Protocol):
    """The streams of a cluster, and what its nodes do for jobs and uploads."""

    @property
    def jobs(self) -> RecordersElsewhere:
        """What nodes record for jobs."""
        ...

    @property
    def photos(self) -> PhotosElsewhere:
        """What reads uploads on nodes."""
        ...


@asynccontextmanager
async def open_cluster(
    settings: Settings,
    own: StreamManager,
    store: StreamStore,
    log: EventLog,
    rows: NodeFileRepository,
    new_session: Callable[[], str],
    daily_counts: DailyCounts,
    keep_days: Callable[[], Mapping[str, KeepDays]] = dict,
    watched: Callable[[], Sequence[WatchEntry]] = list,
    opening: OpenNode | None = None,
) -> AsyncIterator[ClusterDirectory]:
    """Connect to the cluster of the settings, as its only front; on leaving, its streams go on.

    Args:
        own: the manager of what runs in this process.
        store: the rows of the cluster's streams.
        rows: of what its nodes have stored.
        new_session: the next number of a run; blocks, and raises StoreError.
        daily_counts: what streams have counted since midnight; what changes there is stored.
        keep_days: how long the films of streams are kept that have limits of their own; blocks.
        watched: the watch-list of number plates; blocks.
        opening: opens what runs on a node; by default ``open_node``.

    Raises:
        SetupError: Ray is not installed, there is no such cluster, or another front runs.
    """
    try:
        from app.cluster.front_role import FrontRole
        from app.cluster.lease_keeper import LeaseKeeper
        from app.cluster.ray_cluster import RayCluster
        from app.cluster.stream_shares import StreamShares
        from app.cluster.streams import ClusterStreams
    except ImportError:
        raise SetupError(reason=NO_RAY) from None
    opening = opening or functools.partial(
        open_node,
        settings.streams,
        settings.faces,
        settings.objects,
        settings.recording,
        settings.plates,
    )
    url, lease_s = settings.resolved_database_url(), settings.cluster.lease_s
    cluster = RayCluster(settings.cluster, namespace(url), opening, open_leases)
    keeper = LeaseKeeper(socket.gethostname(), lease_s, functools.partial(open_leases, url))
    role = FrontRole(keeper, absolute(url), lease_s)
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(role.open)
        stack.push_async_callback(asyncio.to_thread, role.close)
        await asyncio.to_thread(cluster.connect)
        stack.push_async_callback(asyncio.to_thread, cluster.close)
        shares = StreamShares(settings.cluster, settings.device, settings.objects.max_fps)
        streams = ClusterStreams(
            cluster,
            role,
            own,
            store,
            log,
            settings.streams,
            rows,
            keep_days,
            watched,
            shares,
            new_session,
            daily_counts,
        )
        stack.callback(streams.rounds.close)
        await stack.enter_async_context(background(streams.rounds.run(), "cluster"))
        yield streams
