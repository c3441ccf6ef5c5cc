"""Messengers by Apprise: texts with the blurred snapshot, sent by a process of its own."""

from __future__ import annotations

import base64
import re
import tempfile
from typing import Annotated, Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr

from app.child_process import ask_child
from app.local_time import TimeZoneName, time_zone
from app.notify.apprise_schemes import SCHEMES
from app.notify.base import Message, NotifyContext, Options, SendFailed, TargetKind, masked
from app.notify.texts import Language, text_of
from app.urls import MASK, scheme_of

TIMEOUT_S = 40.0
"""Python and Apprise need a second or two to start; the messenger gets the rest."""
PROGRAM = "app.notify.apprise_child"
NO_REPLY = "Apprise failed without a message"
_PIECES = re.compile(r"[/?&=@:#;,]+")


def _check_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if "://" not in text or scheme_of(text) not in SCHEMES:
        raise ValueError("not a URL of Apprise whose scheme may be used here, such as tgram://")
    if len(text) > 4000 or any(not char.isprintable() or char.isspace() for char in text):
        raise ValueError("it is too long, or has white space or control characters")
    return url


class AppriseOptions(Options):
    """Where messages go, and how they are written."""

    url: Annotated[SecretStr, AfterValidator(_check_url)] = Field(
        description="URL of Apprise, such as tgram://token/chat; replies show only its scheme."
    )
    language: Language = Field("en", description="Language of messages.")
    timezone: TimeZoneName | None = Field(
        None, description="IANA name of the time zone of times. Default: the server's."
    )
    snapshot: bool = Field(True, description="Attach the blurred frame.")

    @property
    def zone(self) -> ZoneInfo | None:
        return None if self.timezone is None else time_zone(self.timezone)

    def secret_pieces(self) -> list[str]:
        """Every part of the URL: services put tokens anywhere, and errors show parts of it."""
        rest = self.url.get_secret_value().partition("://")[2]
        pieces = _PIECES.split(rest)
        return [one for piece in pieces for one in {piece, unquote(piece)}]


class AppriseSender:
    """Starts a process for each message; Apprise is not loaded into the server."""

    def __init__(self, options: AppriseOptions, context: NotifyContext) -> None:
        self._options = options
        self._context = context

    async def send(self, message: Message) -> str:
        options = self._options
        text = text_of(message, options.language, options.zone)
        snapshot = await message.snapshot() if options.snapshot else None
        request = {
            "url": options.url.get_secret_value(),
            "title": text.title,
            "body": text.body,
            "snapshot": snapshot and base64.b64encode(snapshot).decode(),
            "local_receivers": list(self._context.settings.local_receivers),
        }
        try:
            with tempfile.TemporaryDirectory() as folder:
                reply = await _run({**request, "folder": folder})
        except OSError as error:  # a full disk, or too many processes
            why = f"its process could not be started: {error.strerror}"
            raise SendFailed(why, unreachable=True) from None
        answer = str(reply.get("log") or NO_REPLY)
        if not reply.get("ok"):
            raise SendFailed(answer)
        return answer

    async def run(self) -> None:
        """Nothing but sending."""

    async def close(self) -> None:
        """Nothing is open between two messages."""


async def _run(request: dict[str, Any]) -> dict[str, Any]:
    """The reply of a process for a request. Raises SendFailed if there is none in time."""
    try:
        return await ask_child(PROGRAM, request, TIMEOUT_S)
    except TimeoutError:
        raise SendFailed(f"no answer within {TIMEOUT_S:g} s", unreachable=True) from None


def _shown(options: AppriseOptions) -> dict[str, Any]:
    scheme = scheme_of(options.url.get_secret_value())
    return masked(options) | {"url": f"{scheme}://{MASK}"}


KIND = TargetKind(
    summary="Telegram, e-mail, ntfy, Slack and a hundred more, by a URL of Apprise.",
    options=AppriseOptions,
    make=AppriseSender,
    shown=_shown,
)
