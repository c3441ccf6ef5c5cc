"""RTSP URLs: what is accepted, what is shown, and what is published to."""

from __future__ import annotations

import json
import random
import socket
import string
import time
import traceback
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from support.secret_urls import NO_HOST, REFUSED, SHAPES, filled, forms

from app import urls
from app.errors import AddressNotAllowed, InvalidUrl

WORD = "Geheim42"

# ── check_rtsp ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://192.0.2.1/x", "rtsp://192.0.2.1:5554/01057432025-01057432025", "rtsps://h/x",
        "rtsp://host", "rtsp://host/", "RTSP://Host/X", "rtsp://u:p@host:554/a/b/c",
        "rtsp://u:p%40ss@host/x", "rtsp://u:p@ss@host/x", "rtsp://user@host/x",
        "rtsp://h/x?channel=1&subtype=0", "rtsp://h/x?a=b#c", "rtsp://[2001:db8::1]:554/x",
        "rtsp://[::1]/x", "rtsp://127.0.0.1:1/x", "rtsp://h:65535/x", "rtsp://10.0.0.1/x",
        "rtsp://카메라.example/스트림", "rtsp://h/with-'quotes'", "rtsp://[fd00::1]/x",
    ],
)  # fmt: skip
def test_a_good_url_comes_back_as_it_was(url: str) -> None:
    assert urls.check_rtsp(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "rtsp", "rtsp:", "rtsp:/", "rtsp://", "rtsp:///x", "rtsp://:554/x", "rtsp://u@/x",
        "rtsp://u:p@:554/x", "rtsp://?x", "rtsp://h:0/x", "rtsp://h:99999/x", "rtsp://h:-1/x",
        "rtsp://h:a/x", "rtsp://h:5 54/x", "http://h/x", "https://h/x", "file:///etc/passwd",
        "rtmp://h/x", "tcp://h:1", "rtspt://h/x", "demo:", "concat:rtsp://h/x", "h/x", "//h/x",
        " rtsp://h/x", "rtsp://h/x ", "rtsp://h/a b", "rtsp://h/\n", "rtsp://h\n/x", "rtsp://h/\r",
        "rtsp://h/\t", "rtsp://h/\x00", "rtsp://h/\x7f", "rtsp://h/\u2028x", "rtsp://h/\u00a0",
        "rtsp://h/\u200b", "rtsp://h/\ud800", "\nrtsp://h/x", "rt\nsp://h/x", "rtsp://[::1/x",
        "rtsp://::1]/x", "rtsp://[nonsense]/x", "rtsp://h/" + "x" * urls.MAX_LENGTH,
    ],
)  # fmt: skip
def test_a_bad_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        urls.check_rtsp(url)
    assert caught.value.details["reason"]


