"""Specs of jobs and schedules as columns: sources as they may be shown, and encrypted in full."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import Any

from app import urls
from app.db.vault import Vault
from app.errors import SecretUnreadable
from app.jobs import JobSpec

logger = logging.getLogger(__name__)


def spec_options(spec: JobSpec) -> dict[str, Any]:
    """A spec as JSON, with its sources without credentials."""
    shown = [urls.without_credentials(source) for source in spec.sources]
    return asdict(spec) | {"sources": shown, "tags": list(spec.tags)}


def spec_from(options: dict[str, Any]) -> JobSpec:
    """The spec of a row, with its sources without credentials."""
    values = options | {"sources": tuple(options["sources"]), "tags": tuple(options["tags"])}
    return JobSpec(**values)


def encrypted_sources(
    vault: Vault, complete: list[list[str]], shown: list[list[str]]
) -> bytes | None:
    """Sources with their credentials, encrypted; None where there are no credentials.

    Args:
        complete: the sources of the spec, and those of the job's parts.
        shown: the same without credentials.
    """
    return None if complete == shown else vault.encrypt(json.dumps(complete))


def decrypted_sources(vault: Vault, secret: bytes, shown: list[list[str]]) -> list[list[str]]:
    """Sources with their credentials; without them if the key is lost, so they are refused."""
    try:
        complete: list[list[str]] = json.loads(vault.decrypt(secret))
    except SecretUnreadable as error:
        logger.error("a job's sources: %s", error)
        return shown
    return complete
