"""Why an endpoint failed or a pushed frame is refused, in one word that programs can compare.

FFmpeg's libraries, the socket module and the publisher process report the same failures as
different exception classes; here they become one vocabulary. ``WORDS`` says in English what each
means; other languages are in ``app/api/locales/``.
"""

from __future__ import annotations

import errno
import struct
import zlib
from enum import StrEnum

PARSER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What third-party parsers raise for input that their authors did not foresee. Only for calls into
such a parser: the input is then reported as damaged, in one line."""


class FailureReason(StrEnum):
    """One word for why an endpoint failed or a pushed frame is refused."""

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
    UNFIT_PACKETS = "unfit_packets"
    UNKNOWN_CODEC = "unknown_codec"
    SINGLE_PICTURE = "single_picture"
    REDIRECTED = "redirected"
    WEB_PAGE = "web_page"
    STOPPED = "stopped"
    NO_LEASE = "no_lease"

    EMPTY = "empty"
    NO_PICTURE = "no_picture"
    BAD_PICTURE = "bad_picture"
    NO_DATA_URL = "no_data_url"
    NO_BASE64 = "no_base64"
    MESSAGE_TOO_LARGE = "message_too_large"

    @classmethod
    def of(cls, error: BaseException) -> FailureReason:
        """The reason behind an exception of PyAV or of a socket."""
        return cls.of_class(type(error).__name__, getattr(error, "errno", None))

    @classmethod
    def of_class(cls, name: str, errno: int | None) -> FailureReason:
        """The same for an exception that was raised in another process."""
        if errno in _UNREACHABLE_ERRNOS:
            return cls.UNREACHABLE
        if errno == _IO_ERROR:
            return cls.CLOSED
        return _BY_CLASS.get(name, cls.REJECTED)

    @classmethod
    def of_file(cls, error: BaseException) -> FailureReason:
        """The reason why a file on this machine cannot be read."""
        reason = cls.of(error)
        return _OF_FILES.get(reason, reason)

    @classmethod
    def of_writing(cls, error: BaseException) -> FailureReason:
        """The reason why a recording cannot be written.

        FFmpeg's muxers report EPERM for packets that their format cannot contain.
        """
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT):
            return cls.DISK_FULL
        return cls.UNFIT_PACKETS if number in (errno.EPERM, errno.EINVAL) else cls.of(error)

    def while_connecting(self) -> FailureReason:
        """While connecting, FFmpeg says "invalid data" for a server that closed the connection."""
        return FailureReason.CLOSED if self is FailureReason.INVALID_DATA else self


_BY_CLASS = {
    "HTTPUnauthorizedError": FailureReason.UNAUTHORIZED,
    "HTTPForbiddenError": FailureReason.FORBIDDEN,
    "PermissionError": FailureReason.FORBIDDEN,
    "HTTPNotFoundError": FailureReason.NOT_FOUND,
    "FileNotFoundError": FailureReason.NOT_FOUND,
    "ConnectionRefusedError": FailureReason.REFUSED,
    "gaierror": FailureReason.UNKNOWN_HOST,
    "TimeoutError": FailureReason.TIMEOUT,
    "ExitError": FailureReason.TIMEOUT,  # FFmpeg's name for an operation past its limit
    "ConnectionResetError": FailureReason.CLOSED,
    "ConnectionAbortedError": FailureReason.CLOSED,
    "BrokenPipeError": FailureReason.CLOSED,
    "EOFError": FailureReason.CLOSED,
    "InvalidDataError": FailureReason.INVALID_DATA,
    "UnicodeDecodeError": FailureReason.INVALID_DATA,
    "DecoderNotFoundError": FailureReason.UNKNOWN_CODEC,
    "PatchWelcomeError": FailureReason.UNKNOWN_CODEC,
}
_OF_FILES = {
    FailureReason.CLOSED: FailureReason.INVALID_DATA,
    FailureReason.REJECTED: FailureReason.INVALID_DATA,
}
_UNREACHABLE_ERRNOS = {101, 113, 65, 51}  # ENETUNREACH and EHOSTUNREACH, Linux and macOS
_IO_ERROR = 5

WORDS = {
    "unauthorized": "wrong or missing user and password",
    "forbidden": "access forbidden; check the permissions of this user, or of the server's account",
    "not_found": "there is nothing at that path",
    "connection_refused": "connection refused",
    "unreachable": "host unreachable",
    "unknown_host": "unknown host name",
    "timeout": "no answer in time",
    "connection_closed": "the connection was closed",
    "ended": "the stream ended",
    "stalled": "no more data",
    "no_video": "it contains no video",
    "invalid_data": "data that cannot be decoded",
    "no_device": "no such camera on this machine",
    "too_large": "the image is too large",
    "rejected": "the server rejected the request",
    "size_changed": "the frame size changed; reconnecting",
    "disk_full": "the disk is full",
    "unfit_codec": "its video codec cannot be stored in MP4; leave out blur: false",
    "unfit_packets": "its packets cannot be stored in MP4 as they are; leave out blur: false",
    "unknown_codec": "its video codec is not supported; use H.264, H.265, AV1, VP9 or MJPEG",
    "single_picture": "it is a single image; use a video, or the HTTP URL of a camera's image",
    "redirected": "it redirects to {location}; use that URL instead",
    "web_page": "it is a web page, not video; look up the URL of the camera's video or image",
    "stopped": "the stream was stopped",
    "no_lease": "this machine does not hold the output's lease now, so another one may publish",
    "no_encoder": "this encoder does not work here",
    "empty": "it is empty",
    "no_picture": "it is not a JPEG, PNG or WebP image",
    "bad_picture": "the image is damaged, or has more than {max_pixels} pixels",
    "no_data_url": "a text message must be data:image/jpeg;base64,… (or image/png, image/webp)",
    "no_base64": "what follows the comma is not base64",
    "message_too_large": "the message has more than {max_bytes} bytes; send a smaller image",
}
