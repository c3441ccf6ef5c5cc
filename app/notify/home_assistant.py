"""Home Assistant's MQTT discovery: one device for each camera.

Source: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

from typing import Any

from app.notify.camera_states import object_id
from app.notify.rule_sensors import COUNTS_PLACES, RULE_SENSORS
from app.places import DIRECTIONS, line_names, zone_names, zones_of
from app.types import StreamSpec

Component = dict[str, Any]


def unique_id(instance: str, camera_id: str) -> str:
    """The id of a camera's device, different on each server."""
    return f"watchpost_{instance}_{object_id(camera_id)}"


def discovery(
    spec: StreamSpec, state: dict[str, Any], instance: str, base: str, camera: str, link: str
) -> dict[str, Any]:
    """The discovery payload of a camera.

    Args:
        state: as it is published; it says which kinds of objects are counted now.
        base: the topic of this server.
        camera: the topic of the camera.
        link: URL of this server's page, or an empty text.
    """
    device = unique_id(instance, spec.stream_id)
    components = _components(spec, state, camera)
    for key, component in components.items():
        component["unique_id"] = f"{device}_{key}"
    page = {"configuration_url": link} if link.startswith("http") else {}
    return {
        "device": {
            "identifiers": [device],
            "name": spec.name or spec.stream_id,
            "manufacturer": "Watchpost",
            **page,
        },
        "origin": {"name": "Watchpost"},
        "availability": [{"topic": f"{base}/status"}],
        "components": components,
    }


def _count_name(kind: str) -> str:
    return f"{kind.replace('_', ' ').capitalize()} count"


def removed(component: Component) -> Component:
    """What takes an entity's place that no longer exists."""
    return {"platform": component["platform"]}


def _components(spec: StreamSpec, state: dict[str, Any], camera: str) -> dict[str, Component]:
    found: dict[str, Component] = {
        "state": _sensor(camera, "State", "value_json.state", icon="mdi:cctv"),
        "fps": _sensor(camera, "Frame rate", "value_json.fps", unit_of_measurement="fps"),
        "run": {
            "platform": "switch",
            "name": "Run",
            "state_topic": f"{camera}/state",
            "value_template": "{{ 'ON' if value_json.on else 'OFF' }}",
            "command_topic": f"{camera}/run/set",
        },
        "snapshot": {
            "platform": "image",
            "name": "Last event",
            "image_topic": f"{camera}/snapshot",
            "content_type": "image/jpeg",
        },
    }
    for key, sensor in RULE_SENSORS.items():
        if sensor.rule in spec.analytics:
            topic = f"{camera}/rules/{key}"
            found[key] = {"platform": "binary_sensor", "name": sensor.name, "state_topic": topic}
            if sensor.off_s is not None:
                found[key]["off_delay"] = sensor.off_s
    for kind in state["counts"]:
        value = f"value_json.counts[{_quoted(kind)}] | default(0)"
        found[f"count_{object_id(kind)}"] = _sensor(camera, _count_name(kind), value)
    if COUNTS_PLACES in spec.analytics:
        found |= _places(spec, camera)
    return found


def _places(spec: StreamSpec, camera: str) -> dict[str, Component]:
    """Zones and lines, also while the camera is stopped: what was removed, Home Assistant forgets
    with all that its user has set. Counts are unknown meanwhile, and nobody is in a zone."""
    found: dict[str, Component] = {}
    for name in zone_names(zones_of(COUNTS_PLACES, spec.zones)):
        key = f"zone_{object_id(name)}"
        zone = f"(value_json.zones[{_quoted(name)}] | default({{}}))"
        now = f"{zone}.now | default(0)"
        found[key] = _zone(camera, name, now)
        found[f"{key}_now"] = _sensor(camera, f"{name} now", now)
        found[f"{key}_today"] = _sensor(camera, f"{name} today", f"{zone}.today | default(none)")
    for name in line_names(spec.lines):
        line = f"(value_json.lines[{_quoted(name)}] | default({{}}))"
        for way in DIRECTIONS:
            title = f"{name} {way.replace('_', ' ')} today"
            value = f"{line}.{way} | default(none)"
            found[f"line_{object_id(name)}_{way}"] = _sensor(camera, title, value)
    return found


def _sensor(camera: str, name: str, value: str, **more: Any) -> Component:
    return {
        "platform": "sensor",
        "name": name,
        "state_topic": f"{camera}/state",
        "value_template": f"{{{{ {value} }}}}",
        **more,
    }


def _zone(camera: str, name: str, count: str) -> Component:
    return {
        "platform": "binary_sensor",
        "name": name,
        "device_class": "occupancy",
        "state_topic": f"{camera}/state",
        "value_template": f"{{{{ 'ON' if {count} else 'OFF' }}}}",
    }


def _quoted(text: str) -> str:
    """A text as a literal of a template; it cannot end the template."""
    escaped = text.encode("unicode_escape").decode()
    return '"' + escaped.replace('"', r"\x22").replace("{", r"\x7b").replace("}", r"\x7d") + '"'
