"""What a request says about where it comes from, and the credentials that it carries."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, unquote, urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

TOKEN_COOKIE = "watchpost_token"
SESSION_COOKIE = "watchpost_session"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def is_loopback(scope: Scope, headers: Headers) -> bool:
    """Whether the request was made on this machine, and not through a proxy."""
    client = scope.get("client")
    if client is None or any(name in headers for name in FORWARDED):
        return False
    return _is_loopback_host(client[0]) and _is_loopback_host(host_of(headers.get("host", "")))


def same_origin(headers: Headers) -> bool:
    """Whether the Origin is the requested host; True without one, as from programs."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def host_of(host_header: str) -> str:
    """The host without its port; empty for anything but ``host[:port]``."""
    match = _HOST.fullmatch(host_header)
    return match["host"].strip("[]").lower() if match else ""


def is_safe(scope: Scope) -> bool:
    """Whether a request changes nothing, by its method; sockets may."""
    return scope["type"] != "websocket" and scope["method"] in SAFE_METHODS


def address_of(scope: Scope) -> str:
    """The client's address, as authentication found it; empty if it is not known."""
    found = scope.get("state", {}).get("address")
    return str(found) if found is not None else _peer(scope)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


class TrustedProxies:
    """Reverse proxies that are believed when they say whom a request is from.

    Args:
        networks: addresses or networks.
        user_header: names the user that the proxy has signed in; None believes no header.
    """

    def __init__(self, networks: Iterable[str] = (), user_header: str | None = None) -> None:
        self._networks = [ipaddress.ip_network(one, strict=False) for one in networks]
        self._user_header = user_header

    def client_address(self, scope: Scope, headers: Headers) -> str:
        """The address that the last trusted proxy saw, or that of the connection."""
        address = _peer(scope)
        forwarded = [one.strip() for one in headers.get("x-forwarded-for", "").split(",")]
        while forwarded and self._trusts(address):
            address = forwarded.pop() or address
        return address

    def user_name(self, scope: Scope, headers: Headers) -> str | None:
        """The user that a trusted proxy has signed in, if it names one."""
        if self._user_header is None or not self._trusts(_peer(scope)):
            return None
        return headers.get(self._user_header) or None

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)


def cookie_of(headers: Headers, name: str) -> str | None:
    """The value of a cookie, as it was set."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return unquote(morsel.value) if morsel else None


def query_token(scope: Scope) -> str | None:
    """The token of ``?token=``, for players and sockets that cannot send headers."""
    values = parse_qs(scope["query_string"].decode("latin-1")).get("token")
    return values[-1] if values else None


def tokens_of(scope: Scope, headers: Headers) -> list[str]:
    """All tokens that a request carries: Bearer, the page's cookie, the query."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = [
        bearer.strip() if scheme.lower() == "bearer" else None,
        cookie_of(headers, TOKEN_COOKIE),
        query_token(scope),
    ]
    return [token for token in given if token]


def _is_loopback_host(host: str) -> bool:
    if host.rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
