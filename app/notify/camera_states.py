"""The states of cameras as MQTT has them: small, and only what changes now and then."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import quote

from app.types import StreamState, StreamStatus

ON_STATES = (StreamState.STARTING, StreamState.RUNNING, StreamState.RECONNECTING)


def topic_part(camera_id: str) -> str:
    """An id as one level of a topic."""
    return quote(camera_id, safe="")


def object_id(text: str) -> str:
    """An id of letters, digits and underscores; different texts have different ones."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").lower()
    if plain == text:
        return plain
    return f"{plain}_{hashlib.sha256(text.encode()).hexdigest()[:6]}".lstrip("_")


def camera_state(status: StreamStatus) -> dict[str, Any]:
    """A camera's state, rates and counts, JSON-ready.

    ``zones`` and ``lines`` have sums over all labels; they are empty without the rule ``objects``.
    """
    stats = status.stats
    running = status.state is StreamState.RUNNING
    places = stats.places
    return {
        "state": status.state.value,
        "on": status.state in ON_STATES,
        "fps": round(stats.input_fps) if running else 0,
        "error": None if running else stats.last_error,
        "counts": {"face": stats.faces, **stats.followed} if running else {},
        "zones": {
            zone.name: {"now": sum(zone.now.values()), "today": sum(zone.today.values())}
            for zone in (places.zones if places else ())
        },
        "lines": {
            line.name: {way: sum(labels.values()) for way, labels in line.today.items()}
            for line in (places.lines if places else ())
        },
    }
