"""Random secrets, and the hashes under which they are stored."""

from __future__ import annotations

import hashlib
import secrets

TOKEN_PREFIX = "wp_"
"""Marks API tokens, for people and for scanners of leaked secrets."""


def new_secret(prefix: str = "") -> str:
    """A secret with 256 random bits."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """The hash that stands for a random secret in the database.

    A fast hash is enough: 256 random bits cannot be found by trying.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
