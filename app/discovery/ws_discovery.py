"""WS-Discovery: asks the network which ONVIF cameras there are.

One question to a multicast group, and for a few seconds the cameras answer (OASIS Web Services
Dynamic Discovery 2005/04, which the ONVIF Core Specification 7.3 prescribes). The question is one
datagram of a hundred bytes, and answers are read with limits on their number and size: no package
is needed for that, and the one on PyPI starts threads and has no limits.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from app import urls
from app.errors import RequestError

GROUP = ("239.255.255.250", 3702)
MAX_CAMERAS = 256
MAX_DATAGRAM = 65_535
MAX_ADDRESSES = 8
MAX_TEXT = 100
ROUTERS = 1
"""How far the question goes: the cameras of this network only."""
REPEATED_S = (0.0, 0.3)  # UDP may lose one

_D = "{http://schemas.xmlsoap.org/ws/2005/04/discovery}"
_PROBE = """\
<?xml version="1.0" encoding="utf-8"?>
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"
 xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"
 xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><e:Header>
<w:MessageID>urn:uuid:{message_id}</w:MessageID>
<w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>
<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>
<e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"""


class FoundCamera(NamedTuple):
    """A camera that answered.

    Attributes:
        host: its address.
        service: URL of its device service, for questions over ONVIF.
        name, hardware, location: what it says of itself; empty if it says nothing.
    """

    host: str
    service: str
    name: str
    hardware: str
    location: str


@dataclass(slots=True)
class _Answers(asyncio.DatagramProtocol):
    """Collects the cameras that answer, each once."""

    cameras: dict[str, FoundCamera] = field(default_factory=dict)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        for camera in read_matches(data, str(addr[0])):
            if len(self.cameras) < MAX_CAMERAS:
                self.cameras.setdefault(camera.service, camera)


async def find_cameras(
    wait_s: float, targets: Sequence[tuple[str, int]] = (GROUP,)
) -> list[FoundCamera]:
    """Ask for cameras, and collect answers for this long.

    Args:
        targets: addresses and ports that are asked.

    Raises:
        OSError: this machine has no network to ask.
    """
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ROUTERS)
    transport, answers = await loop.create_datagram_endpoint(_Answers, sock=sock)
    try:
        probe = _PROBE.format(message_id=uuid.uuid4()).encode()
        for pause_s in REPEATED_S:
            await asyncio.sleep(pause_s)
            for target in targets:
                sock.sendto(probe, target)
        await asyncio.sleep(wait_s)
    finally:
        transport.close()
    return sorted(answers.cameras.values(), key=lambda camera: _order(camera.host))


def read_matches(data: bytes, sender: str) -> list[FoundCamera]:
    """The cameras of an answer; none if it is not one, or names no address that may be used."""
    if len(data) > MAX_DATAGRAM or b"<!DOCTYPE" in data:
        return []
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError:
        return []
    cameras = [_camera(match, sender) for match in root.iter(f"{_D}ProbeMatch")]
    return [camera for camera in cameras if camera is not None]


def _camera(match: ElementTree.Element, sender: str) -> FoundCamera | None:
    addresses = (match.findtext(f"{_D}XAddrs") or "").split()[:MAX_ADDRESSES]
    usable = [address for address in addresses if _is_usable(address)]
    if not usable:
        return None
    # A camera with several networks names all its addresses; the one that answers is reachable.
    service = next((one for one in usable if urlsplit(one).hostname == sender), usable[0])
    scopes = (match.findtext(f"{_D}Scopes") or "").split()
    return FoundCamera(
        host=urlsplit(service).hostname or sender,
        service=service,
        name=_scope(scopes, "name"),
        hardware=_scope(scopes, "hardware"),
        location=_scope(scopes, "location"),
    )


def _is_usable(address: str) -> bool:
    try:
        urls.check(address, ("http", "https"))
    except RequestError:
        return False
    return True


def _scope(scopes: Sequence[str], name: str) -> str:
    """What ``onvif://www.onvif.org/name/Front%20door`` says, as text."""
    start = f"onvif://www.onvif.org/{name}/"
    found = next((scope for scope in scopes if scope.lower().startswith(start)), "")
    text = unquote(found[len(start) :])
    return "".join(char for char in text if char.isprintable())[:MAX_TEXT]


def _order(host: str) -> tuple[int, ...]:
    """Sorts addresses by number; names come last."""
    parts = host.split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else (999,)
