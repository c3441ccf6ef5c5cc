"""Asks a camera over ONVIF what it is, and which streams it has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from app import urls
from app.child_process import ask_child
from app.errors import OnvifFailed, RequestError
from app.failure_reason import FailureReason

PROGRAM = "app.discovery.onvif_child"
TIMEOUT_S = 30.0
"""Python and the package need a few seconds to start, on a small machine more; the camera gets the
rest."""
DEFAULT_PORTS = {"http": 80, "https": 443}


class OnvifStream(NamedTuple):
    """A stream of a camera: a media profile in ONVIF.

    Attributes:
        url: without a user and password.
        codec, width, height, fps: as the camera is set up; empty and None where it does not say.
    """

    name: str
    url: str
    codec: str
    width: int | None
    height: int | None
    fps: float | None


class OnvifDevice(NamedTuple):
    """A camera; streams with the most pixels come first."""

    maker: str
    model: str
    firmware: str
    streams: tuple[OnvifStream, ...]


async def ask_camera(service: str, user: str, password: str) -> OnvifDevice:
    """Ask a camera for its streams.

    Args:
        service: URL of its device service, or only ``http://host``.

    Raises:
        InvalidUrl, AddressNotAllowed: of the URL.
        OnvifFailed: the camera refused, does not answer, or is not one.
    """
    urls.check(service, ("http", "https"))
    parts = urlsplit(service)
    try:
        resolved = await asyncio.to_thread(urls.resolve, service)
    except OSError as error:
        raise _failed(FailureReason.of(error), service) from None
    request = {
        "scheme": parts.scheme,
        "address": urlsplit(resolved[0]).hostname,
        "port": parts.port or DEFAULT_PORTS[parts.scheme],
        "user": user,
        "password": password,
    }
    try:
        reply = await ask_child(PROGRAM, request, TIMEOUT_S)
    except TimeoutError:
        raise _failed(FailureReason.TIMEOUT, service) from None
    if "device" not in reply:
        raise _failed(reply.get("error", FailureReason.REJECTED), service)
    return _device(reply)


def _device(reply: Mapping[str, Any]) -> OnvifDevice:
    texts = reply["device"]
    found = [stream for one in reply["streams"] if (stream := _stream(one)) is not None]
    found.sort(key=lambda one: -(one.width or 0) * (one.height or 0))
    return OnvifDevice(
        texts["Manufacturer"], texts["Model"], texts["FirmwareVersion"], tuple(found)
    )


def _stream(one: Mapping[str, Any]) -> OnvifStream | None:
    """A stream with a URL that may be used; None without one."""
    try:
        url = urls.check_rtsp(one["url"].strip())
    except RequestError:
        return None
    return OnvifStream(
        one["name"],
        urls.without_login(url),
        one["codec"],
        one["width"],
        one["height"],
        one["fps"],
    )


def _failed(reason: str, service: str) -> OnvifFailed:
    return OnvifFailed(reason=reason, url=urls.without_credentials(service))
