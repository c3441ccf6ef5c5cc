"""The composition root: starts the parts of Watchpost and stops them again.

``open_runtime`` starts everything that a server runs. Its building blocks are the context managers
of ``app.startup``; the Python API (``app.cameras``) uses some of them. Each part is entered on an
``AsyncExitStack`` as soon as it exists: a start that fails undoes the earlier steps in reverse
order, exactly as an orderly end does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.access.audit import AuditLog
from app.access.opening import open_access, open_audit
from app.access.service import AccessService
from app.access.throttle import Throttle
from app.config import Settings
from app.data_folder import locked, make_folder
from app.db.backup import DatabaseBackup
from app.db.footage import FootageRepository
from app.db.node_files import NodeFileRepository
from app.db.stream_sessions import StreamSessionRepository
from app.db.streams import StreamRepository
from app.db.vault import open_vault
from app.models.batching import BatchingRunner
from app.pipeline.demo import start_demo
from app.pipeline.directory import StreamDirectory
from app.pipeline.event_log import EventLog
from app.pipeline.manager import StreamManager
from app.pipeline.push import PushStreams
from app.pipeline.registry import NullStreamStore
from app.pipeline.sources.hardware import available_decoders
from app.process import background, on_exit_signal, worker_threads
from app.recording.elsewhere import RecordersElsewhere
from app.recording.footage_opening import FootageParts, open_footage
from app.recording.job_manager import JobManager
from app.recording.retention import DiskSpace
from app.startup.cluster import open_cluster
from app.startup.daily_counts import open_daily_counts
from app.startup.database import open_engine
from app.startup.events import SNAPSHOTS, Events, open_events
from app.startup.jobs import Jobs, open_jobs
from app.startup.manager import open_manager
from app.startup.networks import open_networks
from app.startup.notify import Notify, open_notify
from app.startup.plates import Plates, open_plates, record_plates
from app.startup.privacy import Privacy, open_privacy

RESUME_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class Runtime:
    """The running parts of a server.

    Attributes:
        manager: what runs streams in this process.
        streams: all streams: those of the manager, or of a cluster.
        networks: runners by purpose; None for a network that is not installed.
    """

    manager: StreamManager
    streams: StreamDirectory
    push_streams: PushStreams
    events: Events
    jobs: Jobs
    plates: Plates
    networks: Mapping[str, BatchingRunner | None]
    access: AccessService
    audit: AuditLog
    privacy: Privacy
    footage: FootageParts
    notify: Notify
    database: DatabaseBackup


@asynccontextmanager
async def open_runtime(
    settings: Settings, throttle: Throttle | None = None
) -> AsyncIterator[Runtime]:
    """Start everything that a server runs; on leaving, or if a step fails, stop it again.

    Args:
        throttle: slows guessing down; shared with the check of the server's token.

    Raises:
        SetupError: the data folder or the database cannot be used.
        DataFolderLocked: another process uses the data folder.
    """
    async with AsyncExitStack() as stack:
        threads = stack.enter_context(worker_threads())
        stack.enter_context(locked(settings.data_dir))
        secret = settings.secret_key.get_secret_value() if settings.secret_key else None
        vault = open_vault(settings.data_dir, secret)
        engine = await stack.enter_async_context(
            open_engine(settings.resolved_database_url(), vault, settings.recordings_dir())
        )
        stack.push_async_callback(threads.finish_calls)  # queries of tasks that were cancelled
        access = stack.enter_context(
            open_access(engine, vault, throttle or Throttle(), settings.oidc)
        )
        audit = await stack.enter_async_context(open_audit(settings, engine, vault))
        networks = await stack.enter_async_context(
            open_networks(settings, settings.device, settings.data_dir)
        )
        streams = StreamRepository(engine, vault)
        clips = FootageRepository(engine, settings.footage_dir())
        written = asyncio.Event()
        events = await stack.enter_async_context(
            open_events(engine, settings.data_dir / SNAPSHOTS, clips=clips, on_written=written.set)
        )
        plates = await stack.enter_async_context(
            open_plates(settings, engine, networks.objects, events.log)
        )
        space = DiskSpace(settings.recordings_dir(), settings.space)
        make_folder(settings.recordings_dir())  # whose disk is watched
        footage = await stack.enter_async_context(
            open_footage(
                settings.footage_dir(),
                settings.recording,
                clips,
                events.log,
                space,
                streams.keep_days,
            )
        )
        await stack.enter_async_context(record_plates(events.log, plates.service))
        daily_counts = await stack.enter_async_context(open_daily_counts(engine))
        manager = await stack.enter_async_context(
            open_manager(
                settings,
                networks,
                NullStreamStore() if settings.cluster.address is not None else streams,
                events.log,
                engine,
                plates.read_queue,
                daily_counts,
                footage.service.new_packets,
            )
        )
        push_streams = PushStreams(manager, settings.push)
        stack.push_async_callback(push_streams.close)
        directory: StreamDirectory = manager
        recorders: RecordersElsewhere | None = None
        if settings.cluster.address is not None:
            cluster = await stack.enter_async_context(
                open_cluster(
                    settings,
                    manager,
                    streams,
                    events.log,
                    NodeFileRepository(engine),
                    StreamSessionRepository(engine).next_today,
                    daily_counts,
                    streams.keep_days,
                    plates.watchlist.entries,
                )
            )
            directory, recorders = cluster, cluster.jobs
            plates.service.elsewhere = cluster.photos
        events.repository.read_on_node = directory.files.read_picture
        events.repository.has_pending_clip = lambda event_id: (
            footage.service.clips.is_pending(event_id)
            or directory.files.clip_ready_ts(event_id) is not None
        )
        jobs = await stack.enter_async_context(
            open_jobs(
                settings,
                manager,
                engine,
                vault,
                events.pruner,
                plates.repository,
                space,
                recorders,
            )
        )
        notify = await stack.enter_async_context(
            open_notify(settings, directory, engine, vault, events.repository, written)
        )
        await stack.enter_async_context(
            background(_resume(manager, jobs.manager, demo=settings.demo), "resume")
        )
        stack.enter_context(on_exit_signal(lambda: _begin_shutdown(manager, events.log)))
        yield Runtime(
            manager,
            directory,
            push_streams,
            events,
            jobs,
            plates,
            {
                "faces": networks.face_runner,
                "objects": networks.objects.runner if networks.objects is not None else None,
                **plates.networks.runners,
            },
            access,
            audit,
            open_privacy(engine, vault),
            footage,
            notify,
            DatabaseBackup(engine),
        )


async def _resume(manager: StreamManager, jobs: JobManager, *, demo: bool) -> None:
    """Resume streams and jobs once the server answers.

    The pause lets a server whose port is taken exit before a stream is started.
    """
    await asyncio.sleep(RESUME_AFTER_S)
    await asyncio.to_thread(available_decoders)  # tried before a camera waits for them
    await manager.resume()
    if demo:
        start_demo(manager)
    await jobs.resume()


def _begin_shutdown(manager: StreamManager, log: EventLog) -> None:
    manager.begin_shutdown()
    log.close_clients()
