"""Connections to an MQTT 5 broker: to an address that was checked, and with every refusal known."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from app import urls
from app.failure_reason import WORDS, FailureReason
from app.notify.base import SendFailed

KEEPALIVE_S = 30
HANDSHAKE_S = 10.0
MAX_INCOMING = 100
logging.getLogger("mqtt").setLevel(logging.WARNING)


class BrokerClient(aiomqtt.Client):
    """A client that knows what the broker did not accept; the library drops that."""

    _refusal: ReasonCode | None = None

    async def publish_acknowledged(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1. Only one call at a time. Raises SendFailed if it is refused."""
        self._refusal = None
        await self.publish(topic, payload, qos=1)
        if self._refusal is not None:
            raise SendFailed(f"the broker refused it: {self._refusal}")

    def settle(self) -> None:
        """Take note of how the connection ended; asyncio complains of an error that nobody saw."""
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()

    def _on_publish(
        self,
        client: Any,
        userdata: Any,
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        if reason_code.is_failure:
            self._refusal = reason_code
        super()._on_publish(client, userdata, mid, reason_code, properties)


class _NamedContext(ssl.SSLContext):
    """Verifies certificates for a name, although the connection goes to an address."""

    name: str

    def wrap_socket(self, sock: socket.socket, *args: Any, **more: Any) -> ssl.SSLSocket:
        """Also does the handshake: the library would leave the socket of a failed one open."""
        wrapped = super().wrap_socket(sock, *args, **{**more, "server_hostname": self.name})
        try:
            wrapped.settimeout(HANDSHAKE_S)
            wrapped.do_handshake()
        except OSError:
            wrapped.close()
            raise
        return wrapped


def tls_context(host: str, authority: str | None) -> ssl.SSLContext:
    """The context for a broker; blocks.

    Args:
        authority: PEM of the certificate authority, for a broker with one of its own.

    Raises:
        ValueError: that is no PEM.
    """
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.name = host
    try:
        if authority is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=authority)
    except ssl.SSLError:
        raise ValueError("it is no certificate in PEM") from None
    return context


async def checked_address(host: str, port: int) -> str:
    """The first address of a broker, checked as those of cameras are.

    Raises:
        AddressNotAllowed: no stream may use it, either.
        OSError: the name is unknown.
    """
    shown = f"[{host}]" if ":" in host else host
    found = await asyncio.to_thread(urls.resolve, f"http://{shown}:{port}")
    return urlsplit(found[0]).hostname or ""


def in_words(error: BaseException) -> str:
    """Why a connection failed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {getattr(cause, 'verify_message', '') or cause.reason}"
        if isinstance(cause, OSError):
            return WORDS[FailureReason.of(cause)]
        cause = cause.__cause__ or cause.__context__
    return str(error) or WORDS[FailureReason.CLOSED]
