"""Opens the outbox of notifications."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.config import Settings
from app.db.deliveries import DeliveryRepository
from app.db.events import EventRepository
from app.db.routes import RouteRepository
from app.db.server_keys import ServerKeyRepository
from app.db.targets import TargetRepository
from app.db.vault import Vault
from app.notify.base import NotifyContext
from app.notify.cameras import ManagedCameras
from app.notify.composer import Composer
from app.notify.dispatcher import Dispatcher
from app.notify.snapshot_links import SnapshotLinks
from app.notify.vapid import Vapid, new_key
from app.pipeline.directory import StreamDirectory
from app.process import background
from app.urls import ReceiverCheck

if TYPE_CHECKING:
    from sqlalchemy import Engine


VAPID = "web push"


@dataclass(frozen=True, slots=True)
class Notify:
    """Targets and routes of notifications, what is on its way, and what phones need."""

    targets: TargetRepository
    routes: RouteRepository
    deliveries: DeliveryRepository
    dispatcher: Dispatcher
    vapid: Vapid
    links: SnapshotLinks


@asynccontextmanager
async def open_notify(
    settings: Settings,
    manager: StreamDirectory,
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
    keys = ServerKeyRepository(engine, vault)
    vapid = await asyncio.to_thread(_open_vapid, keys, settings.notify.contact)
    links = await asyncio.to_thread(SnapshotLinks, keys, settings.notify.link_s)
    context = NotifyContext(settings.notify, check, cameras, instance, vapid, links)
    composer = Composer(events, cameras)
    dispatcher = Dispatcher(targets, deliveries, composer, context, written)
    async with background(dispatcher.run(), "notifications"):
        yield Notify(targets, RouteRepository(engine), deliveries, dispatcher, vapid, links)


def _open_vapid(keys: ServerKeyRepository, contact: str | None) -> Vapid:
    """The identity at push services, made at the first start. Blocking; raises StoreError."""
    known = keys.all(VAPID)
    key = known[0] if known else keys.add(VAPID, new_key(), time.time())
    return Vapid(key.secret, contact)
