"""Opens the outbox of notifications."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.config import Settings
from app.db.deliveries import DeliveryRepository
from app.db.events import EventRepository
from app.db.routes import RouteRepository
from app.db.targets import TargetRepository
from app.db.vault import Vault
from app.notify.base import NotifyContext
from app.notify.cameras import ManagedCameras
from app.notify.composer import Composer
from app.notify.dispatcher import Dispatcher
from app.pipeline.manager import StreamManager
from app.process import background
from app.urls import ReceiverCheck

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Notify:
    """Targets and routes of notifications, and what is on its way."""

    targets: TargetRepository
    routes: RouteRepository
    deliveries: DeliveryRepository
    dispatcher: Dispatcher


@asynccontextmanager
async def open_notify(
    settings: Settings,
    manager: StreamManager,
    engine: Engine,
    vault: Vault,
    events: EventRepository,
    written: asyncio.Event,
) -> AsyncIterator[Notify]:
    """Open the outbox of notifications; on leaving, what was not sent waits for the next start."""
    targets, deliveries = TargetRepository(engine, vault), DeliveryRepository(engine)
    cameras = ManagedCameras(manager)
    check = ReceiverCheck(settings.notify.local_receivers)
    instance = vault.fingerprint("this server")[:16]
    context = NotifyContext(settings.notify, check, cameras, instance)
    composer = Composer(events, cameras)
    dispatcher = Dispatcher(targets, deliveries, composer, context, written)
    async with background(dispatcher.run(), "notifications"):
        yield Notify(targets, RouteRepository(engine), deliveries, dispatcher)
