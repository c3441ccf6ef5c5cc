"""The parts that the cameras of a service share: databases, networks and stream managers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.config import Settings
from app.events import EventRow
from app.footage import KeepDays
from app.pipeline.channel import Channel
from app.pipeline.manager import StreamManager
from app.pipeline.registry import NullStreamStore
from app.startup.database import open_engine
from app.startup.manager import open_manager
from app.startup.networks import Networks, open_networks
from app.startup.own_footage import open_recorded_events


class SharedManagers:
    """A manager of streams for each database and device; the networks of a device are shared.

    Args:
        events: receives each event, as a callback gets it, with the id of its camera.

    Attributes:
        keep_days: how long what is recorded of each camera is kept.
    """

    def __init__(self, settings: Settings, events: Channel[tuple[str, dict[str, Any]]]) -> None:
        self.keep_days: dict[str, KeepDays] = {}
        self._settings = settings
        self._events = events
        self._stack = AsyncExitStack()
        self._networks: dict[str, Networks] = {}
        self._managers: dict[tuple[Path, str], StreamManager] = {}

    async def close(self) -> None:
        """Close all databases and networks."""
        await self._stack.aclose()

    async def get(self, db_path: Path, device: str) -> StreamManager:
        """The manager of a database on a device, opened when it is first asked for."""
        key = (await asyncio.to_thread(db_path.absolute().resolve), device)
        if key not in self._managers:
            networks = await self._networks_on(device)
            self._managers[key] = await self._open(key[0], networks)
        return self._managers[key]

    async def _networks_on(self, device: str) -> Networks:
        if device not in self._networks:
            opening = open_networks(self._settings, device)
            self._networks[device] = await self._stack.enter_async_context(opening)
        return self._networks[device]

    async def _open(self, db_path: Path, networks: Networks) -> StreamManager:
        """Open a database with its manager; a failed step undoes the earlier ones."""
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(open_engine(f"sqlite:///{db_path}"))
            opening = open_recorded_events(
                self._settings,
                engine,
                db_path.parent,
                self._on_event,
                lambda: dict(self.keep_days),
            )
            events = await stack.enter_async_context(opening)
            manager = await stack.enter_async_context(
                open_manager(
                    self._settings,
                    networks,
                    NullStreamStore(),
                    events.log,
                    engine,
                    new_packets=events.new_packets,
                )
            )
            self._stack.push_async_callback(stack.pop_all().aclose)
        return manager

    def _on_event(self, event: EventRow, snapshot: Path | None) -> None:
        path = None if snapshot is None else str(snapshot)
        self._events.put((event.stream_id, as_dict(event, path)))


def as_dict(event: EventRow, snapshot: str | None) -> dict[str, Any]:
    """An event as callbacks get it, with the rule's details beside the common fields.

    Args:
        snapshot: path of its blurred snapshot, if there is one.
    """
    return {
        **event.details,
        "type": event.type,
        "camera_id": event.stream_id,
        "session_id": event.session_id,
        "event_id": event.event_id,
        "ts": event.ts,
        "time": datetime.fromtimestamp(event.ts, UTC).isoformat(),
        "track_id": event.track_id,
        "person_id": event.person_id,
        "bag_id": event.bag_id,
        "box": None if event.box is None else list(event.box),
        "confidence": event.confidence,
        "duration_s": event.duration_s,
        "snapshot": snapshot,
    }
