"""Signing in through an OpenID Connect provider: authorization code flow with PKCE.

What a sign-in must remember between its two calls (state, nonce, code verifier) is encrypted in a
cookie of the browser that began it: nothing is stored here until the provider has named a user,
and no other browser can finish the sign-in. A state is accepted once.
Sources: OpenID Connect Core 1.0, 3.1; Discovery 1.0; RP-Initiated Logout 1.0; RFC 7636; RFC 9207.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import httpx2
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.discovery import get_well_known_url

from app.access.oidc_tokens import claims_of, not_trusted
from app.db.vault import Vault
from app.errors import (
    ProviderFailed,
    ProviderRefused,
    SecretUnreadable,
    SignInExpired,
    TooManyAttempts,
)
from app.oidc_settings import OidcSettings, is_secure

logger = logging.getLogger(__name__)

ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
MAX_SUBJECT = 255


@dataclass(frozen=True, slots=True)
class OidcTuning:
    """Limits of signing in through a provider.

    Attributes:
        patience_s: how long the provider may take to answer one request.
        valid_s: how long a person may take to sign in at the provider.
        metadata_s: how long the provider's addresses are remembered.
        leeway_s: how far its clock may differ.
        calls: sign-ins that may wait for the provider at once.
        used: states that are remembered, so that none counts twice.
    """

    patience_s: float = 10.0
    valid_s: float = 600.0
    metadata_s: float = 3600.0
    leeway_s: int = 30
    calls: int = 16
    used: int = 10_000


DEFAULT_TUNING = OidcTuning()


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that has begun.

    Attributes:
        url: where the browser goes next.
        cookie: what it must bring back.
    """

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class _Flow:
    """What a sign-in remembers between its two calls."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    began_ts: float


class OidcProvider:
    """One provider; belongs to the event loop's thread.

    Args:
        settings: with an issuer.
        clock: Unix seconds.
    """

    def __init__(
        self,
        settings: OidcSettings,
        vault: Vault,
        tuning: OidcTuning = DEFAULT_TUNING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._issuer = settings.issuer or ""
        self._vault = vault
        self.tuning = tuning
        self._clock = clock
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._used: OrderedDict[str, None] = OrderedDict()
        self._calls = 0
        self._tls: ssl.SSLContext | None = None

    async def begin(self, redirect_uri: str) -> Begun:
        """Begin a sign-in. Raises ProviderFailed, TooManyAttempts."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        flow = _Flow(state, nonce, verifier, redirect_uri, self._clock())
        async with self._client(redirect_uri) as (client, metadata):
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=flow.state,
                nonce=flow.nonce,
                code_verifier=flow.verifier,
            )
        return Begun(str(url), self._vault.encrypt(json.dumps(asdict(flow))).decode())

    async def finish(self, query: Mapping[str, str], cookie: str | None) -> dict[str, Any]:
        """The claims about the user whom the provider has signed in.

        Args:
            query: what the provider sent back through the browser.

        Raises:
            SignInExpired: the state or the code is unknown, old, or was used before;
                ProviderRefused, ProviderNotTrusted, ProviderFailed, TooManyAttempts.
        """
        flow = self._flow(query.get("state", ""), cookie)
        if query.get("iss", self._issuer) != self._issuer:
            raise not_trusted("the reply is from another issuer")
        if "error" in query:
            logger.info("the identity provider refused a sign-in: %.40s", query["error"])
            raise ProviderRefused
        async with self._client(flow.redirect_uri) as (client, metadata):
            token = await self._token(client, metadata, query.get("code", ""), flow.verifier)
            keys = await _get(client, metadata["jwks_uri"])
        return claims_of(
            token,
            keys,
            issuer=self._issuer,
            client_id=self.settings.client_id,
            nonce=flow.nonce,
            now=self._clock(),
            leeway_s=self.tuning.leeway_s,
        )

    async def end_session_url(self, return_to: str) -> str | None:
        """Where a browser ends the session at the provider; None if it offers no such page.

        Raises ProviderFailed, TooManyAttempts.
        """
        async with self._client(return_to) as (_, metadata):
            url = metadata.get("end_session_endpoint")
        if not isinstance(url, str) or not is_secure(url):
            return None
        parameters = {
            "client_id": self.settings.client_id,
            "post_logout_redirect_uri": return_to,
        }
        return str(add_params_to_uri(url, parameters.items()))

    def subject(self, user_at_provider: str) -> str:
        """The value that stands for a user of this provider. Raises ProviderNotTrusted."""
        subject = f"{self._issuer}#{user_at_provider}"
        if not user_at_provider or len(subject) > MAX_SUBJECT:
            raise not_trusted(f"the id of the user is empty or longer than {MAX_SUBJECT}")
        return subject

    # ── the steps ────────────────────────────────────────────────────────────────────────

    def _flow(self, state: str, cookie: str | None) -> _Flow:
        """The sign-in of this browser, once. Raises SignInExpired."""
        try:
            flow = _Flow(**json.loads(self._vault.decrypt((cookie or "").encode())))
        except SecretUnreadable:
            raise SignInExpired from None
        age = self._clock() - flow.began_ts
        if not hmac.compare_digest(flow.state.encode(), state.encode()):
            raise SignInExpired
        if not 0 <= age <= self.tuning.valid_s or state in self._used:
            raise SignInExpired
        self._used[state] = None
        while len(self._used) > self.tuning.used:
            self._used.popitem(last=False)
        return flow

    @asynccontextmanager
    async def _client(
        self, redirect_uri: str
    ) -> AsyncIterator[tuple[AsyncOAuth2Client, dict[str, Any]]]:
        """A client with the provider's addresses; a failing provider is a ProviderFailed."""
        if self._calls >= self.tuning.calls:
            raise TooManyAttempts(retry_after_s=3)
        self._calls += 1
        secret = self.settings.client_secret
        try:
            if self._tls is None:
                self._tls = await asyncio.to_thread(httpx2.create_ssl_context)
            async with AsyncOAuth2Client(
                self.settings.client_id,
                secret.get_secret_value() if secret else None,
                scope=" ".join(self.settings.scopes),
                redirect_uri=redirect_uri,
                code_challenge_method="S256",
                timeout=self.tuning.patience_s,
                verify=self._tls,
            ) as client:
                metadata = await self._discover(client)
                if secret and "client_secret_basic" not in metadata.get(
                    "token_endpoint_auth_methods_supported", ["client_secret_basic"]
                ):
                    client.token_endpoint_auth_method = "client_secret_post"
                yield client, metadata
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            logger.warning("the identity provider failed: %s", type(error).__name__)
            raise ProviderFailed from None
        finally:
            self._calls -= 1

    async def _discover(self, client: AsyncOAuth2Client) -> dict[str, Any]:
        """The provider's addresses. Raises ValueError for any that cannot be used."""
        now = self._clock()
        if self._metadata is not None and now - self._metadata[0] < self.tuning.metadata_s:
            return self._metadata[1]
        found = await _get(client, get_well_known_url(self._issuer, external=True))
        if found.get("issuer") != self._issuer:
            logger.warning("the identity provider calls itself by another issuer's URL")
            raise ValueError("issuer")
        for name in ENDPOINTS:
            if not isinstance(found.get(name), str) or not is_secure(found[name]):
                logger.warning("the identity provider's %s cannot be used", name)
                raise ValueError(name)
        self._metadata = (now, found)
        return found

    async def _token(
        self, client: AsyncOAuth2Client, metadata: dict[str, Any], code: str, verifier: str
    ) -> dict[str, Any]:
        try:
            token: dict[str, Any] = await client.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
            )
        except OAuthError as error:
            if error.error == "invalid_grant":
                raise SignInExpired from None
            logger.warning("the identity provider refused this server: %.40s", error.error)
            raise ProviderFailed from None
        return token


async def _get(client: AsyncOAuth2Client, url: str) -> dict[str, Any]:
    """A JSON object. Raises httpx2.HTTPError, or ValueError for anything else."""
    response = await client.request("GET", url, withhold_token=True)
    response.raise_for_status()
    found = response.json()
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found
