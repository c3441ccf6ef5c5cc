"""What the lifespan hands to requests as ``request.state``; ``deps.py`` reads it by key."""

from __future__ import annotations

from typing import TypedDict

from app.access.audit import AuditLog
from app.access.service import AccessService
from app.api.camera_setup import CameraSetup
from app.api.deps import PlateServices
from app.api.doctor import DoctorService
from app.api.erasure import Eraser
from app.api.health import HealthService
from app.api.notify_deps import NotifyServices
from app.api.system_deps import SystemServices
from app.api.upload_queue import UploadQueue
from app.db.event_counts import EventCounts
from app.db.event_marks import EventMarks
from app.db.events import EventRepository
from app.db.job_log import JobLogRepository
from app.db.jobs import JobRepository
from app.db.kept import KeptRepository
from app.db.recordings import RecordingRepository
from app.db.writer import EventWriter
from app.pipeline.directory import StreamDirectory
from app.pipeline.event_log import EventLog
from app.pipeline.push import PushStreams
from app.recording.footage_export import FootageExporter
from app.recording.footage_frames import FootageFrames
from app.recording.footage_service import FootageService
from app.recording.job_manager import JobManager
from app.recording.retention import DiskSpace
from app.recording.running_jobs import RunningJobs
from app.recording.schedules import Scheduler


class State(TypedDict):
    """The parts of the running server that routes use."""

    access: AccessService
    audit: AuditLog
    eraser: Eraser
    kept: KeptRepository
    manager: StreamDirectory
    camera_setup: CameraSetup
    push_streams: PushStreams
    event_log: EventLog
    event_repository: EventRepository
    event_marks: EventMarks
    event_counts: EventCounts
    event_writer: EventWriter
    job_repository: JobRepository
    job_log_repository: JobLogRepository
    recording_repository: RecordingRepository
    job_manager: JobManager
    running_jobs: RunningJobs
    scheduler: Scheduler
    footage: FootageService
    exporter: FootageExporter
    frames: FootageFrames
    space: DiskSpace
    plates: PlateServices
    notify: NotifyServices
    health: HealthService
    doctor: DoctorService
    uploads: UploadQueue
    system: SystemServices
