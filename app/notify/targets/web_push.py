"""Push messages to the page on a phone or desk: a target is one browser that has subscribed."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr

from app import urls
from app.errors import RequestError, StoreError
from app.local_time import TimeZoneName, time_zone
from app.notify.base import Message, NotifyContext, Options, SendFailed, TargetKind, masked
from app.notify.http_post import GONE, SCHEMES, HttpPoster, Reply, accepted
from app.notify.push_encryption import AUTH_BYTES, ENCODING, MAX_TEXT, encrypt, public_key
from app.notify.texts import Language, text_of
from app.notify.vapid import from_base64url

TTL_S = 86_400
"""How long a push service keeps a message for a phone that is switched off."""
NOT_FOUND, TOO_LARGE = 404, 413
LENGTHS = (900, 500, 100)
"""Characters to which a long text is cut; any of them takes up to four bytes."""


def _check_endpoint(url: SecretStr) -> SecretStr:
    try:
        urls.check(url.get_secret_value(), SCHEMES)
    except RequestError as error:
        raise ValueError(str(error.details.get("reason", error))) from None
    return url


def _check_point(text: SecretStr) -> SecretStr:
    try:
        public_key(from_base64url(text.get_secret_value()))
    except ValueError:
        raise ValueError("not a public key of the curve P-256 in Base64url") from None
    return text


def _check_auth(text: SecretStr) -> SecretStr:
    try:
        size = len(from_base64url(text.get_secret_value()))
    except ValueError:
        size = 0
    if size != AUTH_BYTES:
        raise ValueError(f"not {AUTH_BYTES} bytes in Base64url")
    return text


class WebPushOptions(Options):
    """A subscription as the browser gives it, and how messages are written."""

    endpoint: Annotated[SecretStr, AfterValidator(_check_endpoint)] = Field(
        description="`endpoint` of the browser's subscription; replies show only its origin."
    )
    p256dh: Annotated[SecretStr, AfterValidator(_check_point)] = Field(
        description="`keys.p256dh` of the subscription."
    )
    auth: Annotated[SecretStr, AfterValidator(_check_auth)] = Field(
        description="`keys.auth` of the subscription."
    )
    language: Language = Field("en", description="Language of messages.")
    timezone: TimeZoneName | None = Field(
        None, description="IANA name of the time zone of times. Default: the server's."
    )
    snapshot: bool = Field(True, description="Show the blurred frame, by a link that expires.")

    @property
    def zone(self) -> ZoneInfo | None:
        return None if self.timezone is None else time_zone(self.timezone)


class WebPushSender:
    """Posts encrypted messages to the push service of one browser."""

    def __init__(self, options: WebPushOptions, context: NotifyContext) -> None:
        self._options = options
        self._context = context
        self._http = HttpPoster(context.check_address, context.settings.timeout_s)

    async def send(self, message: Message) -> str:
        options = self._options
        endpoint = options.endpoint.get_secret_value()
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": ENCODING,
            "TTL": str(TTL_S),
            "Urgency": "high",
            "Authorization": self._context.vapid.authorization(endpoint, time.time()),
        }
        body = encrypt(
            shortened(await self._content(message)),
            from_base64url(options.p256dh.get_secret_value()),
            from_base64url(options.auth.get_secret_value()),
        )
        return _taken(await self._http.post(endpoint, body, headers))

    async def run(self) -> None:
        """Nothing but sending."""

    async def close(self) -> None:
        await self._http.close()

    async def _content(self, message: Message) -> dict[str, Any]:
        """What the page's service worker shows; it drops repeats by their ``tag``."""
        options = self._options
        text = text_of(message, options.language, options.zone)
        events = message.events
        return {
            "version": 1,
            "tag": message.message_id,
            "title": text.title,
            "body": text.body,
            "language": options.language,
            "ts": events[-1].ts if events else message.created_ts,
            "event_id": events[-1].event_id if events else None,
            "snapshot": await self._link(message) if options.snapshot else None,
        }

    async def _link(self, message: Message) -> str | None:
        """The link to the newest snapshot; a message goes without it where none can be made."""
        for event in reversed(message.events):
            try:
                path = await asyncio.to_thread(self._context.links.path, event, time.time())
            except StoreError:
                return None
            if path is not None:
                return path
        return None


def shortened(content: dict[str, Any]) -> bytes:
    """A message as JSON, its text cut where it would be longer than push services accept."""
    data = _json(content)
    for length in LENGTHS:
        if len(data) <= MAX_TEXT:
            break
        data = _json({**content, "body": content["body"][:length] + "…"})
    return data


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _taken(reply: Reply) -> str:
    """What the push service answered, if it accepted the message. Raises SendFailed."""
    text = f"{reply.status} {reply.text}".strip()
    if reply.status in (NOT_FOUND, GONE):
        raise SendFailed(text, gone=True)
    if reply.status == TOO_LARGE:
        raise SendFailed(text, final=True)
    return accepted(reply)


def _shown(options: WebPushOptions) -> dict[str, Any]:
    return masked(options) | {"endpoint": urls.origin(options.endpoint.get_secret_value())}


KIND = TargetKind(
    summary="A message on a phone or desk, from the page installed there.",
    options=WebPushOptions,
    make=WebPushSender,
    shown=_shown,
)