@pytest.mark.parametrize(
    "host",
    [
        "169.254.0.1", "169.254.169.254", "[fe80::1]", "[fe80::1%25eth0]", "224.0.0.1",
        "239.255.255.250", "[ff02::1]", "0.0.0.0", "0.1.2.3", "[::]", "255.255.255.255",
        "[::ffff:169.254.1.1]", "[::ffff:a9fe:a9fe]", "[::ffff:0.0.0.0]", "[::ffff:224.0.0.1]",
        "[2002:a9fe:a9fe::1]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["rtsp://{}/x", "rtsps://u:p@{}:554/x"])
def test_addresses_that_no_camera_has_are_refused(host: str, form: str) -> None:
    with pytest.raises(AddressNotAllowed) as caught:
        urls.check_rtsp(form.format(host))
    assert "u:p" not in str(caught.value.details)


# ── resolve ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "host",
    [
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "169.254.43518",
        "0",
    ],
)
def test_other_spellings_of_a_forbidden_address_are_seen_through(host: str) -> None:
    with pytest.raises(AddressNotAllowed):
        for url in urls.resolve(urls.check_rtsp(f"rtsp://{host}/x")):
            urls.check_rtsp(url)


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[Any]:
    asked: list[Any] = []

    def look_up(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append((host, port))
        return [(0, 0, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_the_host_is_replaced_by_each_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, "2001:db8::1", "192.0.2.1", "192.0.2.1", "192.0.2.2")
    assert urls.resolve("rtsp://u:p@cam.example/a/b?c=d&e=f") == [
        "rtsp://u:p@192.0.2.1:554/a/b?c=d&e=f",
        "rtsp://u:p@192.0.2.2:554/a/b?c=d&e=f",
        "rtsp://u:p@[2001:db8::1]:554/a/b?c=d&e=f",
    ]
    assert asked == [("cam.example", 554)]


def test_the_port_is_the_given_or_the_schemes_own(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "192.0.2.1")
    assert urls.resolve("rtsp://h:1234/x") == ["rtsp://192.0.2.1:1234/x"]
    assert urls.resolve("rtsps://h/x") == ["rtsps://192.0.2.1:322/x"]


@pytest.mark.parametrize("scheme", ["RTSP", "Rtsps"])
def test_the_case_of_the_scheme_does_not_matter(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, "192.0.2.1")
    assert len(urls.resolve(urls.check_rtsp(f"{scheme}://H/x"))) == 1


@pytest.mark.parametrize("bad", ["169.254.169.254", "::", "fe80::1%eth0", "224.0.0.1", "0.0.0.0"])
def test_one_forbidden_address_among_many_refuses_all(
    bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, "192.0.2.1", bad, "2001:db8::1")
    with pytest.raises(AddressNotAllowed):
        urls.resolve("rtsp://h/x")


@pytest.mark.parametrize("userinfo", ["u:p", "u:p@ss", "u:p%40ss", "u", "u:", ":p"])
def test_credentials_survive_the_look_up(userinfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "192.0.2.1")
    assert urls.resolve(f"rtsp://{userinfo}@h/x") == [f"rtsp://{userinfo}@192.0.2.1:554/x"]


# ── default_output ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("rtsp://15.165.156.169:5554/01057432025-01057432025", "rtsp://15.165.156.169:5554/01057432025-blur"),
        ("rtsp://h/cam", "rtsp://h/cam-blur"),
        ("rtsp://h/a-a", "rtsp://h/a-blur"),
        ("rtsp://h/a-b", "rtsp://h/a-b-blur"),
        ("rtsp://h/a-a-a", "rtsp://h/a-a-a-blur"),
        ("rtsp://h/x-y-x-y", "rtsp://h/x-y-blur"),
        ("rtsp://h/aa", "rtsp://h/aa-blur"),
        ("rtsp://h/-", "rtsp://h/--blur"),
        ("rtsp://h/live/cam/1", "rtsp://h/live/cam/1-blur"),
        ("rtsp://h/a-a/b", "rtsp://h/a-a/b-blur"),
        ("rtsp://h/cam/", "rtsp://h/cam-blur"),
        ("rtsp://h/", "rtsp://h/blur"),
        ("rtsp://h", "rtsp://h/blur"),
        ("rtsp://u:p@h:1/cam?channel=1&fps=5", "rtsp://u:p@h:1/cam-blur?channel=1&fps=5"),
        ("rtsp://u:p%40@h/cam-cam?token=t&subtype=0", "rtsp://u:p%40@h/cam-blur?subtype=0"),
        ("rtsp://h/cam?a=b", "rtsp://h/cam-blur"),
        ("rtsp://h/0/admin:pw/main", "rtsp://h/0/main-blur"),
        ("rtsp://h/admin:pw@/ch0", "rtsp://h/ch0-blur"),
        ("rtsp://h/live;user=a;pass=b/ch0", "rtsp://h/live/ch0-blur"),
        ("rtsp://h/user=a_password=b_channel=1_stream=0.sdp", "rtsp://h/blur"),
        ("rtsp://h/user=a&password=b&channel=1", "rtsp://h/channel=1-blur"),
        ("rtsp://h//cam", "rtsp://h//cam-blur"),
        ("rtsps://[2001:db8::1]:1/cam", "rtsps://[2001:db8::1]:1/cam-blur"),
        ("rtsp://h/cam-blur", "rtsp://h/cam-blur-blur"),
        ("rtsp://h/%EC%B9%B4", "rtsp://h/%EC%B9%B4-blur"),
    ],
)  # fmt: skip
def test_the_last_segment_gets_blur(source: str, output: str) -> None:
    assert urls.default_output(source) == output


@pytest.mark.parametrize(
    ("base", "output"),
    [
        ("rtsp://out:8554", "rtsp://out:8554/live/cam-blur"),
        ("rtsp://out:8554/", "rtsp://out:8554/live/cam-blur"),
        ("rtsp://out/pre/fix/", "rtsp://out/pre/fix/live/cam-blur"),
        ("rtsps://me:pw@out/pre?k=v", "rtsps://me:pw@out/pre/live/cam-blur?k=v"),
    ],
)
def test_a_base_takes_the_output_and_nothing_that_opens_the_camera(base: str, output: str) -> None:
    source = "rtsp://u:camera-password@h:554/live/cam-cam?token=camera-token"
    made = urls.default_output(source, base=base)
    assert made == output
    assert "camera-" not in made


def test_a_unique_default_ends_with_what_makes_it_unique() -> None:
    assert urls.default_output("rtsp://h/a-a?fps=1", unique="id") == "rtsp://h/a-blur-id?fps=1"
    made = urls.default_output("rtsp://h/a", base="rtsp://o/p", unique="id")
    assert made == "rtsp://o/p/a-blur-id"


# ── normalised ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "other",
    [
        "rtsp://h/x", "RTSP://h/x", "rtsp://H/x", "rtsp://h:554/x", "rtsp://h/x/", "rtsp://u:p@h/x",
        "rtsp://h./x", "rtsp://h/x#fragment",
    ],
)  # fmt: skip
def test_spellings_of_one_url_are_equal(other: str) -> None:
    assert urls.normalised(other) == urls.normalised("rtsp://h/x")


