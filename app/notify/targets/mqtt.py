"""MQTT 5: events with QoS 1; states, counts and snapshots latest-only; Home Assistant discovery."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from urllib.parse import unquote

import aiomqtt

from app.errors import AddressNotAllowed, WatchpostError
from app.events import EventRow
from app.notify.base import Message, NotifyContext, SendFailed, TargetKind
from app.notify.camera_states import topic_part
from app.notify.cloud_events import linked_fields
from app.notify.mqtt_client import (
    KEEPALIVE_S,
    MAX_INCOMING,
    BrokerClient,
    checked_address,
    in_words,
    tls_context,
)
from app.notify.mqtt_options import MqttOptions
from app.notify.mqtt_states import StatePublisher
from app.pace import Backoff

logger = logging.getLogger(__name__)

BACKOFF_FIRST_S, BACKOFF_MAX_S = 1.0, 60.0
GOODBYE_S = 1.0
ONLINE, OFFLINE = "online", "offline"


class MqttSender:
    """One connection to a broker, which is made again when it is lost."""

    def __init__(self, options: MqttOptions, context: NotifyContext) -> None:
        self._options = options
        self._context = context
        self._client: BrokerClient | None = None
        self._connected = asyncio.Event()
        self._why = "not connected yet"
        self._states = StatePublisher(options, context)
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
        camera = self._states.camera_topic(event.stream_id)
        fields = linked_fields(event, self._context.link)
        fields |= {"message_id": message.message_id, "camera_name": message.camera_name}
        payload = json.dumps(fields, ensure_ascii=False).encode()
        await client.publish_acknowledged(f"{camera}/events", payload)
        await self._states.publish_rules(client, event)

    async def _show(self, client: BrokerClient, message: Message) -> None:
        if self._options.snapshots and (jpeg := await message.snapshot()) is not None:
            camera = self._states.camera_topic(message.stream_id)
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
        self._states.repeat()
        await self._subscribe(client)
        await self._states.publish(client)
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

    async def _keep_publishing(self, client: BrokerClient) -> None:
        while True:
            await asyncio.sleep(self._options.every_s)
            await self._states.publish(client)

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
                    self._states.repeat()
                continue
            camera_id = unquote(topic.removeprefix(f"{options.topic}/").partition("/")[0])
            if topic.endswith("/run/set") and not message.retain:
                await self._switch(camera_id, message.payload)
            elif topic.endswith("/state") and message.retain:
                await self._states.remove_left_over(client, camera_id, message.payload)

    async def _switch(self, camera_id: str, payload: object) -> None:
        if payload not in (b"ON", b"OFF"):
            return
        try:
            await self._context.cameras.switch(camera_id, on=payload == b"ON")
        except WatchpostError as error:
            logger.warning("MQTT: a camera was not switched: %s", error)


KIND = TargetKind(
    summary="An MQTT 5 broker: events, states, counts, snapshots; Home Assistant discovery.",
    options=MqttOptions,
    make=MqttSender,
)
