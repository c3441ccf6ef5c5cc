"""An outbox with real tables, and receivers of messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.receiver import Receiver, receiver

from app.config import NotifySettings
from app.db.deliveries import DeliveryRepository
from app.db.engine import open_database
from app.db.events import EventRepository
from app.db.routes import RouteRepository
from app.db.server_keys import ServerKeyRepository
from app.db.snapshots import SnapshotFolder
from app.db.targets import TargetRepository
from app.db.vault import Vault
from app.events import EventRow
from app.notifications import DeliveryFilter, Route, Target
from app.notify.base import NotifyContext, plain
from app.notify.composer import Composer
from app.notify.dispatcher import Dispatcher
from app.notify.snapshot_links import SnapshotLinks
from app.notify.targets import TARGETS
from app.notify.vapid import Vapid, new_key
from app.notify.worker import Pauses
from app.process import background
from app.types import StreamStatus
from app.urls import ReceiverCheck

QUICK = Pauses(first_s=0.05, growth=1.0, target_first_s=0.02, target_longest_s=0.05, store_s=0.05)
SETTINGS = NotifySettings(local_receivers=("127.0.0.0/8",), timeout_s=10)
IMPATIENT = SETTINGS.model_copy(update={"timeout_s": 0.5})
"""For receivers that never answer; a busy machine takes longer for one that does."""
ALL = DeliveryFilter()
EVENT = EventRow(1, "gate", "bag_placed", 1_793_500_000.25, details={"label": "bag"})


@dataclass
class Cameras:
    """Cameras that are shown and switched."""

    shown: list[StreamStatus] = field(default_factory=list)
    switched: list[tuple[str, bool]] = field(default_factory=list)

    def statuses(self) -> Sequence[StreamStatus]:
        return self.shown

    async def switch(self, camera_id: str, *, on: bool) -> None:
        self.switched.append((camera_id, on))


class Outbox:
    """Targets, routes, events and deliveries in a database of their own."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_database(f"sqlite:///{folder / 'watchpost.db'}")
        self.snapshots = SnapshotFolder(folder / "snapshots")
        self.events = EventRepository(self.engine, self.snapshots)
        vault = Vault(b"a secret of these tests")
        self.targets = TargetRepository(self.engine, vault)
        self.keys = ServerKeyRepository(self.engine, vault)
        self.routes = RouteRepository(self.engine)
        self.deliveries = DeliveryRepository(self.engine)
        self.cameras = Cameras()
        self.vapid = Vapid(new_key())
        self.links = SnapshotLinks(self.keys, SETTINGS.link_s)
        self.written = asyncio.Event()
        self._last_id = 0

    def add_target(self, kind: str = "webhook", **options: Any) -> Target:
        complete, _ = TARGETS[kind].complete(TARGETS[kind].read(options))
        return self.targets.add(kind, f"a {kind}", plain(complete), 0.0)

    def add_route(self, *targets: Target, **selection: Any) -> Route:
        ids = tuple(target.target_id for target in targets)
        return self.routes.add(Route(0, "all", True, ids, **selection))

    def happen(self, stream_id: str = "gate", kind: str = "bag_placed", **more: Any) -> EventRow:
        """An event, stored as the writer of events does it."""
        self._last_id += 1
        row = replace(EVENT, event_id=self._last_id, stream_id=stream_id, type=kind, **more)
        assert self.events.add([row]) == 0
        self.written.set()
        return row

    def answers(self) -> list[tuple[str, str | None]]:
        """State and last answer of all deliveries, oldest first."""
        found = self.deliveries.page(ALL, 1000)
        return [(one.state.value, one.answer) for one in reversed(found)]

    @asynccontextmanager
    async def working(
        self, settings: NotifySettings = SETTINGS, pauses: Pauses = QUICK, **more: Any
    ) -> AsyncIterator[Dispatcher]:
        check = ReceiverCheck(settings.local_receivers)
        instance = "0123456789abcdef"
        context = NotifyContext(settings, check, self.cameras, instance, self.vapid, self.links)
        dispatcher = Dispatcher(
            self.targets,
            self.deliveries,
            Composer(self.events, self.cameras),
            context,
            self.written,
            pauses,
            **more,
        )
        async with background(dispatcher.run(), "notifications"):
            yield dispatcher


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    box = Outbox(tmp_path)
    yield box
    box.engine.dispose()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


async def until(condition: Callable[[], Any], what: str = "", timeout_s: float = 30.0) -> Any:
    """Return the condition's value once it is true, while tasks of this loop go on."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not (value := condition()):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"did not happen within {timeout_s} s: {what}")
        await asyncio.sleep(0.01)
    return value
