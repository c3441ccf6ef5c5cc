"""What can go wrong, as one tree.

    WatchpostError                    something unexpected happened inside the server
    ├── RequestError                  the caller asked for something that cannot be done as asked
    │   ├── InvalidRequest            a field is missing, unknown or has the wrong value
    │   ├── InvalidUrl                not a URL that this API accepts
    │   ├── AddressNotAllowed         the URL leads to an address that nobody may stream from
    │   ├── BadFrame                  a pushed frame that cannot be used
    │   ├── BadUpload                 an uploaded image that is damaged, empty or missing
    │   │   ├── UploadTooLarge        more bytes or pixels than are taken
    │   │   └── NotAnImage            a file of another kind
    │   ├── BadRange                  a part of a file that is not in it
    │   ├── OutputIsInput             a stream would read what it writes
    │   ├── UnusableSource            it can be read, but is nothing that can be watched
    │   └── UpgradeRequired           plain HTTP where a WebSocket is spoken
    ├── Unauthorized                  no token, or a call that a foreign web page made
    ├── NotFound                      nothing has this address
    │   ├── StreamNotFound            no stream has this id
    │   ├── EventNotFound             no event has this number
    │   ├── NoSnapshot                an event without a snapshot
    │   │   └── SnapshotRemoved       the snapshot of this event was removed
    │   ├── JobNotFound               no collection job has this id
    │   ├── FileNotFound              not a file of this job, or it was removed to make room
    │   ├── ScheduleNotFound          no schedule has this id
    │   ├── PlateNotFound             no plate has this id, or it was deleted
    │   ├── SessionNotFound           no upload and no passage has this id
    │   ├── WatchNotFound             no entry of the watch-list has this id
    │   └── ImageGone                 erased, or cleared away by age
    ├── Conflict                      the request does not fit what is there already
    │   ├── NotPushable               frames for a stream that has a source of its own
    │   ├── CameraExists              the id is taken
    │   ├── NotACamera                the stream was started through another API
    │   ├── StreamConflict            the id runs already, with another configuration
    │   └── OutputInUse               another stream publishes there
    ├── FarEndError                   a camera or server at the other end of the network
    │   ├── SourceError               the input was refused or lost, or cannot be decoded
    │   └── SinkError                 the output was refused or was lost
    ├── Unavailable                   nobody's fault, and not now
    │   ├── StartTimeout              no frame came out in time
    │   ├── StartCancelled            stopped while a caller still waited for the start
    │   ├── TooManyStreams            the limit on pushed streams is reached
    │   ├── TooManyJobs               the limit on collection jobs is reached
    │   ├── NoAnalytics               the network for persons and objects is not there
    │   ├── NoPicture                 there is no (fresh, blurred) frame to show
    │   ├── StoreError                the database did not take or give a row
    │   ├── NotReady                  something that the server needs is not there
    │   └── ShuttingDown              the server is about to end
    ├── CameraFailed                  a camera of the Python API cannot run as asked
    ├── DetectorError                 a network failed or was too late; the frame is withheld
    └── SetupError                    the server itself cannot start like this
        ├── DataFolderLocked          another server works in the same data folder
        └── SecretUnreadable          stored credentials and the key file do not belong together

Every class has a stable ``code``; the words for it in other languages live in
``app/api/locales/``. Nothing here knows HTTP, and no message holds a password:
who raises passes URLs through ``app.urls.without_credentials`` first.
"""

from collections.abc import Mapping
from typing import ClassVar

from app.failure_reason import WORDS


