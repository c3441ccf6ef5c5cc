"""Cameras that send JPEG images over HTTP: as MJPEG, or one image for each request.

``HttpClient`` sends every request to an address that was checked, also when it polls or follows a
redirect. FFmpeg reads HLS and video files: see ``played.py``.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain
from urllib.parse import unquote, urljoin, urlsplit

import av
import httpx2

from app import urls
from app.config import StreamSettings
from app.errors import BadFrame, InvalidUrl, SourceError
from app.failure_reason import FailureReason
from app.mjpeg import START_OF_IMAGE, JpegSplitter
from app.models.orientation import orientation_of
from app.pace import StallLimit
from app.pipeline.sources.push import codec_of, decode
from app.types import Frame, StreamSpec

CHECK_S = 0.5
POLL_S = 1.0
MAX_REDIRECTS = 5
MAX_IMAGE = 32 * 2**20
MAX_JUNK = 4 * 2**20  # bytes of MJPEG without an image in them
MAX_BAD_IMAGES = 20  # in a row
SNIFFED = 512
PAGES = ("text/html", "application/xhtml+xml")  # for people: a login page or an error
STATUS_REASONS = {
    401: FailureReason.UNAUTHORIZED,
    403: FailureReason.FORBIDDEN,
    404: FailureReason.NOT_FOUND,
    408: FailureReason.TIMEOUT,
    410: FailureReason.NOT_FOUND,
    504: FailureReason.TIMEOUT,
}
for _name in ("httpx2", "httpcore2"):  # they log complete URLs and headers, with secrets
    logging.getLogger(_name).setLevel(logging.WARNING)


class LeftToFfmpeg(Exception):
    """This client does not understand the reply; FFmpeg's more tolerant client may."""


class CameraAuth(httpx2.Auth):
    """Basic or Digest authentication, whichever the camera requires; sent only once it does."""

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password
        self._chosen: httpx2.Auth | None = None

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        if self._chosen is None:
            response = yield request
            challenges = " ".join(response.headers.get_list("www-authenticate")).lower()
            if response.status_code != 401:
                return
            make = httpx2.DigestAuth if "digest " in challenges else httpx2.BasicAuth
            self._chosen = make(self._user, self._password)
        yield from self._chosen.auth_flow(request)


