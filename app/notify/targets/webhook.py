"""Webhooks: CloudEvents, signed as Standard Webhooks says."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, field_validator

from app import urls
from app.errors import RequestError
from app.notify import standard_webhooks
from app.notify.base import Message, NotifyContext, Options, TargetKind, masked
from app.notify.cloud_events import CONTENT_TYPE, cloud_event
from app.notify.http_post import SCHEMES, HttpPoster, accepted

OVERLAP_S = 86_400.0
"""How long the replaced secret goes on signing."""
RESERVED = ("host", "content-length", "content-type", "transfer-encoding", "connection")

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]


def _check_url(url: SecretStr) -> SecretStr:
    try:
        urls.check(url.get_secret_value(), SCHEMES)
    except RequestError as error:
        raise ValueError(str(error.details.get("reason", error))) from None
    return url


def _check_secret(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None:
        standard_webhooks.check_secret(secret.get_secret_value())
    return secret


SigningSecret = Annotated[SecretStr | None, AfterValidator(_check_secret)]


class WebhookOptions(Options):
    """Where a webhook goes, and how it is signed."""

    url: Annotated[SecretStr, AfterValidator(_check_url)] = Field(
        description="URL that gets a POST for each message; replies show only its origin."
    )
    headers: dict[HeaderName, SecretStr] = Field(
        {}, max_length=20, description="Further headers, such as `Authorization`."
    )
    signing_secret: SigningSecret = Field(
        None, description="Key of the signature, `whsec_…`. Default: generated, and shown once."
    )
    old_secret: SigningSecret = Field(None, description="A replaced key that signs, too.")
    old_secret_until: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="Until then, Unix seconds."
    )

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if name.lower() in RESERVED or name.lower().startswith("webhook-"):
                raise ValueError(f"{name} cannot be chosen")
            text = value.get_secret_value()
            if len(text) > 2000 or not text.isascii() or not text.isprintable():
                raise ValueError(f"the value of {name} is not printable ASCII")
        return headers

    def signing_secrets(self, now: float) -> list[str]:
        """The keys that sign at a time, the newest first."""
        old = self.old_secret if now < self.old_secret_until else None
        return [key.get_secret_value() for key in (self.signing_secret, old) if key is not None]


class WebhookSender:
    """Posts messages to one URL."""

    def __init__(self, options: WebhookOptions, context: NotifyContext) -> None:
        self._options = options
        self._context = context
        self._http = HttpPoster(context.check_address, context.settings.timeout_s)

    async def send(self, message: Message) -> str:
        event = cloud_event(message, self._context.source, self._context.link)
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        now = time.time()
        headers = {
            **{name: value.get_secret_value() for name, value in self._options.headers.items()},
            "Content-Type": CONTENT_TYPE,
            "User-Agent": "Watchpost",
            **standard_webhooks.headers(
                message.message_id, int(now), body, self._options.signing_secrets(now)
            ),
        }
        return accepted(await self._http.post(self._options.url.get_secret_value(), body, headers))

    async def run(self) -> None:
        """Nothing but sending."""

    async def close(self) -> None:
        await self._http.close()


def _complete(options: WebhookOptions) -> tuple[WebhookOptions, str | None]:
    if options.signing_secret is not None:
        return options, None
    secret = standard_webhooks.new_secret()
    return options.model_copy(update={"signing_secret": SecretStr(secret)}), secret


def _rotate(options: WebhookOptions, now: float) -> tuple[WebhookOptions, str]:
    secret = standard_webhooks.new_secret()
    changes = {
        "signing_secret": SecretStr(secret),
        "old_secret": options.signing_secret,
        "old_secret_until": now + OVERLAP_S,
    }
    return options.model_copy(update=changes), secret


def _shown(options: WebhookOptions) -> dict[str, Any]:
    return masked(options) | {"url": urls.origin(options.url.get_secret_value())}


KIND = TargetKind(
    summary="A POST of a CloudEvent for each message, signed as Standard Webhooks says.",
    options=WebhookOptions,
    make=WebhookSender,
    shown=_shown,
    complete=_complete,
    rotate=_rotate,
)
