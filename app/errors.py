"""All expected errors, as one tree of classes with ``WatchpostError`` at its root.

Every class has a stable ``code``; its texts in other languages are in ``app/api/locales/``. Nothing
here depends on HTTP: ``app.api.errors`` maps classes to status codes. No message contains a
password: code that raises passes URLs through ``app.urls.without_credentials`` first. The first
sentence of each class is its meaning in the reference of errors.
"""

from collections.abc import Mapping
from typing import ClassVar

from app.failure_reason import WORDS


class WatchpostError(Exception):
    """Something inside the server failed unexpectedly.

    It is also the base class of all expected errors.

    Args:
        details: what a caller needs to act, as JSON-ready values; they also fill the placeholders
            of the message template.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    template: ClassVar[str] = "Internal server error."

    words: ClassVar[Mapping[str, str]] = {}
    """Texts by ``reason``."""

    def __init__(self, **details: object) -> None:
        self.details = details
        text = self.words.get(str(details.get("reason")))
        filled = details if text is None else {**details, "reason": self.fill(text, details)}
        super().__init__(self.fill(self.template, filled))

    def __reduce__(self) -> tuple[object, ...]:
        """Errors of other processes arrive as they were raised."""
        return _raised_elsewhere, (type(self), self.details)

    @staticmethod
    def fill(template: str, details: dict[str, object]) -> str:
        """Fill a template with details; a placeholder without a detail stays as it is."""
        return template.format_map(_KeepMissing(details))


def _raised_elsewhere(kind: type[WatchpostError], details: dict[str, object]) -> WatchpostError:
    return kind(**details)


class _KeepMissing(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"


class RequestError(WatchpostError):
    """The request cannot be carried out as it is."""

    code = "BAD_REQUEST"
    template = "The request is not valid."


class InvalidRequest(RequestError):
    """A field is missing, unknown or has an invalid value."""

    code = "INVALID_REQUEST"
    template = "{field}: {reason}"


class InvalidUrl(RequestError):
    """The URL is not one that this API accepts."""

    code = "INVALID_RTSP_URL"
    template = "Not a usable RTSP URL ({reason}). Expected rtsp://host:port/path."


class AddressNotAllowed(RequestError):
    """The URL leads to an address that streams may not use."""

    code = "ADDRESS_NOT_ALLOWED"
    template = "{host} resolves to {address}, an address that streams may not use."


class ReceiverNotAllowed(AddressNotAllowed):
    """A target of notifications leads to a local address that is not allowed."""

    code = "RECEIVER_NOT_ALLOWED"
    template = (
        "{host} resolves to {address}, a local address. To allow it, add it or its network to "
        "WATCHPOST_NOTIFY__LOCAL_RECEIVERS."
    )


class BadFrame(RequestError):
    """A pushed frame cannot be used."""

    words = WORDS
    code = "BAD_FRAME"
    template = "The frame cannot be used: {reason}."


class BadUpload(RequestError):
    """An uploaded image is damaged, empty or missing."""

    code = "BAD_UPLOAD"
    template = "The upload cannot be used: {reason}."


class UploadTooLarge(BadUpload):
    """An upload has more bytes or pixels than the limit."""

    code = "UPLOAD_TOO_LARGE"
    template = "The upload is too large; the limit is {limit}."


class NotAnImage(BadUpload):
    """An uploaded file has an unsupported format."""

    code = "NOT_AN_IMAGE"
    template = "Unsupported image type. Use JPEG, PNG, WebP or BMP."


class BadRange(RequestError):
    """The requested range is not in the file."""

    code = "BAD_RANGE"
    template = "The file has {bytes} bytes; request a part of it, such as Range: bytes=0-99."


class OutputIsInput(RequestError):
    """A stream would read its own output."""

    code = "OUTPUT_IS_INPUT"
    template = "The output URL is the input URL: {output_url}"


class UnusableSource(RequestError):
    """The source can be read, but it is not video that a stream can use."""

    words = WORDS
    code = "UNUSABLE_SOURCE"
    template = "The source cannot be used: {reason} ({url})"


class UpgradeRequired(RequestError):
    """A plain HTTP request came to the address of a WebSocket."""

    code = "UPGRADE_REQUIRED"
    template = "This address is a WebSocket. Connect with ws:// or wss://; see /docs."


class Unauthorized(WatchpostError):
    """The token is missing or wrong, or a foreign web page made the request."""

    code = "UNAUTHORIZED"
    template = "{reason}"


class WrongPassword(Unauthorized):
    """There is no such user, or the password is wrong."""

    code = "WRONG_PASSWORD"
    template = "The name or the password is wrong."


class CodeNeeded(Unauthorized):
    """The password is right; the user also needs a one-time code."""

    code = "CODE_NEEDED"
    template = "Enter the code of your authenticator app, or a recovery code."


class WrongCode(Unauthorized):
    """The one-time code or recovery code is wrong, or was used."""

    code = "WRONG_CODE"
    template = "The code is wrong or was already used. Wait for the next one."


class SignInExpired(Unauthorized):
    """A sign-in through the identity provider took too long, or was used before."""

    code = "SIGN_IN_EXPIRED"
    template = "This sign-in has expired or was already used. Please start again."


class ProviderRefused(Unauthorized):
    """The identity provider did not sign the person in."""

    code = "PROVIDER_REFUSED"
    template = "The identity provider did not sign you in."


class ProviderNotTrusted(Unauthorized):
    """The identity provider's reply is not genuine, or not for this sign-in."""

    code = "PROVIDER_NOT_TRUSTED"
    template = "The identity provider's reply could not be verified. The server's log says why."


