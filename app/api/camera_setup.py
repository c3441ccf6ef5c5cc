"""What helps to add a camera: addresses by maker, a test of the connection, discovery."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends
from fastapi.requests import HTTPConnection

from app import urls
from app.api.camera_setup_schemas import (
    ConnectionReply,
    ConnectionRequest,
    DiscoveryRequest,
    FoundCameraReply,
    MakerReply,
    OnvifReply,
    OnvifRequest,
)
from app.api.deps import CallerDep, LanguageDep, ManagerDep, SettingsDep, visible
from app.api.errors import error_replies, reply_body
from app.api.i18n import advice
from app.discovery.makers import MAKERS
from app.discovery.onvif import ask_camera
from app.discovery.ws_discovery import GROUP, find_cameras
from app.errors import (
    FarEndError,
    InvalidRequest,
    InvalidUrl,
    NoNetwork,
    StartTimeout,
    TooManyTests,
    UnusableSource,
)
from app.failure_reason import WORDS, FailureReason
from app.pipeline.connection_test import ConnectionTester

AT_ONCE = 2
"""Searches and questions over ONVIF at the same time."""
DISCOVERY_PORT = GROUP[1]

router = APIRouter(prefix="/api/cameras", tags=["cameras"])


class CameraSetup:
    """What the calls share; belongs to the event loop's thread.

    Attributes:
        tester: tries sources.
        slots: for searches and questions; who gets none is refused.
    """

    def __init__(self, tester: ConnectionTester) -> None:
        self.tester = tester
        self.slots = asyncio.Semaphore(AT_ONCE)

    def check_free(self) -> None:
        """Raises TooManyTests."""
        if self.slots.locked():
            raise TooManyTests(count=AT_ONCE)


def _setup(connection: HTTPConnection) -> CameraSetup:
    setup: CameraSetup = connection.state.camera_setup
    return setup


SetupDep = Annotated[CameraSetup, Depends(_setup)]


@router.get("/makers", summary="Addresses of streams by maker")
async def list_makers() -> list[MakerReply]:
    """Where cameras have their main and their smaller stream, as their makers document it."""
    return [MakerReply.of(maker) for maker in MAKERS]


@router.post(
    "/test",
    summary="Test a connection",
    responses=error_replies(
        {
            400: "Wrong source, field or value",
            404: "No such camera",
            503: "Too many tests at once",
        }
    ),
)
async def test_connection(
    body: ConnectionRequest,
    manager: ManagerDep,
    settings: SettingsDep,
    setup: SetupDep,
    language: LanguageDep,
) -> ConnectionReply:
    """Open a source, say what it sends, and show a frame with its faces covered; nothing is kept.

    It takes up to ten seconds to connect, and as many for the picture. A source that cannot be used
    is no error of the call: `ok` is false then, and `error` says why. Where faces cannot be
    searched for, there is no picture.
    """
    if (body.source is None) == (body.camera_id is None):
        raise InvalidRequest(field="source", reason="give either a source or a camera_id")
    stored = manager.stream(body.camera_id).status.spec if body.camera_id is not None else None
    spec = await asyncio.to_thread(body.to_spec, stored, settings.allowed_folders())
    try:
        return ConnectionReply.of(await setup.tester.test(spec))
    except (FarEndError, UnusableSource, StartTimeout) as error:
        reason = error.details.get("reason", "timeout")
        return ConnectionReply.failed(reply_body(error, language), advice(str(reason), language))


@router.post(
    "/discover",
    summary="Search the network for cameras",
    responses=error_replies(
        {400: "Wrong field or value", 503: "No network, or too many searches at once"}
    ),
)
async def discover_cameras(
    body: DiscoveryRequest, manager: ManagerDep, caller: CallerDep, setup: SetupDep
) -> list[FoundCameraReply]:
    """Ask the network which ONVIF cameras there are (WS-Discovery), and wait for answers.

    The question does not leave this network. Cameras elsewhere are asked by their address.
    """
    setup.check_free()
    async with setup.slots:
        asked = [await asyncio.to_thread(_target, host) for host in body.hosts]
        try:
            found = await find_cameras(body.wait_s, [GROUP, *asked])
        except OSError:
            raise NoNetwork from None
    known = visible(manager.all(), caller)
    return [FoundCameraReply.of(camera, known) for camera in found]


@router.post(
    "/onvif",
    summary="Ask a camera for its streams",
    responses=error_replies(
        {
            400: "Wrong address, field or value",
            502: "The camera refused, or does not answer",
            503: "Too many are asked at once",
        }
    ),
)
async def ask_onvif_camera(body: OnvifRequest, setup: SetupDep) -> OnvifReply:
    """What a camera is, and the addresses of its streams, over ONVIF.

    It takes a few seconds. User and password are used for this call only.
    """
    setup.check_free()
    async with setup.slots:
        password = body.password.get_secret_value()
        return OnvifReply.of(await ask_camera(body.service, body.user, password))


def _target(host: str) -> tuple[str, int]:
    """The address that is asked for cameras. Raises InvalidRequest, AddressNotAllowed."""
    url = f"http://{host}"
    try:
        urls.check(url, ("http",))
        address = urlsplit(urls.resolve(url)[0]).hostname or ""
    except InvalidUrl as error:
        raise InvalidRequest(field="hosts", reason=str(error.details["reason"])) from None
    except OSError:
        raise InvalidRequest(field="hosts", reason=WORDS[FailureReason.UNKNOWN_HOST]) from None
    return address, urlsplit(url).port or DISCOVERY_PORT