class WatchpostError(Exception):
    """Base of all expected errors.

    Args:
        details: what a caller needs to act, as JSON-ready values; the message template
            is filled from the same names.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    template: ClassVar[str] = "Something failed inside the server."

    words: ClassVar[Mapping[str, str]] = {}
    """Texts for people, by the ``reason`` that programs compare."""

    def __init__(self, **details: object) -> None:
        self.details = details
        meant = self.words.get(str(details.get("reason")))
        filled = details if meant is None else {**details, "reason": self.fill(meant, details)}
        super().__init__(self.fill(self.template, filled))

    @staticmethod
    def fill(template: str, details: dict[str, object]) -> str:
        """Put details into a template; a placeholder without its detail stays visible."""
        return template.format_map(_Visible(details))


class _Visible(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"


class RequestError(WatchpostError):
    code = "BAD_REQUEST"
    template = "The request cannot be understood."


class InvalidRequest(RequestError):
    code = "INVALID_REQUEST"
    template = "{field}: {reason}"


class InvalidUrl(RequestError):
    code = "INVALID_RTSP_URL"
    template = "Not a usable RTSP URL ({reason}). Expected rtsp://host:port/path."


class AddressNotAllowed(RequestError):
    code = "ADDRESS_NOT_ALLOWED"
    template = "{host} resolves to {address}, an address that streams may not use."


class BadFrame(RequestError):
    words = WORDS
    code = "BAD_FRAME"
    template = "The frame cannot be used: {reason}."


class BadUpload(RequestError):
    code = "BAD_UPLOAD"
    template = "The upload cannot be used: {reason}."


class UploadTooLarge(BadUpload):
    code = "UPLOAD_TOO_LARGE"
    template = "The upload is too large; the limit is {limit}."


class NotAnImage(BadUpload):
    code = "NOT_AN_IMAGE"
    template = "Unsupported image type. Use JPEG, PNG, WebP or BMP."


class BadRange(RequestError):
    code = "BAD_RANGE"
    template = "The file has {bytes} bytes; request a part of it, such as Range: bytes=0-99."


class OutputIsInput(RequestError):
    code = "OUTPUT_IS_INPUT"
    template = "The stream would publish to the URL that it reads: {output_url}"


class UnusableSource(RequestError):
    words = WORDS
    code = "UNUSABLE_SOURCE"
    template = "The source cannot be used: {reason} ({url})"


class UpgradeRequired(RequestError):
    code = "UPGRADE_REQUIRED"
    template = "This address is a WebSocket: connect to it with ws:// or wss://; /docs shows how."


class Unauthorized(WatchpostError):
    code = "UNAUTHORIZED"
    template = "{reason}"


class NotFound(WatchpostError):
    code = "NOT_FOUND"
    template = "Not found: {path}"


class StreamNotFound(NotFound):
    code = "STREAM_NOT_FOUND"
    template = "Stream not found: {stream_id}"


class EventNotFound(NotFound):
    code = "EVENT_NOT_FOUND"
    template = "Event not found: {event_id}"


class NoSnapshot(NotFound):
    code = "NO_SNAPSHOT"
    template = "Event {event_id} has no picture."


class SnapshotRemoved(NoSnapshot):
    code = "SNAPSHOT_REMOVED"
    template = "The picture of event {event_id} was removed."


class JobNotFound(NotFound):
    code = "JOB_NOT_FOUND"
    template = "There is no collection job {job_id}."


class FileNotFound(NotFound):
    code = "FILE_NOT_FOUND"
    template = "Job {job_id} has no file {file_id}, or it was removed to make room."


class ScheduleNotFound(NotFound):
    code = "SCHEDULE_NOT_FOUND"
    template = "There is no schedule {schedule_id}."


class PlateNotFound(NotFound):
    code = "PLATE_NOT_FOUND"
    template = "Plate not found: {plate_id}"


class SessionNotFound(NotFound):
    code = "SESSION_NOT_FOUND"
    template = "Session not found: {session_id}"


class WatchNotFound(NotFound):
    code = "WATCH_NOT_FOUND"
    template = "Watchlist entry not found: {watch_id}"


class ImageGone(NotFound):
    code = "IMAGE_NOT_FOUND"
    template = "This image is no longer kept."


class Conflict(WatchpostError):
    code = "CONFLICT"
    template = "This conflicts with the current state."


class StreamConflict(Conflict):
    code = "STREAM_ALREADY_RUNNING"
    template = (
        "Stream {stream_id} runs with another configuration. "
        "Stop it first, then start it with the new one."
    )


class CameraExists(Conflict):
    code = "CAMERA_EXISTS"
    template = "There is already a camera {camera_id}. Change it with PATCH, or use another id."


class NotACamera(Conflict):
    code = "NOT_A_CAMERA"
    template = "{camera_id} is not a camera. It was started through another API; stop it there."


class NotPushable(Conflict):
    code = "NOT_PUSHABLE"
    template = (
        "Stream {stream_id} does not accept pushed frames. "
        "Request a stream with POST /stream/request."
    )


class OutputInUse(Conflict):
    code = "OUTPUT_IN_USE"
    template = "Stream {used_by} already publishes to {output_url}."


class FarEndError(WatchpostError):
    """Something at the other end. ``reason`` is one of the words in ``app.failure_reason``."""

    words = WORDS
    code = "FAR_END_FAILED"
    template = "{end} failed: {reason}"


class SourceError(FarEndError):
    code = "INPUT_FAILED"
    template = "The input failed: {reason} ({url})"


class SinkError(FarEndError):
    code = "OUTPUT_FAILED"
    template = "The output failed: {reason} ({url})"


class Unavailable(WatchpostError):
    code = "UNAVAILABLE"
    template = "Not available now."


class StartTimeout(Unavailable):
    code = "START_TIMEOUT"
    template = "Stream {stream_id} did not reach RUNNING within {timeout_s} s."


class StartCancelled(Unavailable):
    code = "START_CANCELLED"
    template = "Stream {stream_id} was stopped before it ran."


class TooManyStreams(Unavailable):
    code = "TOO_MANY_STREAMS"
    template = "{count} pushed streams are already open. End one, or raise the limit."


class TooManyJobs(Unavailable):
    code = "TOO_MANY_JOBS"
    template = (
        "{count} collection jobs are already running. Wait for one, cancel one, or raise the limit."
    )


class NoAnalytics(Unavailable):
    code = "NO_ANALYTICS"
    template = "Analytics are not available: this server has no model for them."


class NoPicture(Unavailable):
    code = "NO_PICTURE"
    template = "Stream {stream_id} has no frame to show; its state is {status}."


class StoreError(Unavailable):
    code = "STORE_FAILED"
    template = "The database failed: {reason}"


class NotReady(Unavailable):
    code = "NOT_READY"
    template = "The server cannot do all of its work now. {reason}"


class ShuttingDown(Unavailable):
    code = "SHUTTING_DOWN"
    template = "The server is shutting down."


class CameraFailed(WatchpostError):
    code = "CAMERA_FAILED"
    template = "Camera {camera_id}: {reason}"


class DetectorError(WatchpostError):
    code = "DETECTOR_FAILED"
    template = "{network} failed: {reason}"


class SetupError(WatchpostError):
    code = "SETUP_FAILED"
    template = "{reason}"


class DataFolderLocked(SetupError):
    code = "DATA_FOLDER_LOCKED"
    template = (
        "The data folder {folder} is in use by another Watchpost (process {pid}). "
        "Stop it, or give this one its own folder with --data-dir."
    )


class SecretUnreadable(SetupError):
    code = "SECRET_UNREADABLE"
    template = (
        "The stored credentials cannot be read with this key. Put the old key file back "
        "({key_file}), or start the stream again with its full URL."
    )


def in_words(problem: str) -> str:
    """What pydantic says of a value, without what it calls that: ``Value error, give a list``."""
    return problem.removeprefix("Value error, ")