@pytest.mark.parametrize(
    "other",
    ["rtsp://h/X", "rtsp://h:555/x", "rtsps://h/x", "rtsp://i/x", "rtsp://h/x/y", "rtsp://h/x?a=1"],
)
def test_different_urls_stay_different(other: str) -> None:
    assert urls.normalised(other) != urls.normalised("rtsp://h/x")


def test_without_the_query_only_the_query_is_ignored() -> None:
    def place(url: str) -> str:
        return urls.normalised(url, query=False)

    assert place("rtsp://h/x?a=1") == place("rtsp://u:p@h:554/x/?b=2") == place("rtsp://h/x")
    assert place("rtsp://h/y") != place("rtsp://h/x")


def some_urls(count: int = 400) -> list[str]:
    rng = random.Random(11)
    hosts = ["h", "Cam.Example", "192.0.2.1", "[2001:db8::1]", "h."]
    made = []
    for _ in range(count):
        userinfo = rng.choice(["", "u@", "u:p@", "u:p%40w@", "u:p@w@"])
        port = rng.choice(["", ":554", ":8554"])
        segments = ["a", "a-a", "B", "x-y-x-y", "%20", ""]
        path = "".join(f"/{rng.choice(segments)}" for _ in range(rng.randrange(4)))
        query = rng.choice(["", "?channel=1", "?token=t&b=2", "?x=%26"])
        scheme = rng.choice(["rtsp", "rtsps", "RTSP"])
        made.append(f"{scheme}://{userinfo}{rng.choice(hosts)}{port}{path}{query}")
    return made


@pytest.mark.parametrize("change", [urls.normalised, urls.without_credentials])
def test_to_normalise_or_to_clean_twice_changes_nothing_more(change: Any) -> None:
    for url in some_urls():
        once = change(url)
        assert change(once) == once


def test_an_output_is_a_good_url_that_is_not_its_input() -> None:
    for url in some_urls():
        output = urls.default_output(url)
        assert urls.check_rtsp(output) == output
        assert urls.normalised(output, query=False) != urls.normalised(url, query=False)
        assert urlsplit(output).netloc == urlsplit(url).netloc
        assert urlsplit(output).query in ("", "channel=1")


def test_what_is_shown_has_no_user_and_leads_to_the_same_place() -> None:
    for url in some_urls():
        shown = urls.without_credentials(url)
        assert "@" not in shown
        assert urls.normalised(shown, query=False) == urls.normalised(url, query=False)


