"""Encryption of stored credentials, and fingerprints to look values up without storing them.

Encryption is Fernet (AES-128-CBC with HMAC-SHA256), fingerprints are HMAC-SHA256, and signatures
Ed25519. All keys are derived by HKDF from one secret, which lies in a file that only its owner can
read, or comes from the environment.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.errors import SecretUnreadable

KEY_FILE = "secret.key"
_SEALED = "sealed:"
_UNREADABLE = f"(encrypted with another key than that in {KEY_FILE})"


class Vault:
    """Encrypts what contains credentials, and makes fingerprints that reveal nothing.

    Args:
        secret: at least 16 characters or bytes of randomness.
    """

    def __init__(self, secret: bytes) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(_derive(secret, b"watchpost encryption")))
        self._hash_key = _derive(secret, b"watchpost fingerprint")
        seed = _derive(secret, b"watchpost signature")
        self._signing_key = Ed25519PrivateKey.from_private_bytes(seed)

    def encrypt(self, text: str) -> bytes:
        return self._fernet.encrypt(text.encode())

    def decrypt(self, data: bytes) -> str:
        """Raises SecretUnreadable when the data was encrypted with another key."""
        try:
            return self._fernet.decrypt(data).decode()
        except InvalidToken:
            raise SecretUnreadable(key_file=KEY_FILE) from None

    def seal(self, text: str) -> str:
        """A text as a column stores it: encrypted if it contains a network URL."""
        return _SEALED + self.encrypt(text).decode() if "://" in text else text

    def unseal(self, text: str) -> str:
        """The original of a sealed text; a note instead if it was sealed with another key."""
        if not text.startswith(_SEALED):
            return text
        try:
            return self.decrypt(text.removeprefix(_SEALED).encode())
        except SecretUnreadable:
            return _UNREADABLE

    def sign(self, text: str) -> str:
        """A signature (Ed25519) in hexadecimal digits."""
        return self._signing_key.sign(text.encode()).hex()

    def is_signed(self, text: str, signature: str) -> bool:
        """Whether this vault made the signature of a text."""
        try:
            self._signing_key.public_key().verify(bytes.fromhex(signature), text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True

    def fingerprint(self, text: str) -> str:
        """64 hexadecimal digits, equal for equal texts; without the key they reveal nothing."""
        return hmac.new(self._hash_key, text.encode(), hashlib.sha256).hexdigest()


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(secret)


def open_vault(data_dir: Path, secret: str | None) -> Vault:
    """The vault for a secret, or for the key file of the data folder, created if missing."""
    if secret is not None:
        return Vault(secret.encode())
    return Vault(read_or_make_secret(data_dir / KEY_FILE)[0].encode())


def read_or_make_secret(path: Path) -> tuple[str, bool]:
    """The secret in a file that only its owner can read, and whether it was just created."""
    made = secrets.token_urlsafe(32)
    descriptor, complete = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(made + "\n")
        os.link(complete, path)  # all or nothing, and only one of two processes
    except FileExistsError:
        path.chmod(0o600)
        if found := path.read_text(encoding="utf-8").strip():
            return found, False
        path.unlink()  # the file was emptied
        return read_or_make_secret(path)
    finally:
        Path(complete).unlink()
    return made, True
