"""Stores the plates that pass cameras, in the background and in the same form as uploads."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from app.anpr.service import PlateService
from app.errors import WatchpostError
from app.events import Event
from app.models.plates import formats
from app.pipeline.event_log import EventLog
from app.pipeline.sinks.jpeg import encode_jpeg
from app.plates import PlateRead
from app.types import Box

logger = logging.getLogger(__name__)

SEEN = "plate_seen"


class PlateEventRecorder:
    """Stores the plates of ``plate_seen`` events; failures are logged, and the plate is dropped."""

    def __init__(self, events: EventLog, service: PlateService) -> None:
        self._events = events
        self._service = service

    async def run(self) -> None:
        with self._events.with_frames() as arriving:
            async for event in arriving:
                if event.rule_event.type == SEEN and event.rule_event.crop:
                    try:
                        await asyncio.to_thread(self._store, event)
                    except WatchpostError as error:
                        logger.error("a plate of %s is not stored: %s", event.stream_id, error)

    def _store(self, event: Event) -> None:
        """Store the plate of an event, with its clear crop and the blurred frame."""
        rule_event = event.rule_event
        frame = encode_jpeg(event.frame) if event.frame is not None else b""
        at = datetime.fromtimestamp(event.ts, UTC)
        self._service.store_from_camera(
            event.stream_id, read_of(event), rule_event.crop or b"", frame, at
        )


def read_of(event: Event) -> PlateRead:
    """The plate reading in an event."""
    rule_event, details = event.rule_event, event.rule_event.details
    number = str(details["plate_number"])
    box = rule_event.tracks[0].box if rule_event.tracks else Box(0, 0, 0, 0)
    countries = "/".join(formats.countries_of(number)) or None
    others = tuple(map(str, details["alternatives"]))
    return PlateRead(
        number, rule_event.confidence or 0.0, box, others, countries, dict(details["votes"])
    )
