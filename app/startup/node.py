"""Opens what runs the streams of one node of a cluster."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.analytics.analyzer import AnalyzerFactory
from app.analytics.rules import read_rule_settings
from app.analytics.rules.objects import HELPER as DAILY_COUNTS
from app.anpr.photos import PhotoReader
from app.anpr.read_queue import PlateReadQueue
from app.config import (
    FaceSettings,
    ObjectSettings,
    PlateSettings,
    RecordingSettings,
    Settings,
    StreamSettings,
    usable_cpus,
)
from app.data_folder import locked
from app.db.snapshots import SnapshotFolder
from app.errors import DataFolderLocked, SetupError
from app.footage import RECORDINGS
from app.models.plates.networks import load_plates
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.registry import NullStreamStore
from app.pipeline.sinks import Output
from app.process import worker_threads
from app.startup.networks import CACHE, open_networks

if TYPE_CHECKING:
    from app.cluster.node import NodeParts

NAME_FILE = "name"
MAX_HOST = 60


@asynccontextmanager
async def open_node(
    streams: StreamSettings,
    faces: FaceSettings,
    objects: ObjectSettings,
    recording: RecordingSettings,
    plates: PlateSettings,
    make_output: Output,
) -> AsyncIterator[NodeParts]:
    """Open the networks of this machine, what it stores, and a manager of streams without rows.

    The device, the data folder and the limits on disk space are those of this machine's own
    settings.

    Args:
        make_output: creates the outputs of streams.
    """
    from app.cluster.node import NodeParts
    from app.cluster.node_costs import FILE as COSTS
    from app.cluster.node_costs import NodeCosts
    from app.cluster.node_counts import NodeCounts
    from app.cluster.node_files import open_files
    from app.cluster.node_jobs import NodeJobs
    from app.cluster.node_store import NodeWatchlist

    settings = Settings().model_copy(
        update={"streams": streams, "faces": faces, "objects": objects}
    )
    async with AsyncExitStack() as stack:
        stack.enter_context(worker_threads())
        folder = _own_folder(stack, settings.data_dir)
        networks = await stack.enter_async_context(
            open_networks(settings, settings.device, settings.data_dir)
        )
        log = EventLog(asyncio.get_running_loop())
        files = await stack.enter_async_context(
            open_files(folder, _name(folder), SnapshotFolder, log, recording, settings.space)
        )
        stack.callback(log.close)
        plate_networks = await asyncio.to_thread(
            load_plates, settings.device, settings.data_dir / CACHE
        )
        stack.push_async_callback(asyncio.to_thread, plate_networks.close)
        watchlist = NodeWatchlist()
        reader = plate_networks.reader(networks.objects, plates.countries)
        read_queue = PlateReadQueue(reader, watchlist)
        stack.push_async_callback(asyncio.to_thread, read_queue.close)
        counts = NodeCounts()
        analyzers = AnalyzerFactory(
            objects,
            read_rule_settings(),
            networks.objects,
            {"plates": read_queue, DAILY_COUNTS: counts.daily},
        )
        manager = StreamManager(
            streams,
            faces,
            networks.faces,
            NullStreamStore(),
            analyzers,
            log,
            new_packets=files.service.new_packets,
            make_output=make_output,
        )
        stack.push_async_callback(manager.close)
        runners = {
            "faces": networks.face_runner,
            "objects": None if networks.objects is None else networks.objects.runner,
            **plate_networks.runners,
        }
        costs = NodeCosts(settings, settings.data_dir / COSTS)
        jobs = NodeJobs(manager, files, streams, folder / RECORDINGS)
        stack.push_async_callback(jobs.close)
        photos = PhotoReader(reader, plates.max_pixels, usable_cpus())
        yield NodeParts(manager, log, files, runners, watchlist, jobs, costs, counts, photos)


def _own_folder(stack: AsyncExitStack, data_dir: Path) -> Path:
    """A folder for what this node stores: the first one that no other process uses.

    One machine may have several nodes, and the front's files are in the same data folder.
    Raises SetupError.
    """
    number = 1
    while True:
        folder = data_dir / f"node-{number}"
        try:
            stack.enter_context(locked(folder))
        except DataFolderLocked:
            number += 1
            continue
        return folder


def _name(folder: Path) -> str:
    """The name of what is stored in a folder, made at its first use. Raises SetupError."""
    path = folder / NAME_FILE
    try:
        if not path.exists():
            host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:MAX_HOST] or "node"
            part = path.with_suffix(".part")
            part.write_text(f"{host}-{secrets.token_hex(4)}", encoding="utf-8")
            part.replace(path)
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SetupError(reason=f"Data folder {folder}: {error.strerror}") from None