# ── secrets ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://h/x", "rtsp://h/x"),
        ("rtsp://u:p@h:1/x?channel=1&subtype=0", "rtsp://h:1/x?channel=1&subtype=0"),
        ("rtsp://u:p@w@h/x", "rtsp://h/x"),
        ("rtsp://h/x?token=abc&channel=1", "rtsp://h/x?token=***&channel=1"),
        ("rtsp://h/x?user=a&password=abc", "rtsp://h/x?user=***&password=***"),
        ("rtsp://h/x?a=1&PWD=abc", "rtsp://h/x?a=***&PWD=***"),
        ("rtsp://h/x?abc&Channel=1", "rtsp://h/x?***&Channel=1"),
        ("rtsp://h/x?channel=a:b", "rtsp://h/x?channel=***"),
        ("rtsp://h/x#abc", "rtsp://h/x#***"),
        ("rtsp://h/0/admin:abc/main", "rtsp://h/0/***/main"),
        ("rtsp://h/admin:abc@/ch0", "rtsp://h/***/ch0"),
        ("rtsp://h/0/a/b@c/ch0", "rtsp://h/***/ch0"),
        ("rtsp://h/user=admin_password=abc_channel=1", "rtsp://h/user=***"),
        ("rtsp://h/user=a&password=b&channel=1", "rtsp://h/user=***&password=***&channel=1"),
        ("rtsp://h/media.amp;user=a", "rtsp://h/media.amp;user=***"),
        ("rtsp://h/%EC%B9%B4/a%3Ab", "rtsp://h/%EC%B9%B4/***"),
        ("rtsp://user/a@b/ch0", "rtsp://user/***/ch0"),
        ("rtsp://user:554/a@b/ch0", "rtsp://user:554/***/ch0"),
        ("rtsp://u:p@cam/a@b/ch0", "rtsp://cam/***/ch0"),
        ("rtsp://user:a#b@h/x", "rtsp://***"),
        ("rtsp://[2001:db8::1]:554/a:b", "rtsp://[2001:db8::1]:554/***"),
        ("http://u:p@h/Streaming/Channels/101", "http://h/Streaming/Channels/101"),
        ("file:/srv/a:b=c.mp4", "file:/srv/a:b=c.mp4"),
        ("webcam:0", "webcam:0"),
    ],
)
def test_shown_urls_stay_usable_and_keep_no_secret(url: str, shown: str) -> None:
    assert urls.without_credentials(url) == shown
    assert urls.scrub(f"({shown})") == f"({shown})"


@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_of_url_shows_its_password(shape: str) -> None:
    url = filled(SHAPES[shape], WORD)
    assert urls.check(url) == url
    output = urls.default_output(url)
    shown = {
        "reply": urls.without_credentials(url),
        "row": urls.origin(url),
        "output in replies": urls.without_credentials(output),
        "path of the output": urlsplit(output)._replace(netloc="").geturl(),
        "log": urls.scrub(f"cannot open {url!r}: refused"),
        "encoded in a log": urls.scrub(f"GET /x?input_url={quote(url, safe='')} HTTP/1.1"),
        "encoded twice": urls.scrub(quote(quote(url, safe=""), safe="")),
        "JSON": urls.scrub(json.dumps({"rtsp_url": url}, separators=(",", ":"))),
        "JSON with escaped slashes": urls.scrub(json.dumps([url]).replace("/", r"\/")),
    }
    assert {place for place, text in shown.items() for form in forms(WORD) if form in text} == set()
    assert shown["row"].lower() == f"{url.partition(':')[0].lower()}://192.0.2.1"


@pytest.mark.parametrize("shape", REFUSED)
def test_a_raw_reserved_character_in_a_password_is_refused_with_a_hint(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, "192.0.2.1")
    template, hint = REFUSED[shape]
    url = filled(template, WORD)
    with pytest.raises(InvalidUrl) as caught:
        urls.check(url)
    assert hint in str(caught.value)
    for text in (str(caught.value), urls.without_credentials(url), urls.scrub(f"no {url}!")):
        assert WORD not in text
    assert asked == []


@pytest.mark.parametrize("shape", NO_HOST)
def test_what_is_no_host_is_not_shown_as_one(shape: str) -> None:
    url = filled(NO_HOST[shape], WORD)
    with pytest.raises(InvalidUrl) as caught:
        urls.check(url)
    for text in (str(caught.value), urls.without_credentials(url), urls.origin(url)):
        assert WORD not in text


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://cam/admin:pw@/ch0", "rtsp://cam:554/live@main", "rtsp://192.0.2.1/a@192.0.2.2/b",
        "rtsp://u:p@192.0.2.1/a@b", "rtsp://u:p@cam:554/a@b", "rtsp://[::1]?mail=a@b",
        "rtsp://u:p@cam/a@b", "rtsp://u:p@a.cam/X@192.0.2.2/ch0", "rtsp://admin:12/X@192.0.2.1",
    ],
)  # fmt: skip
def test_an_at_behind_a_host_is_part_of_the_path(url: str) -> None:
    assert urls.check(url) == url
    assert urlsplit(urls.without_credentials(url)).hostname == urlsplit(url).hostname


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "a b", "h%41", "a,b", "a(b", ".", "192.0.2.1:"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    if host == "192.0.2.1:":
        assert urls.check(f"rtsp://{host}/x")
        return
    with pytest.raises(InvalidUrl):
        urls.check(f"rtsp://{host}/x")


