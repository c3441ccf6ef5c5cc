"""Images in text messages."""

from __future__ import annotations

import base64

import pytest

from app.api.data_url import decode
from app.errors import BadFrame
from app.failure_reason import FailureReason

DATA = bytes(range(256))
BODY = base64.b64encode(DATA).decode()


@pytest.mark.parametrize(
    "head",
    [
        "data:image/jpeg;base64,",
        "data:image/jpg;base64,",
        "data:image/png;base64,",
        "data:image/webp;base64,",
        "DATA:IMAGE/JPEG;BASE64,",
        "data:image/jpeg;charset=utf-8;base64,",
        "\n data:image/jpeg; base64 ,",
    ],
)
def test_heads_that_clients_write(head: str) -> None:
    assert decode(head + BODY) == DATA


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.rstrip("="),
        lambda body: body + "\n",
        lambda body: "\r\n".join(body[at : at + 76] for at in range(0, len(body), 76)),
        lambda body: " ".join(body),
    ],
)
def test_bodies_that_clients_write(change: object) -> None:
    assert decode("data:image/jpeg;base64," + change(BODY)) == DATA  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "data:",
        "data:,",
        BODY,
        f"data:text/plain;base64,{BODY}",
        f"data:image/gif;base64,{BODY}",
        f"data:image/svg+xml;base64,{BODY}",
        f"data:image/jpeg,{BODY}",
        f"data:image/jpeg;base64{BODY}",
        f"https://192.0.2.1/x?data:image/jpeg;base64,{BODY}",
        "data:image/jpeg" + ";a=b" * 10_000,
    ],
)
def test_what_is_no_data_url_of_a_picture(text: str) -> None:
    with pytest.raises(BadFrame) as refused:
        decode(text)
    assert refused.value.details["reason"] == FailureReason.NO_DATA_URL


@pytest.mark.parametrize(
    "body", ["*", "A", "AAAAA", "====", "AA=A", "AA-_", "AAé=", BODY + "=" * 8, "A\x00AA"]
)
def test_what_is_no_base64(body: str) -> None:
    with pytest.raises(BadFrame) as refused:
        decode("data:image/jpeg;base64," + body)
    assert refused.value.details["reason"] == FailureReason.NO_BASE64


def test_an_empty_text_is_empty() -> None:
    with pytest.raises(BadFrame) as refused:
        decode("")
    assert refused.value.details["reason"] == FailureReason.EMPTY
    assert decode("data:image/jpeg;base64,") == b""  # with an empty image, which is reported later
