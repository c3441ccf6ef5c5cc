"""A small OpenID Connect provider: discovery, sign-in page, tokens and keys, over real HTTP.

It signs everybody in as ``user`` without asking. ``spoil`` makes it do one thing wrong.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

import uvicorn
from fixtures import eventually, free_port
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "watchpost", "planted-client-secret-5f2c"


class IdentityProvider:
    """The provider's state, and its ASGI app.

    Attributes:
        user: the claims of whoever signs in.
        spoil: what is wrong with the next tokens, such as ``nonce``; empty: nothing.
        refused: the ``error`` that the sign-in page answers with; empty: it signs in.
        down: whether it answers everything with 503.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.user: dict[str, Any] = {"sub": "u-1", "preferred_username": "kim", "groups": []}
        self.spoil = ""
        self.refused = ""
        self.down = False
        self.seen: list[dict[str, str]] = []
        self.tokens: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._key = RSAKey.generate_key(2048, {"kid": "one"})
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
                Route("/logout", self._logout),
            ]
        )

    def renew_key(self) -> None:
        self._key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4)})

    async def _metadata(self, request: Request) -> Response:
        return self._reply(
            {
                "issuer": self.issuer if self.spoil != "metadata" else "https://other.example",
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "end_session_endpoint": f"{self.issuer}/logout",
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.seen.append(asked)
        if self.refused:
            query = {"error": self.refused, "state": asked["state"]}
            return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(query)}")
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        query = {"code": code, "state": asked["state"]}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(query)}")

    async def _token(self, request: Request) -> Response:
        form = {
            name: values[0] for name, values in parse_qs((await request.body()).decode()).items()
        }
        login = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {login}":
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or (challenge, form["redirect_uri"]) != (
            asked["code_challenge"],
            asked["redirect_uri"],
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        access_token = secrets.token_urlsafe(16)
        token = self._id_token(asked["nonce"], access_token)
        self.tokens += [token, access_token]
        body = {"access_token": access_token, "token_type": "Bearer", "id_token": token}
        return self._reply(body)

    def _id_token(self, nonce: str, access_token: str) -> str:
        now = int(time.time())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims: dict[str, Any] = {
            **self.user,
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        }
        wrong: dict[str, dict[str, Any]] = {
            "nonce": {"nonce": "another"},
            "aud": {"aud": "another-client"},
            "azp": {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"},
            "exp": {"iat": now - 7200, "exp": now - 3600},
            "iss": {"iss": "https://other.example"},
            "at_hash": {"at_hash": "x" * 22},
            "sub": {"sub": ""},
        }
        claims |= wrong.get(self.spoil, {})
        for name in ("nonce", "exp", "sub"):
            if self.spoil == f"no {name}":
                del claims[name]
        header, key = {"alg": "RS256", "kid": self._key.kid}, self._key
        if self.spoil == "key":
            key = RSAKey.generate_key(2048, {"kid": "unknown"})
            header["kid"] = "unknown"
        if self.spoil == "signature":
            key = RSAKey.generate_key(2048, {"kid": str(self._key.kid)})
        if self.spoil == "none":
            return f"{_part({'alg': 'none'})}.{_part(claims)}."
        if self.spoil == "HS256":  # signed with what everybody knows
            signed = f"{_part({'alg': 'HS256', 'kid': self._key.kid})}.{_part(claims)}"
            mark = hmac.digest(self._key.as_pem(private=False), signed.encode(), "sha256")
            return f"{signed}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}"
        return jwt.encode(header, claims, key)

    async def _keys(self, request: Request) -> Response:
        return self._reply({"keys": [self._key.as_dict(private=False)]})

    async def _logout(self, request: Request) -> Response:
        self.seen.append(dict(request.query_params))
        return HTMLResponse("<h1>Signed out</h1>")

    def _reply(self, body: Mapping[str, Any]) -> Response:
        return JSONResponse({"error": "down"}, 503) if self.down else JSONResponse(body)


def _part(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """A provider that listens on this machine."""
    port = free_port()
    provider = IdentityProvider(f"http://127.0.0.1:{port}")
    config = uvicorn.Config(provider.app, host="127.0.0.1", port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, "the identity provider listens")
        yield provider
    finally:
        server.should_exit = True
        thread.join(10)


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL."""
    return dict(parse_qsl(url.partition("?")[2]))
