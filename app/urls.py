"""URLs of cameras: checked, compared, shown without secrets, and turned into the default output.

Everything here works on text and addresses; nothing opens a connection except the name
look-up in ``resolve``.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit, urlunsplit

from app.errors import AddressNotAllowed, InvalidUrl

RTSP = ("rtsp", "rtsps")
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
MAX_LENGTH = 2048
_BLUR_SUFFIX = "-blur"
# Every repetition is bounded or cannot start twice: hostile text must not cost quadratic time.
_PARAM = re.compile(r"([\w.-]{1,64})(=|%3d)((?:(?!%26)[^&\s])*)", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(?:password|passwd|passphrase|passcode|pwd|token|secret|signature|credentials?|api[_-]?key"
    r"|(?:^|[_.-]|^[0-9a-f]{2})(?:pass|psw|sig|auth|key))$",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(r"(?:://|%3a(?:%2f%2f|//))", re.IGNORECASE)
_TOKEN_WORD = re.compile(r"\b(bearer\s{1,8})\S+", re.IGNORECASE)
_API_KEY = re.compile(r"\bsk-[\w-]{6,}")


def check_rtsp(url: str) -> str:
    """Return the URL if it has the form ``rtsp[s]://host[:port]/path``, else raise InvalidUrl."""
    return check(url, RTSP)


def check(url: str, schemes: Iterable[str] = tuple(DEFAULT_PORTS)) -> str:
    """Return the URL if it has one of the schemes and a host, else raise InvalidUrl.

    Raises:
        AddressNotAllowed: the host is an address that no stream may use.
    """
    schemes = tuple(schemes)
    if len(url) > MAX_LENGTH:
        raise InvalidUrl(reason=f"longer than {MAX_LENGTH} characters")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise InvalidUrl(reason="it holds white space or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidUrl(reason="the host or port cannot be read") from None
    if parts.scheme not in schemes:
        raise InvalidUrl(reason=f"the scheme must be {' or '.join(schemes)}")
    if not parts.hostname:
        raise InvalidUrl(reason="there is no host")
    if port == 0:
        raise InvalidUrl(reason="the port must be 1 to 65535")
    _check_literal_address(parts.hostname)
    return url


def _check_literal_address(host: str) -> None:
    try:
        address = ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return
    _check_address(host, str(address))


def _check_address(host: str, address: str) -> None:
    """Refuse addresses that no camera has: link-local (cloud metadata), multicast, unspecified."""
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    limited_broadcast = str(ip) == "255.255.255.255"
    this_network = ip.version == 4 and ip in ipaddress.ip_network("0.0.0.0/8")
    if (
        ip.is_link_local
        or ip.is_multicast
        or ip.is_unspecified
        or limited_broadcast
        or this_network
    ):
        raise AddressNotAllowed(host=host, address=str(ip))


def scheme_of(url: str) -> str:
    return url.partition(":")[0].lower()


def resolve(url: str) -> list[str]:
    """Look the host up and return one URL per address, host replaced by that address.

    Connecting to what is returned, and not to the name again, is what makes the check hold:
    a name may answer differently the second time.

    Raises:
        AddressNotAllowed: when any of the addresses is forbidden.
        OSError: when the name is unknown.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # an impossible name, such as one with a label of 100 letters
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        _check_address(host, address)
    addresses.sort(key=lambda address: ":" in address)
    return [_with_host(parts, address, port) for address in addresses]


def _with_host(parts: SplitResult, host: str, port: int | None) -> str:
    userinfo, at, _ = parts.netloc.rpartition("@")
    shown_host = f"[{host}]" if ":" in host else host
    netloc = f"{userinfo}{at}{shown_host}" + (f":{port}" if port else "")
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def without_credentials(url: str) -> str:
    """The URL as replies show it: no user, no password, secrets in the query masked."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    shown = urlunsplit((parts.scheme, netloc, parts.path, parts.query, parts.fragment))
    return _PARAM.sub(_mask_param, shown)


def is_network(url: str) -> bool:
    """Whether a source is at the other end of a network, where things come back by themselves."""
    return scheme_of(url) in DEFAULT_PORTS


def has_secret(url: str) -> bool:
    return without_credentials(url) != url


def scrub(text: str) -> str:
    """Mask whatever looks like a credential in free text: for logs and error messages."""
    text = re.sub(r"\S+", _mask_userinfo, text)
    text = _PARAM.sub(_mask_param, text)
    text = _TOKEN_WORD.sub(r"\1***", text)
    return _API_KEY.sub("sk-***", text)


def _mask_userinfo(word: re.Match[str]) -> str:
    """From the first ``://`` to the last ``@``, also where they are percent-encoded."""
    text = word[0]
    authority = _AUTHORITY.search(text)
    end = max(text.rfind("@"), text.rfind("%40"))
    if authority is None or end < authority.end():
        return text
    return f"{text[: authority.end()]}***{text[end:]}"


def _mask_param(param: re.Match[str]) -> str:
    name, equals, value = param.groups()
    return f"{name}{equals}***" if value and _SECRET_NAME.search(name) else param[0]


def normalised(url: str, *, query: bool = True) -> str:
    """The form in which two spellings of one URL are equal: case, port, slash, no credentials."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    port = parts.port or DEFAULT_PORTS.get(scheme)
    host = (parts.hostname or "").lower().rstrip(".")
    host = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/")
    return urlunsplit((scheme, f"{host}:{port}", path, parts.query if query else "", ""))


def default_output(source: str, *, base: str | None = None, unique: str | None = None) -> str:
    """The URL to publish to when the caller names none: the last path segment gets ``-blur``.

    A doubled segment ``X-X`` becomes ``X-blur``. Query and credentials of the source survive,
    unless ``base`` redirects to another server: what opens a camera is not for strangers.

    Args:
        base: ``rtsp://host:port/prefix`` of a server that takes all default outputs.
        unique: appended where the plain default is taken by another stream.
    """
    parts = urlsplit(source)
    folder, _, segment = parts.path.rstrip("/").rpartition("/")
    half, rest = segment[: len(segment) // 2], segment[len(segment) // 2 :]
    if half and rest == f"-{half}":
        segment = half
    segment = f"{segment}{_BLUR_SUFFIX}" if segment else _BLUR_SUFFIX.lstrip("-")
    if unique:
        segment = f"{segment}-{unique}"
    path = f"{folder}/{segment}"
    if base is None:
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    target = urlsplit(base)
    return urlunsplit(
        (target.scheme, target.netloc, target.path.rstrip("/") + path, target.query, "")
    )
