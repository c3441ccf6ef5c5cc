"""Messages as CloudEvents 1.0 in the structured JSON form.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from app.events import EventRow, event_fields
from app.notify.base import Message

CONTENT_TYPE = "application/cloudevents+json"
PREFIX = "watchpost."
TEST_TEXT = "This is a test message of Watchpost."


def cloud_event(message: Message, source: str, link: Callable[[str], str]) -> dict[str, Any]:
    """A message as a CloudEvent, JSON-ready.

    One event is ``watchpost.<type>``, and its ``data`` is as in the API. Several are
    ``watchpost.events``, with a list in ``data.events``.

    Args:
        link: makes a URL of a path of this server.
    """
    events = [linked_fields(event, link) for event in message.events]
    if len(events) == 1:
        kind, data = message.events[0].type, events[0]
    elif events:
        kind, data = "events", {"count": len(events), "events": events}
    else:
        kind, data = "test", {"text": TEST_TEXT}
    happened_ts = message.events[0].ts if events else message.created_ts
    envelope = {
        "specversion": "1.0",
        "id": message.message_id,
        "source": source,
        "type": PREFIX + kind,
        "time": datetime.fromtimestamp(happened_ts, UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }
    return envelope | ({"subject": message.stream_id} if message.stream_id else {})


def linked_fields(event: EventRow, link: Callable[[str], str]) -> dict[str, Any]:
    """An event as the API has it, with the URLs of its snapshot and its clip."""
    fields = event_fields(event)
    return fields | {name: fields[name] and link(fields[name]) for name in ("snapshot", "clip")}
