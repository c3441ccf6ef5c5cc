"""Encryption of push messages, so that only the browser that subscribed can read them.

Sources: RFC 8291 (message encryption for Web Push) and RFC 8188 (its encoding ``aes128gcm``).
"""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ENCODING = "aes128gcm"
MAX_BODY = 4096
"""Bytes that every push service accepts."""
POINT_BYTES, AUTH_BYTES, SALT_BYTES, TAG_BYTES = 65, 16, 16, 16
HEADER_BYTES = SALT_BYTES + 4 + 1 + POINT_BYTES
MAX_TEXT = MAX_BODY - HEADER_BYTES - TAG_BYTES - 1
LAST_RECORD = b"\x02"


def public_key(point: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a subscription. Raises ValueError for bytes that are no point of P-256."""
    if len(point) != POINT_BYTES:
        raise ValueError("not an uncompressed point")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def encrypt(
    text: bytes,
    point: bytes,
    auth: bytes,
    salt: bytes | None = None,
    sender: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """The body of a push message, as one record.

    Args:
        text: at most ``MAX_TEXT`` bytes.
        point, auth: ``p256dh`` and ``auth`` of the subscription.
        salt, sender: random, unless a test wants the example of RFC 8291.
    """
    salt = salt or os.urandom(SALT_BYTES)
    sender = sender or ec.generate_private_key(ec.SECP256R1())
    own_point = sender.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = sender.exchange(ec.ECDH(), public_key(point))
    secret = _derived(shared, auth, b"WebPush: info\0" + point + own_point, 32)
    key = _derived(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + MAX_BODY.to_bytes(4, "big") + bytes([POINT_BYTES]) + own_point
    return header + AESGCM(key).encrypt(nonce, text + LAST_RECORD, None)


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
