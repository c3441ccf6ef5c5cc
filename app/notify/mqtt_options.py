"""The settings of an MQTT target."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, field_validator

from app.notify.base import Options
from app.notify.mqtt_client import tls_context


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
        if ":" in host:
            try:
                ipaddress.IPv6Address(host)
            except ValueError:
                raise ValueError("a name or an address, without a port") from None
        return host