class NoAccount(Unauthorized):
    """The identity provider signed a person in who has no account here."""

    code = "NO_ACCOUNT"
    template = "You have no account here. An administrator can give you one."


class Forbidden(WatchpostError):
    """The caller is known, but lacks a right."""

    code = "FORBIDDEN"
    template = "This needs the right {right}."


class SignInNeeded(Forbidden):
    """Only a user who signed in on the page can do this."""

    code = "SIGN_IN_NEEDED"
    template = "Only a user who is signed in with a password can do this."


class NotFound(WatchpostError):
    """Nothing exists at this address."""

    code = "NOT_FOUND"
    template = "Not found: {path}"


class StreamNotFound(NotFound):
    """No stream has this id."""

    code = "STREAM_NOT_FOUND"
    template = "Stream not found: {stream_id}"


class NodeNotFound(NotFound):
    """No machine of the cluster has this id."""

    code = "NODE_NOT_FOUND"
    template = "There is no node {node_id} in the cluster."


class EventNotFound(NotFound):
    """No event has this id."""

    code = "EVENT_NOT_FOUND"
    template = "Event not found: {event_id}"


class NoSnapshot(NotFound):
    """The event has no snapshot."""

    code = "NO_SNAPSHOT"
    template = "Event {event_id} has no snapshot."


class SnapshotRemoved(NoSnapshot):
    """The snapshot of the event was removed."""

    code = "SNAPSHOT_REMOVED"
    template = "The snapshot of event {event_id} was removed."


class NoFootage(NotFound):
    """Nothing was recorded there, or it was removed."""

    code = "NO_RECORDING"
    template = "Nothing is recorded of that time. It was not recorded, or it was removed."


class NoClip(NoFootage):
    """An event has no clip."""

    code = "NO_CLIP"
    template = (
        "Event {event_id} has no clip. Its stream records none (`record` is `off`), or the clip "
        "was removed."
    )


class JobNotFound(NotFound):
    """No collection job has this id."""

    code = "JOB_NOT_FOUND"
    template = "There is no collection job {job_id}."


class FileNotFound(NotFound):
    """The job has no such file, or it was removed to free space."""

    code = "FILE_NOT_FOUND"
    template = "Job {job_id} has no file {file_id}, or it was removed to free space."


class ScheduleNotFound(NotFound):
    """No schedule has this id."""

    code = "SCHEDULE_NOT_FOUND"
    template = "There is no schedule {schedule_id}."


class PlateNotFound(NotFound):
    """No plate has this id, or it was deleted."""

    code = "PLATE_NOT_FOUND"
    template = "Plate not found: {plate_id}"


class SessionNotFound(NotFound):
    """No session has this id."""

    code = "SESSION_NOT_FOUND"
    template = "Session not found: {session_id}"


class WatchNotFound(NotFound):
    """No entry of the watch-list has this id."""

    code = "WATCH_NOT_FOUND"
    template = "Watchlist entry not found: {watch_id}"


class ImageGone(NotFound):
    """The image was erased, or removed to free space."""

    code = "IMAGE_NOT_FOUND"
    template = "This image is no longer stored."


class UserNotFound(NotFound):
    """No user has this id."""

    code = "USER_NOT_FOUND"
    template = "There is no user {user_id}."


class TokenNotFound(NotFound):
    """The caller has no API token with this id."""

    code = "TOKEN_NOT_FOUND"
    template = "There is no token {token_id}."


class SignInNotFound(NotFound):
    """The caller has no sign-in with this id."""

    code = "SIGN_IN_NOT_FOUND"
    template = "There is no sign-in {session_id}."


class TargetNotFound(NotFound):
    """No target of notifications has this id."""

    code = "TARGET_NOT_FOUND"
    template = "There is no target {target_id}."


class RouteNotFound(NotFound):
    """No route of notifications has this id."""

    code = "ROUTE_NOT_FOUND"
    template = "There is no route {route_id}."