class HttpClient:
    """GET requests to one camera over persistent connections; used by one thread.

    Certificates are not verified, as in FFmpeg: cameras sign their own.
    """

    def __init__(self, url: str, open_s: float) -> None:
        self.url = url
        self._open_s = open_s
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        self._auth = CameraAuth(user, password) if user or password else None
        self._client: httpx2.Client | None = None

    def get(self) -> httpx2.Response:
        """The reply, before its body is read; redirects on the same host are followed.

        Raises:
            SourceError: the camera failed, or refused the request, within the time to open.
            AddressNotAllowed: the host resolves to an address that streams may not use.
            LeftToFfmpeg: the reply is not standard HTTP.
        """
        deadline = time.monotonic() + self._open_s
        for _ in range(MAX_REDIRECTS):
            response = self._send(deadline)
            if not response.has_redirect_location:
                break
            response.close()
            self.url = self._redirected(response.headers["location"])
        if response.status_code >= 300:
            response.close()
            reason = STATUS_REASONS.get(response.status_code, FailureReason.REJECTED)
            raise self.failure(reason, status=response.status_code)
        return response

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def failure(self, reason: str, **details: object) -> SourceError:
        """An error with the URL, without its credentials."""
        url = urls.without_credentials(self.url)
        return SourceError(end="input", reason=reason, url=url, **details)

    def failed(self, error: httpx2.HTTPError) -> SourceError:
        """The error for an exception of the HTTP library."""
        if isinstance(error, httpx2.TimeoutException):
            return self.failure(FailureReason.TIMEOUT)
        cause = _system_error(error)
        return self.failure(FailureReason.of(cause) if cause else FailureReason.CLOSED)

    def _send(self, deadline: float) -> httpx2.Response:
        """Try the checked addresses in turn."""
        try:
            addresses = urls.resolve(self.url)
        except OSError as error:
            raise self.failure(FailureReason.of(error)) from None
        failure = self.failure(FailureReason.TIMEOUT)
        for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            share = max(0.1, (deadline - time.monotonic()) / untried)
            try:
                return self._send_to(address, share)
            except httpx2.HTTPError as error:
                if isinstance(error, httpx2.ProtocolError) or _is_tls(error):
                    raise LeftToFfmpeg from None
                failure = self.failed(error)
            except (httpx2.InvalidURL, LookupError, NotImplementedError, ValueError):
                raise LeftToFfmpeg from None  # such as a digest that the library does not know
        raise failure

    def _send_to(self, address: str, timeout_s: float) -> httpx2.Response:
        if self._client is None:
            self._client = httpx2.Client(
                verify=False, trust_env=False, headers={"Accept-Encoding": "identity"}
            )
        target, named = urlsplit(address), urlsplit(self.url)
        request = self._client.build_request(
            "GET",
            target._replace(netloc=target.netloc.rpartition("@")[2]).geturl(),
            headers={"Host": named.netloc.rpartition("@")[2]},
            extensions={
                "sni_hostname": named.hostname,
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_s),
            },
        )
        return self._client.send(request, auth=self._auth, stream=True)

    def _redirected(self, location: str) -> str:
        """The target of a redirect on the same host, with the credentials.

        Raises:
            SourceError: the target is on another host; its user has to enter that URL.
            AddressNotAllowed: streams may not use the target's address.
        """
        old = urlsplit(self.url)
        try:
            there = urljoin(self.url, location)
            new = urlsplit(urls.check(there, ("http", "https")))
        except (InvalidUrl, ValueError):
            raise self.failure(FailureReason.REDIRECTED, location="a URL of another kind") from None
        downgraded = (old.scheme, new.scheme) == ("https", "http")
        if new.hostname != old.hostname or downgraded:
            shown = urls.without_credentials(there)
            raise self.failure(FailureReason.REDIRECTED, location=shown)
        user_info = old.netloc.rpartition("@")[0]
        netloc = new.netloc.rpartition("@")[2]
        return new._replace(netloc=f"{user_info}@{netloc}" if user_info else netloc).geturl()


def body_of(response: httpx2.Response, limit_s: float) -> Iterator[bytes]:
    """The body as it arrives. Raises TimeoutException if nothing arrives for ``limit_s``."""
    response.request.extensions["timeout"]["read"] = limit_s
    return response.iter_raw()


