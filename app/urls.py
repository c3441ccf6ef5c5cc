"""URLs of cameras: checked, compared, shown without secrets, and turned into the default output.

Everything here works on text and addresses; nothing opens a connection except the name
look-up in ``resolve``.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from app.errors import AddressNotAllowed, InvalidUrl, ReceiverNotAllowed

RTSP = ("rtsp", "rtsps")
NAT64 = ipaddress.ip_network("64:ff9b::/96")
DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
MAX_LENGTH = 2048
MASK = "***"
HARMLESS_PARAMETERS = frozenset(
    (
        "audio", "camera", "ch", "chan", "channel", "codec", "compression", "fps", "framerate",
        "height", "media", "profile", "proto", "quality", "resolution", "rotation", "stream",
        "streamtype", "subtype", "track", "trackid", "transportmode", "unicast", "video",
        "videocodec", "width",
    )
)  # fmt: skip
"""Parameters that select a camera's video: the only ones whose values are shown."""

_BLUR_SUFFIX = "-blur"
_END_OF_AUTHORITY = re.compile(r"[/?#]")
# ``port``, as in the hints of our own error messages, is not a password.
_HOST = re.compile(
    r"(?:\[[0-9a-f:.]{2,45}(?:%[\w.~-]{1,32})?\]|(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?)"
    r"(?::(?:\d{0,5}|port))?",
    re.IGNORECASE,
)
_PARAMETER_NAME = re.compile(r"[A-Za-z][\w.-]{0,31}", re.ASCII)
_PLAIN_VALUE = re.compile(r"[\w.-]{1,24}", re.ASCII)
_SEPARATORS = re.compile(r"([;&?])")
_MASKED_PIECE = re.compile(r"[;&?]?[^;&?]*" + re.escape(MASK))
# Every repetition is bounded or cannot start twice: hostile text must not cost quadratic time.
_LONG_NAMES = (
    r"password|passwd|passphrase|passcode|loginpass?|authbasic|pwd|token|secret|signature"
    r"|credentials?|api[_-]?key"
)
_SHORT_NAMES = r"pass|pas|psw|pw|sig|auth|key"
_SECRET_NAME = re.compile(
    rf"(?:.*(?:{_LONG_NAMES})|(?:.*[_.-])?(?:{_SHORT_NAMES})|user|login)", re.I
)
_SECRET_PARAMETER = re.compile(
    rf"((?:{_LONG_NAMES}|(?:(?<![a-z])|(?<=%[0-9a-f][0-9a-f]))(?:{_SHORT_NAMES}))(?:=|%3d))"
    r"(?!\*\*\*(?!\w))(?:(?!%26)[^&\s])+",
    re.IGNORECASE,
)
_SCHEME_END = re.compile(r"(?::|%(?:25)*3a)(?:\\?/|%(?:25)*2f){2}", re.IGNORECASE)
_AROUND_URLS = ")}>'\",;:.!?"
_AUTHORIZATION = re.compile(
    r"\b(bearer\s{1,8}|authorization:\s{0,8}\w{1,16}\s{1,8})\S+", re.IGNORECASE
)
_API_KEY = re.compile(r"\bsk-[\w-]{6,}")


def check_rtsp(url: str) -> str:
    """Return the URL if it has the form ``rtsp[s]://host[:port]/path``, else raise InvalidUrl."""
    return check(url, RTSP)


def check_substream(url: str | None) -> str | None:
    """Check the URL of a camera's second stream, if there is one. Raises InvalidUrl."""
    return None if url is None else check_rtsp(url)


