"""MQTT 5: events with QoS 1; states, counts and snapshots latest-only; Home Assistant discovery."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import unquote

import aiomqtt
from pydantic import AfterValidator, Field, SecretStr, StringConstraints, field_validator

from app.errors import AddressNotAllowed, WatchpostError
from app.events import EventRow
from app.notify import home_assistant
from app.notify.base import Message, NotifyContext, Options, SendFailed, TargetKind
from app.notify.camera_states import camera_state, topic_part
from app.notify.cloud_events import linked_fields
from app.notify.mqtt_client import (
    KEEPALIVE_S,
    MAX_INCOMING,
    BrokerClient,
    checked_address,
    in_words,
    tls_context,
)
from app.notify.rule_sensors import RULE_SENSORS, RuleStates
from app.pace import Backoff
from app.types import StreamSpec

logger = logging.getLogger(__name__)

BACKOFF_FIRST_S, BACKOFF_MAX_S = 1.0, 60.0
GOODBYE_S = 1.0
ONLINE, OFFLINE = "online", "offline"


def _check_pem(pem: str | None) -> str | None:
    if pem is not None:
        tls_context("localhost", pem)
    return pem


Topic = Annotated[str, StringConstraints(pattern=r"^[^#+\x00-\x20/]+(/[^#+\x00-\x20/]+){0,5}$")]


class MqttOptions(Options):
    """The broker, and what is published where."""

    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]+$", max_length=253)] = Field(
        description="Name or address of the broker."
    )
    port: int | None = Field(None, ge=1, le=65535, description="Default: 1883, or 8883 with TLS.")
    tls: bool = Field(False, description="Encrypted, with the broker's certificate verified.")
    ca: Annotated[str | None, AfterValidator(_check_pem)] = Field(
        None, max_length=100_000, description="PEM of the broker's own certificate authority."
    )
    username: str | None = Field(None, max_length=200)
    password: SecretStr | None = Field(None, max_length=1000)
    topic: Topic = Field("watchpost", max_length=200, description="All topics are below this one.")
    discovery: bool = Field(True, description="Announce cameras to Home Assistant.")
    discovery_topic: Topic = Field("homeassistant", max_length=200)
    snapshots: bool = Field(True, description="Publish the blurred frame of the last event.")
    commands: bool = Field(True, description="Start and stop cameras when the broker says so.")
    every_s: float = Field(2.0, ge=0.1, le=60, description="States are published this often.")

    @field_validator("host")
    @classmethod
    def _without_port(cls, host: str) -> str:
        if host.count(":") == 1:
            raise ValueError("a name or an address, without a port")
        return host


class MqttSender:
    """One connection to a broker, which is made again when it is lost."""

    def __init__(self, options: MqttOptions, context: NotifyContext) -> None:
        self._options = options
        self._context = context
        self._client: BrokerClient | None = None
        self._connected = asyncio.Event()
        self._why = "not connected yet"
        self._rules = RuleStates()
        self._states: dict[str, str] = {}
        self._announced: dict[str, dict[str, Any]] = {}
        self._status = f"{options.topic}/status"

    # ── events ───────────────────────────────────────────────────────────────────────────

    async def send(self, message: Message) -> str:
        """Publish the events of a message, each acknowledged by the broker."""
        try:
            async with asyncio.timeout(self._context.settings.timeout_s):
                client = await self._wait_connected()
                if not message.events:
                    await client.publish_acknowledged(f"{self._options.topic}/test", b"test")
                for event in message.events:
                    await self._tell(client, message, event)
                await self._show(client, message)
        except TimeoutError:
            raise SendFailed(self._why, unreachable=True) from None
        except aiomqtt.MqttError as error:
            raise SendFailed(in_words(error), unreachable=True) from None
        return "the broker accepted it"

    async def _wait_connected(self) -> BrokerClient:
        while self._client is None:
            await self._connected.wait()
        return self._client

    async def _tell(self, client: BrokerClient, message: Message, event: EventRow) -> None:
        camera = self._camera_topic(event.stream_id)
        fields = linked_fields(event, self._context.link)
        fields |= {"message_id": message.message_id, "camera_name": message.camera_name}
        payload = json.dumps(fields, ensure_ascii=False).encode()
        await client.publish_acknowledged(f"{camera}/events", payload)
        for key, on in self._rules.seen(event).items():
            await client.publish(f"{camera}/rules/{key}", _on_off(on), retain=_is_kept(key))

    async def _show(self, client: BrokerClient, message: Message) -> None:
        if self._options.snapshots and (jpeg := await message.snapshot()) is not None:
            camera = self._camera_topic(message.stream_id)
            await client.publish(f"{camera}/snapshot", jpeg, retain=True)

    # ── the connection ───────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Keep the connection, and publish states until cancelled."""
        backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_MAX_S)
        while True:
            try:
                client = await self._new_client()
                try:
                    async with client:
                        backoff.reset()
                        await self._serve(client)
                finally:
                    client.settle()
            except (aiomqtt.MqttError, OSError, AddressNotAllowed) as error:
                if isinstance(error, AddressNotAllowed):
                    self._why = str(error)
                else:
                    self._why = in_words(error)
            await asyncio.sleep(backoff.next())

    async def close(self) -> None:
        """Nothing is left once ``run`` has ended."""

    async def _new_client(self) -> BrokerClient:
        options = self._options
        port = options.port or (8883 if options.tls else 1883)
        context = None
        password = options.password.get_secret_value() if options.password else None
        if options.tls:
            context = await asyncio.to_thread(tls_context, options.host, options.ca)
        return BrokerClient(
            await checked_address(options.host, port),
            port,
            username=options.username,
            password=password,
            identifier=f"watchpost-{self._context.instance}-{topic_part(options.topic)}"[:60],
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=KEEPALIVE_S,
            will=aiomqtt.Will(self._status, OFFLINE, qos=1, retain=True),
            tls_context=context,
            timeout=self._context.settings.timeout_s,
            max_queued_incoming_messages=MAX_INCOMING,
        )

    async def _serve(self, client: BrokerClient) -> None:
        """Publish and listen until the connection is lost, or this is cancelled."""
        self._states.clear()
        self._announced.clear()
        await self._subscribe(client)
        await self._publish_states(client)
        await client.publish(self._status, ONLINE, qos=1, retain=True)
        self._client = client
        self._connected.set()
        listening = asyncio.create_task(self._listen(client))
        publishing = asyncio.create_task(self._keep_publishing(client))
        try:
            await asyncio.wait([listening, publishing], return_when=asyncio.FIRST_COMPLETED)
            for task in (listening, publishing):
                if task.done():
                    task.result()
        except asyncio.CancelledError:  # an orderly end sends no last will
            with suppress(aiomqtt.MqttError, TimeoutError):
                await client.publish(self._status, OFFLINE, qos=1, retain=True, timeout=GOODBYE_S)
            raise
        finally:
            self._client = None
            self._connected.clear()
            self._why = "the connection was lost"
            for task in (listening, publishing):
                task.cancel()
            await asyncio.wait([listening, publishing], timeout=GOODBYE_S)

    # ── states ───────────────────────────────────────────────────────────────────────────

    async def _keep_publishing(self, client: BrokerClient) -> None:
        while True:
            await asyncio.sleep(self._options.every_s)
            await self._publish_states(client)

    async def _publish_states(self, client: BrokerClient) -> None:
        """Publish what has changed since the last time, and remove cameras that are gone."""
        statuses = {one.spec.stream_id: one for one in self._context.cameras.statuses()}
        for camera_id, status in statuses.items():
            state = camera_state(status) | {"server": self._context.instance}
            await self._announce(client, status.spec, state)
            text = json.dumps(state, ensure_ascii=False)
            if self._states.get(camera_id) == text:
                continue
            camera = self._camera_topic(camera_id)
            await client.publish(f"{camera}/state", text, retain=True)
            if not state["on"] or camera_id not in self._states:
                await self._rules_off(client, status.spec)
            self._states[camera_id] = text
        for camera_id in [one for one in self._states if one not in statuses]:
            del self._states[camera_id]
            self._announced.pop(camera_id, None)
            self._rules.forget(camera_id)
            await self._remove(client, camera_id)

    async def _rules_off(self, client: BrokerClient, spec: StreamSpec) -> None:
        self._rules.forget(spec.stream_id)
        camera = self._camera_topic(spec.stream_id)
        for key, sensor in RULE_SENSORS.items():
            if sensor.rule in spec.analytics and _is_kept(key):
                await client.publish(f"{camera}/rules/{key}", _on_off(False), retain=True)

    async def _announce(
        self, client: BrokerClient, spec: StreamSpec, state: dict[str, Any]
    ) -> None:
        if not self._options.discovery:
            return
        told = home_assistant.discovery(
            spec,
            state,
            self._context.instance,
            self._options.topic,
            self._camera_topic(spec.stream_id),
            self._context.link("/viewer"),
        )
        before = self._announced.get(spec.stream_id, {})
        gone = {
            key: home_assistant.removed(component)
            for key, component in before.get("components", {}).items()
            if key not in told["components"] and not key.startswith("count_")
        }
        kept = {  # counts are not known while a camera does not run
            key: component
            for key, component in before.get("components", {}).items()
            if key.startswith("count_")
        }
        told["components"] = {**kept, **gone, **told["components"]}
        if told != before:
            self._announced[spec.stream_id] = told
            await client.publish(
                self._discovery_topic(spec.stream_id), json.dumps(told), retain=True
            )

    async def _remove(self, client: BrokerClient, camera_id: str) -> None:
        camera = self._camera_topic(camera_id)
        topics = [f"{camera}/state", f"{camera}/snapshot"]
        topics += [f"{camera}/rules/{key}" for key in RULE_SENSORS if _is_kept(key)]
        if self._options.discovery:
            topics.append(self._discovery_topic(camera_id))
        for topic in topics:
            await client.publish(topic, None, retain=True)

    # ── what the broker says ─────────────────────────────────────────────────────────────

    async def _subscribe(self, client: BrokerClient) -> None:
        options = self._options
        if options.commands:
            await client.subscribe(f"{options.topic}/+/run/set", qos=1)
        await client.subscribe(f"{options.topic}/+/state")
        if options.discovery:
            await client.subscribe(f"{options.discovery_topic}/status")

    async def _listen(self, client: BrokerClient) -> None:
        """Take commands; say everything again when Home Assistant starts."""
        options = self._options
        async for message in client.messages:
            topic = str(message.topic)
            if topic == f"{options.discovery_topic}/status":
                if message.payload == ONLINE.encode():
                    self._announced.clear()
                    self._states.clear()
                continue
            camera_id = unquote(topic.removeprefix(f"{options.topic}/").partition("/")[0])
            if topic.endswith("/run/set") and not message.retain:
                await self._switch(camera_id, message.payload)
            elif (
                topic.endswith("/state")
                and message.retain
                and self._is_left_over(camera_id, message.payload)
            ):
                await self._remove(client, camera_id)

    def _is_left_over(self, camera_id: str, payload: object) -> bool:
        """Whether a kept state is of a camera that this server has no longer."""
        if camera_id in self._states or not isinstance(payload, bytes):
            return False
        try:
            state = json.loads(payload)
        except ValueError:
            return False
        return isinstance(state, dict) and state.get("server") == self._context.instance

    async def _switch(self, camera_id: str, payload: object) -> None:
        if payload not in (b"ON", b"OFF"):
            return
        try:
            await self._context.cameras.switch(camera_id, on=payload == b"ON")
        except WatchpostError as error:
            logger.warning("MQTT: a camera was not switched: %s", error)

    def _camera_topic(self, camera_id: str) -> str:
        return f"{self._options.topic}/{topic_part(camera_id)}"

    def _discovery_topic(self, camera_id: str) -> str:
        device = home_assistant.unique_id(self._context.instance, camera_id)
        return f"{self._options.discovery_topic}/device/{device}/config"


def _is_kept(key: str) -> bool:
    """Whether the broker keeps a sensor's state: one that switches itself off is not kept."""
    return RULE_SENSORS[key].off_s is None


def _on_off(on: bool) -> str:
    return "ON" if on else "OFF"


KIND = TargetKind(
    summary="An MQTT 5 broker: events, states, counts, snapshots; Home Assistant discovery.",
    options=MqttOptions,
    make=MqttSender,
)
