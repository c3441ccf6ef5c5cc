"""The process that asks one camera over ONVIF: ``python -m app.discovery.onvif_child``.

It reads a request from its input and writes what the camera said to its output, both JSON. The
package (``onvif-zeep-async``) loads 1 MB of WSDL and connects by itself, so it has a process of its
own, in which an audit hook of the interpreter (PEP 578) allows connections to the address that was
checked and to no other, and no program is started.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.failure_reason import PARSER_ERRORS, FailureReason

if TYPE_CHECKING:
    from onvif import ONVIFCamera

MAX_PROFILES = 32
MAX_TEXT = 200
DEVICE_TEXTS = ("Manufacturer", "Model", "FirmwareVersion")
NOT_ALLOWED = "not allowed here"
STARTS_PROGRAMS = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.")
STREAM_SETUP = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}


class OnlyTo:
    """The audit hook: connections go to one address.

    Args:
        address: of the camera, as text.
    """

    def __init__(self, address: str) -> None:
        self._address = ipaddress.ip_address(address)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raises PermissionError for what is not allowed."""
        if event == "socket.connect":
            host = str(arguments[1][0]).partition("%")[0]
            try:
                allowed = ipaddress.ip_address(host) == self._address
            except ValueError:
                allowed = False
            if not allowed:
                raise PermissionError(f"another address than the camera's: {NOT_ALLOWED}")
        elif event.startswith(STARTS_PROGRAMS):
            raise PermissionError(f"{event}: {NOT_ALLOWED}")


async def ask(request: Mapping[str, Any]) -> dict[str, Any]:
    """The device's own texts, and its streams; or ``error``, a ``FailureReason``."""
    from aiohttp import ClientError
    from onvif import ONVIFCamera, ONVIFError
    from zeep.exceptions import Error

    scheme, address = request["scheme"], request["address"]
    host = f"[{address}]" if ":" in address else address
    camera = ONVIFCamera(
        f"https://{host}" if scheme == "https" else address,
        request["port"],
        request["user"] or None,
        request["password"] or None,
        no_cache=True,
        adjust_time=True,
    )
    try:
        await camera.update_xaddrs()
        # A camera behind a router names an address that only its own network knows.
        camera.xaddrs = {key: _at(url, host) for key, url in camera.xaddrs.items()}
        device = await (await camera.create_devicemgmt_service()).GetDeviceInformation()
        streams = await _streams(camera)
    except (ClientError, Error, ONVIFError, *PARSER_ERRORS) as error:
        return {"error": reason_of(error).value}
    finally:
        await camera.close()
    texts = {name: _text(getattr(device, name, "")) for name in DEVICE_TEXTS}
    return {"device": texts, "streams": streams}


async def _streams(camera: ONVIFCamera) -> list[dict[str, Any]]:
    media = await camera.create_media_service()
    streams = []
    for profile in ((await media.GetProfiles()) or [])[:MAX_PROFILES]:
        video = getattr(profile, "VideoEncoderConfiguration", None)
        if getattr(profile, "VideoSourceConfiguration", None) is None:
            continue
        reply = await media.GetStreamUri(
            {"StreamSetup": STREAM_SETUP, "ProfileToken": profile.token}
        )
        rate = getattr(video, "RateControl", None)
        size = getattr(video, "Resolution", None)
        streams.append(
            {
                "name": _text(profile.Name or profile.token),
                "url": _text(reply.Uri, 2048),
                "codec": _text(getattr(video, "Encoding", "")),
                "width": getattr(size, "Width", None),
                "height": getattr(size, "Height", None),
                "fps": getattr(rate, "FrameRateLimit", None),
            }
        )
    return streams


def reason_of(error: BaseException) -> FailureReason:
    """Why a camera could not be asked."""
    from onvif.util import is_auth_error

    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for one in chain:
        if is_auth_error(one) or getattr(one, "status_code", None) == 401:
            return FailureReason.UNAUTHORIZED
        inner = getattr(one, "os_error", one)  # of aiohttp
        if isinstance(inner, TimeoutError | OSError):
            return FailureReason.of(inner)
        if type(one).__name__ == "ServerDisconnectedError":
            return FailureReason.CLOSED
    return FailureReason.REJECTED


def _at(url: str, host: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{host}{port}").geturl()


def _text(value: object, longest: int = MAX_TEXT) -> str:
    return str(value or "")[:longest]


def main() -> None:
    """Serve one request."""
    logging.disable(logging.CRITICAL)  # the package would log requests
    request = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, sys.stderr
    sys.addaudithook(OnlyTo(request["address"]))
    json.dump(asyncio.run(ask(request)), output)
    output.flush()


if __name__ == "__main__":
    main()
