"""TLS of the server: certificate files, read again when they are renewed."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import SetupError

logger = logging.getLogger(__name__)

CHECK_S = 10.0
"""How often the files are looked at; tools renew certificates weeks before they expire."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The files of a certificate chain and of its key, in PEM.

    Attributes:
        check_s: seconds between two looks at the files.
    """

    certificate: Path
    key: Path
    check_s: float = CHECK_S

    def context(self, _config: object = None, _default: Callable[[], Any] | None = None) -> Any:
        """A context for servers that follows the files; uvicorn calls it as a factory.

        Raises:
            SetupError: the files cannot be read, or do not belong together.
        """
        context = self.load()
        watcher = threading.Thread(
            target=self._follow, args=(context, self._changed()), name="certificate", daemon=True
        )
        watcher.start()
        return context

    def load(self) -> ssl.SSLContext:
        """A context with the files as they are now. Raises SetupError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SetupError(
                reason=f"TLS: {self.certificate} and {self.key} cannot be used: {reason}"
            ) from None
        return context

    def _follow(self, context: ssl.SSLContext, seen: tuple[float, float] | None) -> None:
        """Read the files into the context whenever they change; connections keep what they have.

        A renewal writes two files, and may be halfway done: a pair that does not fit together is
        tried again.
        """
        while True:
            time.sleep(self.check_s)
            changed = self._changed()
            if changed is None or changed == seen:
                continue
            try:
                self.load()  # in a context of its own, since a failure leaves one half-loaded
                context.load_cert_chain(self.certificate, self.key)
            except (SetupError, OSError) as error:
                logger.warning("the old certificate goes on being used: %s", error)
                continue
            seen = changed
            logger.info("the renewed certificate of %s is in use", self.certificate)

    def _changed(self) -> tuple[float, float] | None:
        """When the files were last written; None while one of them is missing."""
        try:
            return self.certificate.stat().st_mtime, self.key.stat().st_mtime
        except OSError:
            return None
