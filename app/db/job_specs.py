"""Specs of jobs and schedules as columns: the hosts of their sources, and all of it encrypted."""

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
    """A spec as JSON; of its URLs, only scheme, host and port."""
    origins = [urls.origin(source) for source in spec.sources]
    return asdict(spec) | {"sources": origins, "tags": list(spec.tags)}


def spec_from(options: dict[str, Any]) -> JobSpec:
    """The spec of a row; of its URLs, only scheme, host and port."""
    values = options | {"sources": tuple(options["sources"]), "tags": tuple(options["tags"])}
    return JobSpec(**values)


def encrypted_sources(
    vault: Vault, complete: list[list[str]], stored: list[list[str]]
) -> bytes | None:
    """Complete sources, encrypted; None if they are stored in plain text, as no URL is.

    Args:
        complete: the sources of the spec, and those of the job's parts.
        stored: the same as the row's other columns store them.
    """
    return None if complete == stored else vault.encrypt(json.dumps(complete))


def decrypted_sources(vault: Vault, secret: bytes, stored: list[list[str]]) -> list[list[str]]:
    """Complete sources; as the row's other columns store them if the key is lost."""
    try:
        complete: list[list[str]] = json.loads(vault.decrypt(secret))
    except SecretUnreadable as error:
        logger.error("a job's sources: %s", error)
        return stored
    return complete


def decryption_error(vault: Vault, secret: bytes | None) -> SecretUnreadable | None:
    """The error if sources were encrypted with another key.

    Such a secret must not be replaced: its key may be found again.
    """
    try:
        if secret is not None:
            vault.decrypt(secret)
    except SecretUnreadable as error:
        return error
    return None