class DeliveryNotFound(NotFound):
    """No delivery has this id, or it was removed since."""

    code = "DELIVERY_NOT_FOUND"
    template = "There is no delivery {delivery_id}."


class LinkNotValid(NotFound):
    """A signed link was changed, was ended, or has expired."""

    code = "LINK_NOT_VALID"
    template = "This link is not valid, or it has expired."


class TooManyAttempts(WatchpostError):
    """Too many wrong passwords or tokens came from this address or for this user."""

    code = "TOO_MANY_ATTEMPTS"
    template = "Too many wrong attempts. Try again in {retry_after_s} s."


class TooManyUploads(WatchpostError):
    """Too many uploaded images wait to be read already."""

    code = "TOO_MANY_UPLOADS"
    template = "Too many images are waiting to be read. Try again in {retry_after_s} s."


class Conflict(WatchpostError):
    """The request conflicts with the current state."""

    code = "CONFLICT"
    template = "This conflicts with the current state."


class StreamConflict(Conflict):
    """The stream is running with another configuration."""

    code = "STREAM_ALREADY_RUNNING"
    template = (
        "Stream {stream_id} is running with another configuration. "
        "Stop it first, then start it with the new one."
    )


class CameraExists(Conflict):
    """The id of the camera is in use."""

    code = "CAMERA_EXISTS"
    template = "There is already a camera {camera_id}. Change it with PATCH, or use another id."


class NoOtherNode(Conflict):
    """No other machine of the cluster could take the streams of one that is to be emptied."""

    code = "NO_OTHER_NODE"
    template = "There is no other node that could take the streams of node {node_id}."


class UserExists(Conflict):
    """The name of the user is taken, or the first user was already made."""

    code = "USER_EXISTS"
    template = "There is already a user, so {name} cannot be added in this way."


class TwoFactorOn(Conflict):
    """Two-factor sign-in is on already."""

    code = "TWO_FACTOR_ON"
    template = "Two-factor sign-in is already on."


class TwoFactorOff(Conflict):
    """Two-factor sign-in is off, or its set-up has not begun."""

    code = "TWO_FACTOR_OFF"
    template = "Two-factor sign-in is off."


class SubjectInUse(Conflict):
    """Another user has this id at the identity provider."""

    code = "SUBJECT_IN_USE"
    template = "User {user_id} already signs in with this id of the identity provider."


class LastAdministrator(Conflict):
    """Without this user nobody could manage users."""

    code = "LAST_ADMINISTRATOR"
    template = "This is the last administrator. Give another user that role first."


class NoVideo(Conflict):
    """The stream has no H.264 video for browsers; its frames can be had as JPEG."""

    code = "NO_VIDEO"
    template = (
        "Stream {stream_id} has no H.264 video: its faces are not covered, or it is a file that is "
        "read as fast as it can be. Watch it as MJPEG."
    )


class NotACamera(Conflict):
    """The stream was started through another API."""

    code = "NOT_A_CAMERA"
    template = "{camera_id} is not a camera. It was started through another API; stop it there."


class OtherApi(Conflict):
    """The stream is a camera or a push stream, which the stream control API does not change."""

    code = "OTHER_API"
    template = "{stream_id} is a {kind}. Change it through the API that started it."


class NotPushable(Conflict):
    """Frames were pushed to a stream that has a source of its own."""

    code = "NOT_PUSHABLE"
    template = (
        "Stream {stream_id} does not accept pushed frames. "
        "Request a stream with POST /stream/request."
    )


class NotDead(Conflict):
    """The delivery was not given up, so it cannot be sent again."""

    code = "NOT_DEAD"
    template = "Delivery {delivery_id} is {state}; only dead ones can be sent again."


class BackupRunning(Conflict):
    """A copy of the database is being made."""

    code = "BACKUP_RUNNING"
    template = "A copy of the database is being made. Try again when it is finished."


class BackupElsewhere(Conflict):
    """The database is not a file that the server can copy."""

    code = "BACKUP_ELSEWHERE"
    template = "The database is {database}. Back it up with its own tools, such as pg_dump."


class TooManyTargets(Conflict):
    """The limit on targets or routes of notifications is reached."""

    code = "TOO_MANY_TARGETS"
    template = "There are already {count} {what}. Remove one first."


class OutputInUse(Conflict):
    """Another stream publishes to the same URL."""

    code = "OUTPUT_IN_USE"
    template = "Stream {used_by} already publishes to {output_url}."


class FarEndError(WatchpostError):
    """A camera or server at the other end of a connection failed.

    ``reason`` in the details is a ``FailureReason``.
    """

    words = WORDS
    code = "FAR_END_FAILED"
    template = "{end} failed: {reason}"


