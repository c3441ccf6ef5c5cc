"""The kinds of targets. A new one is one file here and one line in ``TARGETS``."""

from __future__ import annotations

from app.notify.base import TargetKind
from app.notify.targets import apprise, mqtt, web_push, webhook

TARGETS: dict[str, TargetKind] = {
    "apprise": apprise.KIND,
    "mqtt": mqtt.KIND,
    "web_push": web_push.KIND,
    "webhook": webhook.KIND,
}