SECRETS = ("token", "password", "passwd", "pwd", "pass", "psw", "auth", "key", "secret", "sig",
           "signature", "api_key", "apikey", "api-key", "access_token", "auth_token")  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "form",
    ["?{}=s3cr3t", "&{}=s3cr3t&x=1", "%3F{}%3Ds3cr3t%26x", "%26{}%3Ds3cr3t", " {}=s3cr3t '"],
)
def test_secret_parameters_are_masked_in_text(name: str, form: str) -> None:
    for spelled in (name, name.upper()):
        assert "s3cr3t" not in urls.scrub("rtsp://h/x" + form.format(spelled))


@pytest.mark.parametrize(
    "text",
    [
        "cannot open rtsp://u:s3cr3t@h/x: refused",
        "rtsp://u:s3cr3t@h and rtsp://v:s3cr3t@i",
        "rtsp://u:s3@cr3t@h/x s3",
        "input_url=rtsp%3A%2F%2Fu%3As3cr3t%40h%2Fx",
        "input_url=rtsp%3a%2f%2fu%3as3cr3t%40h%2fx",
        "GET /api/rtsp%3A//u%3As3cr3t%40h/x HTTP/1.1",
        "GET /api/rtsp://u:s3cr3t@h/x HTTP/1.1",
        "postgresql+psycopg://u:s3cr3t@h/db",
        "Authorization: Bearer s3cr3t",
        "authorization: bearer   s3cr3t",
        "key sk-ant-api03-s3cr3t-AAAA used",
        "GET /ws?token=s3cr3t HTTP/1.1",
        '{"rtsp_url": "rtsp://u:s3cr3t@h/x"}',
        "watchpost_token=s3cr3t; other=1",
        "('rtsp://u:s3cr3t@h/x',)",
        "user=admin_password=s3cr3t_channel=1",
        "camera_pw=s3cr3t",
        "Authorization: Basic s3cr3t",
        "RTSP://U:s3cr3t@H/X",
    ],
)
def test_credentials_are_masked_in_text(text: str) -> None:
    assert "s3cr3t" not in urls.scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "nothing to hide",
        "http://localhost:8000/docs",
        "rtsp://192.0.2.1:554/x?channel=1&subtype=0",
        "the key is lost: secret.key",
        "mail admin@example.com",
        "monkey=1 tokens: 5",
        "POST /api/streams/a/start HTTP/1.1",
        "Expected rtsp://host:port/path.",
        "RTSP URL: rtsp://host:port/path",
        "sqlite:////var/lib/watchpost/watchpost.db",
        "cannot open file:/srv/a:b.mp4",
        "max_fps=15 name=yard",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert urls.scrub(text) == text


def test_a_traceback_is_masked_line_by_line() -> None:
    def fail(url: str) -> None:
        raise OSError(f"cannot open {url}")

    try:
        fail("rtsp://u:s3cr3t@h/x?token=s3cr3t")
    except OSError:
        text = "".join(traceback.format_exc())
    scrubbed = urls.scrub(text)
    assert scrubbed.count("\n") == text.count("\n")
    assert "OSError: cannot open rtsp://h/x?token=***" in scrubbed


@pytest.mark.parametrize("mark", [mark for mark in string.punctuation if mark not in "/?#"])
def test_no_mark_in_a_password_makes_it_visible(mark: str) -> None:
    """Every password that ``check_rtsp`` accepts must be found by ``scrub``."""
    for password in (f"one{mark}cret", f"{mark}cret", f"one{mark}{mark}cret{mark}"):
        url = f"rtsp://user:{password}@192.0.2.1/x"
        try:
            urls.check_rtsp(url)
        except InvalidUrl:
            continue
        assert urlsplit(url).hostname == "192.0.2.1"
        assert "cret" not in urls.without_credentials(url)
        for text in (f"cannot open {url}", quote(url, safe=""), quote(url), repr(url)):
            assert "cret" not in urls.scrub(text)


@pytest.mark.parametrize(
    "text",
    ["rtsp://" * 9000, "a://" * 16_000, "a%3a%2f%2f" * 6000, "token=" * 10_000, "a_" * 30_000,
     "@" * 60_000, "x://h/" + "a:" * 30_000, "x://h/" + "a/" * 30_000, "x://h/?" + "a;" * 30_000,
     "x://" + "a." * 30_000 + "!/", "x://h/" + "%25" * 20_000, "pass" * 15_000,
     "x://h/" + "@/" * 30_000,
     "x://" + "y" * 60_000, "sk-" * 20_000, "bearer " * 9000],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_a_long_odd_text_takes_no_long_time(text: str) -> None:
    """The path of a request is logged before authentication."""
    begun = time.monotonic()
    urls.scrub(f"GET /{text} HTTP/1.1")
    assert time.monotonic() - begun < 2