class JpegSource:
    """The images of an MJPEG reply, or of one reply after another with a single image each.

    Args:
        response: the first reply.
        body: the rest of that reply.
        limit: how long an MJPEG stream may send nothing; it learns from the images.
    """

    def __init__(
        self,
        client: HttpClient,
        response: httpx2.Response,
        body: Iterator[bytes],
        spec: StreamSpec,
        settings: StreamSettings,
        limit: StallLimit,
    ) -> None:
        self.codec = ""
        self._client = client
        self._response = response
        self._body = body
        self._max_pixels = settings.max_pixels
        self._bad, self._why_bad = 0, ""
        self._patience_s = spec.stall_timeout_s or settings.stall_timeout_s
        self._limit = limit
        # More requests than frames would be a waste.
        self._interval_s = spec.interval or max(POLL_S, 1 / spec.max_fps)

    def frames(self) -> Iterator[Frame | None]:
        """Frames until the camera ends or fails. Raises SourceError."""
        number = self._bad = 0
        while True:
            asked_at, before = time.monotonic(), number
            self._why_bad = str(FailureReason.INVALID_DATA)
            for data in self._images():
                arrived_at = time.monotonic()
                self._limit.seen(arrived_at)
                if (image := self._decoded(data)) is not None:
                    number += 1
                    yield Frame(image, arrived_at, number, orientation=orientation_of(data))
            if _is_multipart(self._response):
                raise self._client.failure(FailureReason.ENDED)
            if number == before:
                self._count_bad(self._why_bad, most=MAX_BAD_IMAGES if number else 0)
            yield from self._pause(asked_at + self._interval_s)
            self._ask_again()

    def _decoded(self, data: bytes) -> av.VideoFrame | None:
        """The image; None if it is damaged, which happens now and then with any camera."""
        try:
            image = decode(data, self._max_pixels, strict=False)
        except BadFrame as error:
            self._why_bad = str(error.details["reason"])
            self._count_bad(self._why_bad)
            return None
        self.codec, self._bad = codec_of(data), 0
        return image

    def _count_bad(self, reason: str, most: int = MAX_BAD_IMAGES) -> None:
        self._bad += 1
        if self._bad > most:
            raise self._client.failure(reason, max_pixels=self._max_pixels)

    def close(self) -> None:
        self._response.close()

    def _pause(self, until: float) -> Iterator[None]:
        while (wait_s := until - time.monotonic()) > 0:
            time.sleep(min(wait_s, CHECK_S))
            yield None

    def _ask_again(self) -> None:
        try:
            self._response = self._client.get()
        except LeftToFfmpeg:
            raise self._client.failure(FailureReason.INVALID_DATA) from None
        self._body = body_of(self._response, self._patience_s)

    def _images(self) -> Iterator[bytes]:
        try:
            with closing(self._response):
                yield from self._split() if _has_jpegs(self._response) else self._whole()
        except httpx2.TimeoutException:
            raise self._client.failure(FailureReason.STALLED) from None
        except httpx2.HTTPError as error:
            raise self._client.failed(error) from None

    def _split(self) -> Iterator[bytes]:
        splitter, since_image = JpegSplitter(), 0
        for chunk in self._body:
            images = splitter.feed(chunk)
            since_image = 0 if images else since_image + len(chunk)
            if splitter.waiting > MAX_IMAGE:
                raise self._client.failure(FailureReason.TOO_LARGE)
            if since_image - splitter.waiting > MAX_JUNK:
                raise self._client.failure(FailureReason.INVALID_DATA)
            yield from images

    def _whole(self) -> Iterator[bytes]:
        """The single image of a reply in another format than JPEG."""
        image, deadline = bytearray(), time.monotonic() + self._limit.seconds
        for chunk in self._body:
            image += chunk
            if len(image) > MAX_IMAGE:
                raise self._client.failure(FailureReason.TOO_LARGE)
            if time.monotonic() > deadline:
                raise self._client.failure(FailureReason.STALLED)
        yield bytes(image)


def jpeg_source(
    client: HttpClient, spec: StreamSpec, settings: StreamSettings, limit: StallLimit
) -> JpegSource | None:
    """The images at a URL; None if it has something else, such as HLS or a video file.

    Raises SourceError, AddressNotAllowed.
    """
    try:
        response = client.get()
    except LeftToFfmpeg:
        return None
    body = body_of(response, limit.seconds)
    if _type_of(response) in PAGES:
        response.close()
        raise client.failure(FailureReason.WEB_PAGE)
    if not _is_multipart(response) and not _type_of(response).startswith("image/"):
        try:
            head = next(body, b"")
        except httpx2.HTTPError as error:
            raise client.failed(error) from None
        if not (head.startswith(START_OF_IMAGE) or b"image/jpeg" in head[:SNIFFED].lower()):
            response.close()
            return None
        body = chain([head], body)
    return JpegSource(client, response, body, spec, settings, limit)


def _is_multipart(response: httpx2.Response) -> bool:
    return _type_of(response).startswith("multipart/")


def _type_of(response: httpx2.Response) -> str:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower()


def _has_jpegs(response: httpx2.Response) -> bool:
    kind = _type_of(response)
    return not kind.startswith("image/") or kind in ("image/jpeg", "image/jpg", "image/pjpeg")


def _system_error(error: BaseException) -> OSError | None:
    """The socket's error that the library has wrapped."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause


def _is_tls(error: BaseException) -> bool:
    return isinstance(_system_error(error), ssl.SSLError)
