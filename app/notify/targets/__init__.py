"""The kinds of targets. A new one is one file here and one line in ``TARGETS``."""

from __future__ import annotations

from app.notify.base import TargetKind
from app.notify.targets import mqtt, webhook

TARGETS: dict[str, TargetKind] = {
    "mqtt": mqtt.KIND,
    "webhook": webhook.KIND,
}
