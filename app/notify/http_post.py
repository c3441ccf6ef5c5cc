"""POST requests to receivers: to an address that was checked, and with a limit on all of it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

import httpx2

from app import urls
from app.errors import AddressNotAllowed, InvalidUrl
from app.failure_reason import WORDS, FailureReason
from app.notify.base import SendFailed

SCHEMES = ("http", "https")
REDIRECTS = (307, 308)
MAX_REDIRECTS = 3
MAX_BODY = 4096
"""Bytes of a reply that are read; the rest is not waited for."""
GONE = 410
BUSY = (408, 425, 429)
for _name in ("httpx2", "httpcore2"):  # they log complete URLs and headers, with secrets
    logging.getLogger(_name).setLevel(logging.WARNING)


class Reply(NamedTuple):
    """The reply of a receiver; ``text`` is the beginning of its body."""

    status: int
    text: str


class HttpPoster:
    """Sends POST requests; certificates are verified for the name, not for the address.

    A name is looked up for each request, and the connection goes to an address that was checked:
    a name that answers differently the second time leads nowhere else. So it is with redirects.
    """

    def __init__(self, check_address: urls.CheckAddress, timeout_s: float) -> None:
        self._check_address = check_address
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(
            trust_env=False, timeout=timeout_s, follow_redirects=False, http2=False
        )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send a request; 307 and 308 are followed. Raises SendFailed."""
        try:
            async with asyncio.timeout(self._timeout_s):
                for _ in range(MAX_REDIRECTS + 1):
                    reply, location = await self._send(url, body, headers)
                    if location is None:
                        return reply
                    url = _redirected(url, location)
        except TimeoutError:
            text = f"no complete answer within {self._timeout_s:g} s"
            raise SendFailed(text, unreachable=True) from None
        raise SendFailed("it redirects too often")

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Reply, str | None]:
        """The reply, and where it redirects to."""
        try:
            addresses = await asyncio.to_thread(urls.resolve, url, self._check_address)
        except AddressNotAllowed as error:
            raise SendFailed(str(error)) from None
        except OSError as error:
            raise SendFailed(WORDS[FailureReason.of(error)], unreachable=True) from None
        failure = SendFailed(WORDS[FailureReason.UNKNOWN_HOST], unreachable=True)
        for address in addresses:
            try:
                return await self._send_to(address, url, body, headers)
            except httpx2.ConnectError as error:  # nothing was sent yet: the next address
                failure = _failed(error)
            except httpx2.HTTPError as error:
                raise _failed(error) from None
            except (httpx2.InvalidURL, ValueError):
                raise SendFailed("the URL cannot be used") from None
        raise failure

    async def _send_to(
        self, address: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Reply, str | None]:
        target, named = urlsplit(address), urlsplit(url)
        request = self._client.build_request(
            "POST",
            target._replace(netloc=target.netloc.rpartition("@")[2]).geturl(),
            content=body,
            headers={**headers, "Host": named.netloc.rpartition("@")[2]},
            extensions={"sni_hostname": named.hostname},
        )
        user, password = unquote(named.username or ""), unquote(named.password or "")
        auth = httpx2.BasicAuth(user, password) if user or password else None
        response = await self._client.send(request, auth=auth, stream=True)
        try:
            location = response.headers.get("location")
            if response.status_code in REDIRECTS and location:
                return Reply(response.status_code, ""), location
            text = await _beginning(response)
            return Reply(response.status_code, text), None
        finally:
            await response.aclose()


async def _beginning(response: httpx2.Response) -> str:
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) >= MAX_BODY:
            break
    return bytes(data[:MAX_BODY]).decode("utf-8", "replace")


def _redirected(url: str, location: str) -> str:
    """The target of a redirect, without the credentials of another host. Raises SendFailed."""
    old = urlsplit(url)
    try:
        new = urlsplit(urls.check(urljoin(url, location), SCHEMES))
    except (InvalidUrl, ValueError):
        raise SendFailed("it redirects to a URL that cannot be used") from None
    except AddressNotAllowed as error:
        raise SendFailed(str(error)) from None
    if (old.scheme, new.scheme) == ("https", "http"):
        raise SendFailed("it redirects from https to http")
    netloc = new.netloc.rpartition("@")[2]
    if netloc == old.netloc.rpartition("@")[2]:
        netloc = old.netloc
    return new._replace(netloc=netloc).geturl()


def accepted(reply: Reply) -> str:
    """What a receiver answered, if it accepted the message. Raises SendFailed."""
    text = f"{reply.status} {reply.text}".strip()
    if 200 <= reply.status < 300:
        return text
    broken = reply.status >= 500 or reply.status in BUSY
    raise SendFailed(text, unreachable=broken, final=reply.status == GONE)


def _failed(error: httpx2.HTTPError) -> SendFailed:
    if isinstance(error, httpx2.TimeoutException):
        return SendFailed(WORDS[FailureReason.TIMEOUT], unreachable=True)
    cause = _system_error(error)
    if isinstance(cause, ssl.SSLError):
        why = getattr(cause, "verify_message", "") or cause.reason or "no TLS"
        return SendFailed(f"TLS failed: {why}", unreachable=True)
    if isinstance(error, httpx2.ProtocolError):
        return SendFailed("the answer is not HTTP, or ended too early", unreachable=True)
    reason = FailureReason.of(cause) if cause else FailureReason.CLOSED
    return SendFailed(WORDS[reason], unreachable=True)


def _system_error(error: BaseException) -> OSError | None:
    """The innermost error of the system: the libraries wrap it, some as an error of their own."""
    found: OSError | None = None
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            found = cause
        inner = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else None
        cause = inner or cause.__cause__ or cause.__context__
    return found
