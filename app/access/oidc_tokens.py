"""ID tokens of an OpenID Connect provider: their signature and claims.

Source: OpenID Connect Core 1.0, 3.1.3.7.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from app.errors import ProviderNotTrusted

logger = logging.getLogger(__name__)

ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
]
"""Signatures with public keys only: a shared secret or no signature proves nothing here."""


def claims_of(
    reply: Mapping[str, Any],
    keys: Any,
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    now: float,
    leeway_s: int,
) -> dict[str, Any]:
    """The checked claims about a user.

    Args:
        reply: of the token endpoint.
        keys: the provider's key set (RFC 7517).
        nonce: that of this sign-in.
        now: Unix seconds.
        leeway_s: how far the provider's clock may differ.

    Raises:
        ProviderNotTrusted: the token is not genuine, not for this server or sign-in, or expired.
    """
    expected = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": client_id},
        "nonce": {"essential": True},
    }
    known = {"nonce": nonce, "client_id": client_id, "access_token": reply.get("access_token")}
    try:
        found = jwt.decode(
            str(reply.get("id_token", "")),
            KeySet.import_key_set(keys),
            registry=JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False),
        )
        claims = CodeIDToken(found.claims, found.header, expected, known)
        claims.validate(now=int(now), leeway=leeway_s)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        claim = getattr(error, "claim", "")
        raise not_trusted(f"{type(error).__name__} {claim}".strip()) from None
    if not isinstance(claims["sub"], str):
        raise not_trusted("the id of the user is no text")
    return dict(claims)


def not_trusted(why: str) -> ProviderNotTrusted:
    """The error, after the log has said why; the caller is not told."""
    logger.warning("the identity provider's reply cannot be trusted: %s", why)
    return ProviderNotTrusted()