class SourceError(FarEndError):
    """The input was refused or lost, or cannot be decoded."""

    code = "INPUT_FAILED"
    template = "The input failed: {reason} ({url})"


class SinkError(FarEndError):
    """The output was refused or lost."""

    code = "OUTPUT_FAILED"
    template = "The output failed: {reason} ({url})"


class OnvifFailed(FarEndError):
    """A camera was asked over ONVIF, and refused or did not answer."""

    code = "ONVIF_FAILED"
    template = "The camera could not be asked over ONVIF: {reason}"


class ProviderFailed(FarEndError):
    """The identity provider does not answer, or refuses this server."""

    code = "PROVIDER_FAILED"
    template = "The identity provider is not available. The server's log says why."


class Unavailable(WatchpostError):
    """The request cannot be carried out now."""

    code = "UNAVAILABLE"
    template = "Not available at the moment."


class StartTimeout(Unavailable):
    """A stream delivered no frame in time."""

    code = "START_TIMEOUT"
    template = "Stream {stream_id} did not reach RUNNING within {timeout_s} s."


class StartCancelled(Unavailable):
    """The stream was stopped while a caller waited for its start."""

    code = "START_CANCELLED"
    template = "Stream {stream_id} was stopped before it started."


class TooManyStreams(Unavailable):
    """The limit on push streams is reached."""

    code = "TOO_MANY_STREAMS"
    template = "{count} push streams are already open. End one, or raise the limit."


class TooManyJobs(Unavailable):
    """The limit on collection jobs is reached."""

    code = "TOO_MANY_JOBS"
    template = (
        "{count} collection jobs are already running. Wait for one, cancel one, or raise the limit."
    )


class TooManyTests(Unavailable):
    """Too many cameras are being tested or searched for."""

    code = "TOO_MANY_TESTS"
    template = "{count} cameras are being tested already. Try again in a moment."


class NoNetwork(Unavailable):
    """This machine has no network in which cameras could be searched for."""

    code = "NO_NETWORK"
    template = "There is no network to search for cameras."


class NoAnalytics(Unavailable):
    """The network for persons and objects is not installed."""

    code = "NO_ANALYTICS"
    template = "Analytics are not available: this server has no network for them."


class NoPicture(Unavailable):
    """There is no recent blurred frame to show."""

    code = "NO_PICTURE"
    template = "Stream {stream_id} has no frame to show; its state is {status}."


class ClipNotReady(Unavailable):
    """An event is so new that its clip is still being recorded."""

    code = "CLIP_NOT_READY"
    template = "The clip of event {event_id} will be ready at {ready_at}."


class StoreError(Unavailable):
    """The database could not read or write."""

    code = "STORE_FAILED"
    template = "The database failed: {reason}"


class NotReady(Unavailable):
    """Something that the server needs is missing."""

    code = "NOT_READY"
    template = "The server is not ready. {reason}"


class NodeGone(Unavailable):
    """A node of the cluster does not answer, and what is wanted is only there."""

    code = "NODE_GONE"
    template = (
        "Node {node} of the cluster does not answer. What it has stored can be had again when it "
        "is back."
    )


class ShuttingDown(Unavailable):
    """The server is shutting down."""

    code = "SHUTTING_DOWN"
    template = "The server is shutting down."


class CameraFailed(WatchpostError):
    """A camera of the Python API cannot run with its configuration."""

    code = "CAMERA_FAILED"
    template = "Camera {camera_id}: {reason}"


class DetectorError(WatchpostError):
    """A network failed or took too long; the frame is withheld."""

    code = "DETECTOR_FAILED"
    template = "{network} failed: {reason}"


class DetectorLate(DetectorError):
    """A network took longer than its time limit, as on a busy machine.

    Args:
        task: what it does, in English.
    """

    code = "DETECTOR_LATE"
    template = "{task} is falling behind."

    def __init__(self, task: str = "Detection") -> None:
        super().__init__(task=task)


class SetupError(WatchpostError):
    """The server cannot start with its configuration."""

    code = "SETUP_FAILED"
    template = "{reason}"


class DataFolderLocked(SetupError):
    """Another process uses the same data folder."""

    code = "DATA_FOLDER_LOCKED"
    template = (
        "The data folder {folder} is in use by another Watchpost (process {pid}). "
        "Stop it, or give this one its own folder with --data-dir."
    )


class SecretUnreadable(SetupError):
    """The stored URLs were encrypted with another key."""

    code = "SECRET_UNREADABLE"
    template = (
        "The stored URLs cannot be decrypted with this key. Put the old key file back "
        "({key_file}), or enter the full URLs again."
    )


def in_words(problem: str) -> str:
    """A message of pydantic without its prefix, as in ``Value error, give a list``."""
    return problem.removeprefix("Value error, ")
