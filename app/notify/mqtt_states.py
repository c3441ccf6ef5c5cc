"""States, counts and rules of cameras on an MQTT broker, and their Home Assistant devices."""

from __future__ import annotations

import json
from typing import Any

from app.events import EventRow
from app.notify import home_assistant
from app.notify.base import NotifyContext
from app.notify.camera_states import camera_state, topic_part
from app.notify.mqtt_client import BrokerClient
from app.notify.mqtt_options import MqttOptions
from app.notify.rule_sensors import RULE_SENSORS, RuleStates
from app.types import StreamSpec


class StatePublisher:
    """Publishes what has changed, retained: a broker and its clients see the latest only."""

    def __init__(self, options: MqttOptions, context: NotifyContext) -> None:
        self._options = options
        self._context = context
        self._rules = RuleStates()
        self._states: dict[str, str] = {}
        self._announced: dict[str, dict[str, Any]] = {}

    def repeat(self) -> None:
        """Publish everything again next time: the other side may have forgotten it."""
        self._announced.clear()
        self._states.clear()

    async def publish_rules(self, client: BrokerClient, event: EventRow) -> None:
        """Publish which rules an event switches on or off."""
        camera = self.camera_topic(event.stream_id)
        for key, on in self._rules.seen(event).items():
            await client.publish(f"{camera}/rules/{key}", _on_off(on), retain=_is_kept(key))

    async def publish(self, client: BrokerClient) -> None:
        """Publish what has changed since the last time, and remove cameras that are gone."""
        statuses = {one.spec.stream_id: one for one in self._context.cameras.statuses()}
        for camera_id, status in statuses.items():
            state = camera_state(status) | {"server": self._context.instance}
            await self._announce(client, status.spec, state)
            if self._rules.begin(camera_id, status.stats.session_id):
                await self._publish_kept_rules(client, status.spec)
            text = json.dumps(state, ensure_ascii=False)
            if self._states.get(camera_id) == text:
                continue
            camera = self.camera_topic(camera_id)
            await client.publish(f"{camera}/state", text, retain=True)
            if not state["on"]:
                self._rules.forget(camera_id)
            if not state["on"] or camera_id not in self._states:
                await self._publish_kept_rules(client, status.spec)
            self._states[camera_id] = text
        for camera_id in [one for one in self._states if one not in statuses]:
            del self._states[camera_id]
            self._announced.pop(camera_id, None)
            self._rules.forget(camera_id)
            await self.remove(client, camera_id)

    async def _publish_kept_rules(self, client: BrokerClient, spec: StreamSpec) -> None:
        camera = self.camera_topic(spec.stream_id)
        for key, sensor in RULE_SENSORS.items():
            if sensor.rule in spec.analytics and _is_kept(key):
                on = self._rules.is_on(spec.stream_id, key)
                await client.publish(f"{camera}/rules/{key}", _on_off(on), retain=True)

    async def _announce(
        self, client: BrokerClient, spec: StreamSpec, state: dict[str, Any]
    ) -> None:
        if not self._options.discovery:
            return
        message = home_assistant.discovery(
            spec,
            state,
            self._context.instance,
            self._options.topic,
            self.camera_topic(spec.stream_id),
            self._context.link("/viewer"),
        )
        before = self._announced.get(spec.stream_id, {})
        gone = {
            key: home_assistant.removed(component)
            for key, component in before.get("components", {}).items()
            if key not in message["components"] and not key.startswith("count_")
        }
        kept = {  # counts are not known while a camera does not run
            key: component
            for key, component in before.get("components", {}).items()
            if key.startswith("count_")
        }
        message["components"] = {**kept, **gone, **message["components"]}
        if message != before:
            self._announced[spec.stream_id] = message
            await client.publish(
                self._discovery_topic(spec.stream_id), json.dumps(message), retain=True
            )

    async def remove(self, client: BrokerClient, camera_id: str) -> None:
        camera = self.camera_topic(camera_id)
        topics = [f"{camera}/state", f"{camera}/snapshot"]
        topics += [f"{camera}/rules/{key}" for key in RULE_SENSORS if _is_kept(key)]
        if self._options.discovery:
            topics.append(self._discovery_topic(camera_id))
        for topic in topics:
            await client.publish(topic, None, retain=True)

    async def remove_left_over(self, client: BrokerClient, camera_id: str, payload: object) -> None:
        """Remove a retained state if its camera is one that this server has no longer."""
        if camera_id in self._states or not isinstance(payload, bytes):
            return
        try:
            state = json.loads(payload)
        except ValueError:
            return
        if isinstance(state, dict) and state.get("server") == self._context.instance:
            await self.remove(client, camera_id)

    def camera_topic(self, camera_id: str) -> str:
        """Below which everything of a camera is published."""
        return f"{self._options.topic}/{topic_part(camera_id)}"

    def _discovery_topic(self, camera_id: str) -> str:
        device = home_assistant.unique_id(self._context.instance, camera_id)
        return f"{self._options.discovery_topic}/device/{device}/config"


def _is_kept(key: str) -> bool:
    """Whether the broker keeps a sensor's state: one that switches itself off is not kept."""
    return RULE_SENSORS[key].off_s is None


def _on_off(on: bool) -> str:
    return "ON" if on else "OFF"
