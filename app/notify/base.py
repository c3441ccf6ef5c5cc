"""What a kind of target is, and what it needs of the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from app.config import NotifySettings
from app.errors import InvalidRequest, in_words
from app.events import EventRow
from app.types import StreamStatus
from app.urls import MASK, ReceiverCheck, scrub

if TYPE_CHECKING:
    from app.notify.snapshot_links import SnapshotLinks
    from app.notify.vapid import Vapid

MAX_ANSWER = 500
MIN_SECRET = 4
"""Shorter texts are not searched for in answers: they would be found everywhere."""


class Options(BaseModel):
    """The options of a kind of target; those of the type SecretStr are shown nowhere."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    def secret_pieces(self) -> list[str]:
        """Parts of secrets that answers may repeat alone."""
        return []


@dataclass(frozen=True, slots=True)
class Message:
    """One message, as targets send it.

    Attributes:
        message_id: the same for every attempt.
        events: of one camera, oldest first; none in a test message.
        snapshot: reads the blurred frame of the last event that has one; None without any.
    """

    message_id: str
    stream_id: str
    camera_name: str
    created_ts: float
    events: Sequence[EventRow] = ()
    snapshot: Callable[[], Awaitable[bytes | None]] = field(default=lambda: _none(), repr=False)


async def _none() -> None:
    return None


class SendFailed(Exception):
    """A message was not accepted.

    Args:
        answer: what the other side said, or why there was no answer; without secrets.
        unreachable: it says nothing about this message, but about the target as a whole.
        final: trying again is useless.
        gone: the target itself ended at the other side, and is to be removed.
    """

    def __init__(
        self, answer: str, *, unreachable: bool = False, final: bool = False, gone: bool = False
    ) -> None:
        super().__init__(answer)
        self.answer = answer
        self.unreachable = unreachable
        self.final = final or gone
        self.gone = gone


class Sender(Protocol):
    """A target in use. It belongs to the event loop's thread."""

    async def send(self, message: Message) -> str:
        """Deliver a message; returns what the other side answered. Raises SendFailed."""
        ...

    async def run(self) -> None:
        """Whatever it does beside sending, until cancelled."""
        ...

    async def close(self) -> None: ...


class CameraFeed(Protocol):
    """The cameras of this server, for targets that show their states and switch them."""

    def statuses(self) -> Sequence[StreamStatus]: ...

    async def switch(self, camera_id: str, *, on: bool) -> None:
        """Start or stop a camera. Raises WatchpostError."""
        ...


@dataclass(frozen=True, slots=True)
class NotifyContext:
    """What senders need of the server.

    Attributes:
        instance: tells this server from others; reveals nothing.
        vapid: its identity at push services.
        links: to snapshots, for those who cannot sign in.
    """

    settings: NotifySettings
    check_address: ReceiverCheck
    cameras: CameraFeed
    instance: str
    vapid: Vapid
    links: SnapshotLinks

    @property
    def source(self) -> str:
        """This server as a URI."""
        return self.settings.base_url or f"urn:watchpost:{self.instance}"

    def link(self, path: str) -> str:
        """A path of this server as receivers reach it."""
        return (self.settings.base_url or "").rstrip("/") + path


@dataclass(frozen=True, slots=True)
class TargetKind:
    """A kind of target: one entry of ``TARGETS``.

    Attributes:
        options: their class.
        make: creates the sender; must not block.
        shown: the options as replies have them.
        complete: adds what the server itself chooses, such as a secret; returns the options, and
            the secret that is shown this once.
        rotate: replaces that secret; None for a kind without one.
    """

    summary: str
    options: type[Options]
    make: Callable[[Any, NotifyContext], Sender]
    shown: Callable[[Any], dict[str, Any]] = field(default=lambda options: masked(options))
    complete: Callable[[Any], tuple[Any, str | None]] = field(
        default=lambda options: (options, None)
    )
    rotate: Callable[[Any, float], tuple[Any, str]] | None = None

    def read(self, values: Mapping[str, Any]) -> Any:
        """The options of a request or row. Raises InvalidRequest."""
        try:
            return self.options(**values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(["options", *map(str, first["loc"])])
            raise InvalidRequest(field=where, reason=in_words(first["msg"])) from None


def plain(options: BaseModel) -> dict[str, Any]:
    """The options with all secrets, JSON-ready: only to be encrypted."""
    return {name: _plain(getattr(options, name)) for name in type(options).model_fields}


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def masked(options: BaseModel) -> dict[str, Any]:
    """The options as they may be shown, every secret masked."""
    return {name: _masked(getattr(options, name)) for name in type(options).model_fields}


def _masked(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, Mapping):
        return {key: _masked(one) for key, one in value.items()}
    return [_masked(one) for one in value] if isinstance(value, list | tuple) else value


def secrets_of(value: Any) -> list[str]:
    """Every secret in the options."""
    found: list[str] = []
    if isinstance(value, SecretStr):
        found = [value.get_secret_value()]
    elif isinstance(value, BaseModel):
        found = [
            one for name in type(value).model_fields for one in secrets_of(getattr(value, name))
        ]
    elif isinstance(value, Mapping):
        found = [one for each in value.values() for one in secrets_of(each)]
    elif isinstance(value, list | tuple):
        found = [one for each in value for one in secrets_of(each)]
    return found


def clean_answer(text: str, options: Options) -> str:
    """What another side said, on one line, short, and without secrets."""
    secrets = sorted([*secrets_of(options), *options.secret_pieces()], key=len, reverse=True)
    for secret in secrets:
        if len(secret) >= MIN_SECRET:
            text = text.replace(secret, MASK)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return scrub(line)[:MAX_ANSWER]
