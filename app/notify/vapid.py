"""This server's identity at push services (VAPID, RFC 8292)."""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from joserfc import jwt
from joserfc.jwk import ECKey

LIFETIME_S = 12 * 3600
"""How long a signature is valid; push services refuse more than a day."""
CONTACT = "https://github.com/watchpost/watchpost"


def new_key() -> str:
    """A private key of the curve P-256 as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Vapid:
    """Signs requests to push services.

    Args:
        pem: the private key. Browsers bind subscriptions to its public key, so it stays the same.
        contact: whom a push service may ask: a ``mailto:`` or ``https:`` URL.
    """

    def __init__(self, pem: str, contact: str | None = None) -> None:
        private = load_pem_private_key(pem.encode(), None)
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public_key = base64url(point)
        self._contact = contact or CONTACT
        self._key = ECKey.import_key(pem)

    def authorization(self, endpoint: str, now: float) -> str:
        """The ``Authorization`` header of a request to a push service."""
        url = urlsplit(endpoint)
        claims = {
            "aud": f"{url.scheme}://{url.netloc.rpartition('@')[2]}",
            "exp": int(now) + LIFETIME_S,
            "sub": self._contact,
        }
        token = jwt.encode({"typ": "JWT", "alg": "ES256"}, claims, self._key)
        return f"vapid t={token},k={self.public_key}"


def base64url(data: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Raises ValueError."""
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", True)
