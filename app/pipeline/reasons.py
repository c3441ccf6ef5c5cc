"""Why a far end failed or a pushed frame is refused, in one word that programs can compare.

libav, the socket module and the publisher child report the same troubles in different
classes; here they become one vocabulary. What people are told is in ``app/reason_words.py``, and in
other languages in ``app/api/messages.py``.
"""

UNAUTHORIZED = "unauthorized"
FORBIDDEN = "forbidden"
NOT_FOUND = "not_found"
REFUSED = "connection_refused"
UNREACHABLE = "unreachable"
UNKNOWN_HOST = "unknown_host"
TIMEOUT = "timeout"
CLOSED = "connection_closed"
ENDED = "ended"
STALLED = "stalled"
NO_VIDEO = "no_video"
INVALID_DATA = "invalid_data"
TOO_LARGE = "too_large"
REJECTED = "rejected"
NO_ENCODER = "no_encoder"
SIZE_CHANGED = "size_changed"
NO_DEVICE = "no_device"
DISK_FULL = "disk_full"
UNFIT_CODEC = "unfit_codec"
STOPPED = "stopped"

EMPTY = "empty"
NO_PICTURE = "no_picture"
BAD_PICTURE = "bad_picture"
NO_DATA_URL = "no_data_url"
NO_BASE64 = "no_base64"
MESSAGE_TOO_LARGE = "message_too_large"

_BY_CLASS = {
    "HTTPUnauthorizedError": UNAUTHORIZED,
    "HTTPForbiddenError": FORBIDDEN,
    "PermissionError": FORBIDDEN,
    "HTTPNotFoundError": NOT_FOUND,
    "FileNotFoundError": NOT_FOUND,
    "ConnectionRefusedError": REFUSED,
    "gaierror": UNKNOWN_HOST,
    "TimeoutError": TIMEOUT,
    "ExitError": TIMEOUT,  # what libav calls an operation that ran past its time limit
    "ConnectionResetError": CLOSED,
    "ConnectionAbortedError": CLOSED,
    "BrokenPipeError": CLOSED,
    "EOFError": CLOSED,
    "InvalidDataError": INVALID_DATA,
}
_UNREACHABLE_ERRNOS = {101, 113, 65, 51}  # ENETUNREACH and EHOSTUNREACH, Linux and macOS
_IO_ERROR = 5


def of_handshake(reason: str) -> str:
    """While connecting, "invalid data" is libav's word for a server that hung up."""
    return CLOSED if reason == INVALID_DATA else reason


def of(error: BaseException) -> str:
    """The word for an exception of libav or of a socket."""
    return of_class(type(error).__name__, getattr(error, "errno", None))


def of_class(name: str, errno: int | None) -> str:
    """The same for an exception that happened in another process."""
    if errno in _UNREACHABLE_ERRNOS:
        return UNREACHABLE
    if errno == _IO_ERROR:
        return CLOSED
    return _BY_CLASS.get(name, REJECTED)
