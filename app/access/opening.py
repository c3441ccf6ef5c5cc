"""Opens the accounts and the audit log of a running server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from app.access.audit import AuditLog
from app.access.passwords import Passwords
from app.access.service import AccessService
from app.access.sessions import Sessions
from app.access.throttle import Throttle
from app.access.two_factor import TwoFactor
from app.audit import AuditEntry
from app.config import Settings
from app.db.api_tokens import ApiTokenRepository
from app.db.audit import AuditRepository
from app.db.two_factor import TwoFactorRepository
from app.db.user_sessions import UserSessionRepository
from app.db.users import UserRepository
from app.db.vault import Vault
from app.errors import StoreError
from app.oidc_settings import OidcSettings
from app.process import background

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from app.access.oidc import OidcProvider

logger = logging.getLogger(__name__)


@contextmanager
def open_access(
    engine: Engine, vault: Vault, throttle: Throttle, oidc: OidcSettings
) -> Iterator[AccessService]:
    """Open the accounts: users, sessions and tokens."""
    users, rows = UserRepository(engine), UserSessionRepository(engine)
    passwords = Passwords()
    access = AccessService(
        users,
        rows,
        ApiTokenRepository(engine),
        passwords,
        Sessions(users, rows),
        throttle,
        TwoFactor(TwoFactorRepository(engine, vault)),
        provider=_provider(oidc, vault),
    )
    if users.count() == 0:
        logger.info("no users yet; set-up code for the first one: %s", access.setup_code)
    try:
        yield access
    finally:
        passwords.close()


def _provider(settings: OidcSettings, vault: Vault) -> OidcProvider | None:
    """The identity provider, if there is one. Authlib is only imported for it."""
    if settings.issuer is None:
        return None
    from app.access.oidc import OidcProvider

    return OidcProvider(settings, vault)


@asynccontextmanager
async def open_audit(settings: Settings, engine: Engine, vault: Vault) -> AsyncIterator[AuditLog]:
    """Open the audit log; on leaving, its last row is signed."""
    audit = AuditLog(AuditRepository(engine, vault), settings.audit.max_days)
    auth = settings.auth
    started = {"no_auth": auth.disabled, "require_token": auth.require_token}
    await audit.write(AuditEntry("server", "", "start", details=started))
    async with background(audit.run(), "audit"):
        try:
            yield audit
        finally:
            with suppress(StoreError):
                await asyncio.to_thread(audit.rows.append, AuditEntry("server", "", "stop"))
                await asyncio.to_thread(audit.rows.sign)