def check(url: str, schemes: Iterable[str] = tuple(DEFAULT_PORTS)) -> str:
    """Return the URL if it has one of the schemes and a host, else raise InvalidUrl.

    Raises:
        InvalidUrl: also for a password that must be percent-encoded; no name is resolved before.
        AddressNotAllowed: the host is an address that no stream may use.
    """
    schemes = tuple(schemes)
    if len(url) > MAX_LENGTH:
        raise InvalidUrl(reason=f"longer than {MAX_LENGTH} characters")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise InvalidUrl(reason="it holds white space or control characters")
    if mark := _reserved_in_login(url.partition("://")[2]):
        raise InvalidUrl(
            reason=f"a user name or password has a raw {mark}; write it as {quote(mark, safe='')}"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidUrl(reason="the host or port cannot be read") from None
    if parts.scheme not in schemes:
        raise InvalidUrl(reason=f"the scheme must be {' or '.join(schemes)}")
    if not parts.hostname:
        raise InvalidUrl(reason="there is no host")
    if not _HOST.fullmatch(parts.netloc.rpartition("@")[2]):
        raise InvalidUrl(reason="the host or port cannot be read")
    if port == 0:
        raise InvalidUrl(reason="the port must be 1 to 65535")
    _check_literal_address(parts.hostname)
    return url


def _reserved_in_login(rest: str) -> str | None:
    """An unencoded reserved character that probably ends a user name or password too early.

    In such a URL the text before the first ``/ ? #`` would be parsed as the host, while the real
    host comes after the last ``@``.

    Args:
        rest: a URL without its scheme and ``://``.
    """
    authority, mark, after = _divided(rest)
    login, at, host = authority.rpartition("@")
    if set(login) & set("[]"):  # reserved for addresses of IPv6
        return next(char for char in login if char in "[]")
    if "@" not in after:
        return None
    if not _HOST.fullmatch(host):
        return mark
    if _is_address(host):  # what follows belongs to this host
        return None
    end = _divided(after.rpartition("@")[2])[0]
    is_end_a_host = bool(_HOST.fullmatch(end))
    if mark == "/":  # of ``p@ss/word@192.0.2.1``, ``ss`` is hardly a host
        is_plain_word = not set(host) & set(".:")
        is_end_complete = is_end_a_host and bool(set(end) & set(".:"))
        return mark if at and is_plain_word and is_end_complete else None
    if not at:  # no camera's URL is ``name?query``
        return mark
    return mark if is_end_a_host and ":" not in host else None


def _divided(rest: str) -> tuple[str, str, str]:
    """The authority, the mark that ends it, and what follows."""
    end = _END_OF_AUTHORITY.search(rest)
    return (rest[: end.start()], end[0], rest[end.end() :]) if end else (rest, "", "")


def _is_address(host: str) -> bool:
    """Whether a host, perhaps with its port, is an IP address."""
    return host.startswith("[") or _address(host.partition(":")[0]) is not None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None


def _check_literal_address(host: str) -> None:
    if address := _address(host):
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


CheckAddress = Callable[[str, str], None]
"""Takes a host and one of its addresses; raises AddressNotAllowed."""


class ReceiverCheck:
    """The check of addresses that messages are sent to.

    What no stream may use is refused, and so is every address that is not public, unless it is on
    the list: a message could otherwise reach services that trust their own network.

    Args:
        local_receivers: addresses and networks that are allowed although they are not public.
    """

    def __init__(self, local_receivers: Iterable[str] = ()) -> None:
        self._allowed = [ipaddress.ip_network(one, strict=False) for one in local_receivers]

    def __call__(self, host: str, address: str) -> None:
        """Raises AddressNotAllowed."""
        _check_address(host, address)
        ip = ipaddress.ip_address(address.split("%", 1)[0])
        if isinstance(ip, ipaddress.IPv6Address):
            ip = _embedded(ip) or ip
            _check_address(host, str(ip))
        if not ip.is_global and not any(ip in network for network in self._allowed):
            raise ReceiverNotAllowed(host=host, address=str(ip))


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an address of IPv6 leads to."""
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def scheme_of(url: str) -> str:
    return url.partition(":")[0].lower()


def resolve(url: str, check_address: CheckAddress = _check_address) -> list[str]:
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
        check_address(host, address)
    addresses.sort(key=lambda address: ":" in address)
    return [_with_host(parts, address, port) for address in addresses]


def _with_host(parts: SplitResult, host: str, port: int | None) -> str:
    userinfo, at, _ = parts.netloc.rpartition("@")
    shown_host = f"[{host}]" if ":" in host else host
    netloc = f"{userinfo}{at}{shown_host}" + (f":{port}" if port else "")
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def with_login(url: str, user: str, password: str) -> str:
    """The URL with a user and password instead of those that it may have, percent-encoded."""
    parts = urlsplit(url)
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))


def without_login(url: str) -> str:
    """The URL without the user and password before its host; the rest may still be secret."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


# ── what may be shown ────────────────────────────────────────────────────────────────────────


def without_credentials(url: str) -> str:
    """The URL as replies show it: scheme, host, port and path; whatever may be secret is masked.

    Cameras expect passwords in many places. So in a path, everything that looks like ``name:word``
    or ``key=word`` or that ends with an ``@`` is masked, and so is the value of every parameter
    except ``HARMLESS_PARAMETERS``. Anything but a network URL is returned unchanged.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in DEFAULT_PORTS:
        return url
    return f"{scheme.lower()}://{_masked(rest)}"


def origin(url: str) -> str:
    """``scheme://host:port`` of a network's URL: all of it that may be stored in plain text."""
    shown = without_credentials(url)
    scheme, mark, rest = shown.partition("://")
    return f"{scheme}{mark}{_divided(rest)[0]}" if is_network(url) else url


def _masked(rest: str) -> str:
    """The part after ``://`` without user and password; whatever may be secret is masked."""
    authority = _divided(rest)[0]
    host = authority.rpartition("@")[2]
    local = not authority and rest.startswith("/")
    if _reserved_in_login(rest) or not (local or _HOST.fullmatch(host)):
        return MASK
    tail, fragment_mark, _ = rest[len(authority) :].partition("#")
    path, query_mark, query = tail.partition("?")
    shown = f"{host}{masked_path(path)}{query_mark}{_masked_parameters(query)}"
    return f"{shown}#{MASK}" if fragment_mark else shown


def masked_path(path: str) -> str:
    """A path with suspicious parts masked: everything up to an ``@`` may be a user and password."""
    parts = path.split("/")
    last = max((number for number, part in enumerate(parts) if "@" in _decoded(part)), default=0)
    kept = ["", MASK, *parts[last + 1 :]] if last else parts
    pairs = zip(["", *kept], kept, strict=False)
    return "/".join(
        MASK if part and _SECRET_NAME.fullmatch(before) else _masked_part(part)
        for before, part in pairs
    )


def _masked_part(part: str) -> str:
    """One part of a path; after ``;`` or ``&`` it has parameters."""
    if "%" in part and _decoded(part) != part and re.search("[:=;&?#/]", _decoded(part)):
        return MASK
    first, separator, parameters = _split_first(part)
    if ":" in first or "=" in first:
        first = _masked_parameters(first)
    return f"{first}{separator}{_masked_parameters(parameters)}"


def _split_first(part: str) -> tuple[str, str, str]:
    first, *others = _SEPARATORS.split(part, maxsplit=1)
    return (first, others[0], others[1]) if others else (first, "", "")


def _decoded(text: str) -> str:
    """Without its percent-encoding, however often it was applied."""
    for _ in range(4):
        text = unquote(text)
    return text


def _masked_parameters(text: str) -> str:
    """``name=value`` pieces between separators, all but harmless values masked."""
    return "".join(
        piece if number % 2 else _masked_parameter(piece)
        for number, piece in enumerate(_SEPARATORS.split(text))
    )


def _masked_parameter(piece: str) -> str:
    name, _, value = piece.partition("=")
    if not piece or not _PARAMETER_NAME.fullmatch(name) or not value.strip("="):
        return MASK if piece else ""  # also Base64, whose end looks like an empty value
    if name.lower() in HARMLESS_PARAMETERS and _PLAIN_VALUE.fullmatch(value):
        return piece
    return f"{name}={MASK}"


def is_network(url: str) -> bool:
    """Whether a source is at the other end of a network, where things come back by themselves."""
    return scheme_of(url) in DEFAULT_PORTS


def scrub(text: str) -> str:
    """Mask whatever looks like a credential in free text: for logs and error messages."""
    text = re.sub(r"\S+", _scrubbed_word, text)
    text = _SECRET_PARAMETER.sub(rf"\1{MASK}", text)
    text = _AUTHORIZATION.sub(rf"\1{MASK}", text)
    return _API_KEY.sub(f"sk-{MASK}", text)


def _scrubbed_word(word: re.Match[str]) -> str:
    """A word of a text, with a URL in it masked; a percent-encoded URL is masked completely."""
    text = word[0]
    scheme_end = _SCHEME_END.search(text)
    if scheme_end is None:
        return text
    before, rest = text[: scheme_end.end()], text[scheme_end.end() :]
    if scheme_end[0] != "://":
        return before + MASK
    url = rest.rstrip(_AROUND_URLS)
    return before + _masked(url) + rest[len(url) :] if url else text


# ── comparing, and publishing ────────────────────────────────────────────────────────────────


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

    A doubled segment ``X-X`` becomes ``X-blur``. What replies mask in the source's path and query
    is left out: a URL that others read must contain nothing that opens a camera. The server's
    own user and password stay, unless ``base`` redirects to another one.

    Args:
        base: ``rtsp://host:port/prefix`` of a server that takes all default outputs.
        unique: appended where the plain default is taken by another stream.
    """
    parts = urlsplit(source)
    folder, _, segment = _unmasked_path(parts.path).rstrip("/").rpartition("/")
    half, rest = segment[: len(segment) // 2], segment[len(segment) // 2 :]
    if half and rest == f"-{half}":
        segment = half
    segment = f"{segment}{_BLUR_SUFFIX}" if segment else _BLUR_SUFFIX.lstrip("-")
    if unique:
        segment = f"{segment}-{unique}"
    path = f"{folder}/{segment}"
    if base is None:
        query = _without_masked(_masked_parameters(parts.query))
        return urlunsplit((parts.scheme, parts.netloc, path, query, ""))
    target = urlsplit(base)
    return urlunsplit(
        (target.scheme, target.netloc, target.path.rstrip("/") + path, target.query, "")
    )


def _unmasked_path(path: str) -> str:
    parts = [(part, _without_masked(part)) for part in masked_path(path).split("/")]
    return "/".join(public for part, public in parts if public or not part)


def _without_masked(text: str) -> str:
    """Parameters without those that are masked."""
    return _MASKED_PIECE.sub("", text).lstrip(";&?")
