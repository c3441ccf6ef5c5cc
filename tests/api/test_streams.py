"""The stream control API, as far as it needs no camera."""

from __future__ import annotations

import asyncio
import json
import re
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fixtures import Running

from app.api.streams import RESERVED, pasted_url
from app.mjpeg import multipart
from app.types import StreamSpec

pytestmark = pytest.mark.anyio

START = "/api/streams/cam-1/start"
URL = "rtsp://127.0.0.1:9/cam"  # nothing listens there


def check_error(reply: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Check the form of an error reply, and return its details."""
    assert reply.status_code == status, reply.text
    body = reply.json()
    assert set(body) == {"code", "message", "details"}
    assert isinstance(body["code"], str)
    assert isinstance(body["message"], str)
    assert isinstance(body["details"], dict)
    assert not re.search(r"\{[a-z_]+\}", body["message"]), "a placeholder is left"
    if code is not None:
        assert body["code"] == code
    return dict(body["details"])


# ── bodies that are none ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [START, "/api/streams/register"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"", ""),
        (b"{", "application/json"),
        (b"{'rtsp_url': 1}", "application/json"),
        (b"null", "application/json"),
        (b"[]", "application/json"),
        (b'"rtsp://h/x"', "application/json"),
        (b"42", "application/json"),
        (b"\xff\xfe\x00", "application/json"),
        (b"[" * 50_000, "application/json"),
        (b"{}", "application/json"),
        (b'{"rtsp_url": "rtsp://127.0.0.1:9/x"}', "text/plain"),
        (b"rtsp_url=rtsp://127.0.0.1:9/x", "application/x-www-form-urlencoded"),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
    ],
)
async def test_what_is_no_request_is_a_400_in_the_error_form(
    path: str, body: bytes, kind: str, local_client: httpx.AsyncClient
) -> None:
    headers = {"content-type": kind} if kind else {}
    check_error(await local_client.post(path, content=body, headers=headers), 400)


# ── fields ───────────────────────────────────────────────────────────────────────────────────

WRONG = [
    ("max_fps", "15"), ("max_fps", True), ("max_fps", None), ("max_fps", [15]), ("max_fps", 0),
    ("max_fps", 0.09), ("max_fps", 61), ("max_fps", -15), ("max_fps", 10**400),
    ("downscale", "0.5"), ("downscale", 0), ("downscale", 0.09), ("downscale", 1.01),
    ("downscale", False), ("downscale", None), ("downscale", -1),
    ("blur", "heavy"), ("blur", ""), ("blur", None), ("blur", 1), ("blur", True), ("blur", "OFF"),
    ("rotate", 45), ("rotate", "90"), ("rotate", 360), ("rotate", None), ("rotate", True),
    ("blur_margin", -0.1), ("blur_margin", 2.1), ("blur_margin", "0.25"), ("blur_margin", True),
    ("encoder", "mpeg2video"), ("encoder", "x"), ("encoder", 1), ("encoder", None),
    ("bitrate", 1.5), ("bitrate", "1M"), ("bitrate", 0), ("bitrate", -1), ("bitrate", 10**12),
    ("bitrate", True),
    ("transport", "http"), ("transport", None), ("transport", 6),
    ("rtsp_url", None), ("rtsp_url", 1), ("rtsp_url", ["rtsp://h/x"]), ("rtsp_url", {}),
    ("output_url", 1), ("output_url", ["rtsp://h/x"]), ("output_url", False),
    ("detect_url", 1), ("detect_url", ["rtsp://h/x"]), ("detect_url", "x" * 3000),
    ("max-fps", 15), ("maxFps", 15), ("Name", "x"), ("", 1), ("rtsp_url ", "x"), ("url", URL),
    ("stream_id", "cam-1"), ("__proto__", {}),
    ("name", ""), ("name", 7), ("name", "x" * 101), ("analytics", None), ("analytics", "smoking"),
    ("analytics", ["dancing"]), ("analytics", [1]), ("analytics", {"smoking": 1}),
    ("analytics", {"smoking": {"confirm": 0}}), ("analytics", {"smoking": {"colour": 1}}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), WRONG)
async def test_a_wrong_or_unknown_field_is_a_400_that_names_it(
    field: str, value: object, local_client: httpx.AsyncClient
) -> None:
    body = json.dumps({"rtsp_url": URL, field: value})
    reply = await local_client.post(
        START, content=body, headers={"content-type": "application/json"}
    )
    details = check_error(reply, 400, "INVALID_REQUEST")
    assert details["field"].partition(".")[0] == field or (not field and details["field"])
    assert field in reply.json()["message"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["max_fps", "downscale", "blur_margin", "bitrate"])
async def test_what_is_no_number_is_a_400(
    field: str, number: str, local_client: httpx.AsyncClient
) -> None:
    body = f'{{"rtsp_url": "{URL}", "{field}": {number}}}'
    reply = await local_client.post(
        START, content=body, headers={"content-type": "application/json"}
    )
    check_error(reply, 400)


async def test_all_problems_are_told_at_once(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.post(START, json={"max_fps": 0, "blur": "x", "zzz": 1})
    details = check_error(reply, 400)
    assert {e["field"] for e in details["errors"]} == {"rtsp_url", "max_fps", "blur", "zzz"}


async def test_an_unknown_field_of_register_is_named(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.post("/api/streams/register", json={"rtsp_url": URL, "max_fps": 15})
    assert check_error(reply, 400)["field"] == "max_fps"


BAD_URLS = [
    "", " ", "cam", "http://127.0.0.1/x", "file:///etc/passwd", "demo:", "rtmp://h/x", "rtsp:",
    "rtsp://", "rtsp:///x", "rtsp://:554/x", "rtsp://h:0/x", "rtsp://h:99999/x", "rtsp://h:x/y",
    "rtsp://h/a b", "rtsp://h/a\nb", "rtsp://h/\ta", "rtsp://h/\u0000", "rtsp://[::1/x",
    "rtsp://169.254.169.254/x", "rtsp://[fe80::1]/x", "rtsp://224.0.0.1/x", "rtsp://0.0.0.0/x",
    "rtsp://[::]/x", "rtsp://[::ffff:169.254.1.1]/x", "rtsp://h/" + "x" * 3000,
    "concat:rtsp://h/x", "rtsp:/h/x", "//h/x", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD_URLS)
async def test_a_bad_input_url_is_a_400_at_every_door(
    url: str, local_client: httpx.AsyncClient
) -> None:
    body = json.dumps({"rtsp_url": url})
    headers = {"content-type": "application/json"}
    check_error(await local_client.post(START, content=body, headers=headers), 400)
    check_error(
        await local_client.post("/api/streams/register", content=body, headers=headers), 400
    )
    if "\ud800" not in url:
        check_error(await local_client.get("/api/streams/by-input", params={"input_url": url}), 400)


@pytest.mark.parametrize("url", BAD_URLS)
async def test_a_bad_output_url_is_a_400(url: str, local_client: httpx.AsyncClient) -> None:
    body = json.dumps({"rtsp_url": URL, "output_url": url})
    reply = await local_client.post(
        START, content=body, headers={"content-type": "application/json"}
    )
    check_error(reply, 400)


@pytest.mark.parametrize(
    "url", ["", "x", "http://192.0.2.1/sub", "file:///etc/passwd", "rtsp://", "rtsp://h:99999/x"]
)
async def test_a_bad_url_of_a_second_stream_is_a_400(
    url: str, local_client: httpx.AsyncClient
) -> None:
    body = {"rtsp_url": URL, "detect_url": url}
    check_error(await local_client.post(START, json=body), 400, "INVALID_RTSP_URL")


async def test_a_second_stream_may_not_lead_where_no_stream_may_go(
    local_client: httpx.AsyncClient,
) -> None:
    body = {"rtsp_url": URL, "detect_url": "rtsp://169.254.169.254/sub"}
    check_error(await local_client.post(START, json=body), 400, "ADDRESS_NOT_ALLOWED")


@pytest.mark.parametrize("number", [2852039166, 0xA9FEA9FE])
async def test_an_address_written_as_a_number_is_seen_through(
    number: int, local_client: httpx.AsyncClient
) -> None:
    reply = await local_client.post(START, json={"rtsp_url": f"rtsp://{number}/x"})
    assert check_error(reply, 400, "ADDRESS_NOT_ALLOWED")["address"] == "169.254.169.254"


async def test_an_output_that_is_the_input_is_a_400(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.post(START, json={"rtsp_url": URL, "output_url": URL + "/?x=1"})
    check_error(reply, 400, "OUTPUT_IS_INPUT")


async def test_no_error_repeats_a_password(local_client: httpx.AsyncClient) -> None:
    secret = "rtsp://admin:hidden-1@127.0.0.1:9/x"
    for body in (
        {"rtsp_url": secret, "max_fps": "x"},
        {"rtsp_url": secret, "output_url": secret},
        {"rtsp_url": secret},
        {"rtsp_url": URL, secret: 1},
        {"rtsp_url": URL, "blur": secret},
        {"rtsp_url": "x" + secret},
    ):
        for path in (START, "/api/streams/register"):
            reply = await local_client.post(path, json=body)
            assert reply.status_code >= 400
            assert "hidden-1" not in reply.text, body
    assert "hidden-1" not in (await local_client.get(f"/api/{secret}")).text
    reply = await local_client.get("/api/streams/by-input", params={"input_url": secret})
    assert "hidden-1" not in reply.text


# ── ids ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream_id", RESERVED)
async def test_a_reserved_id_is_a_400(stream_id: str, local_client: httpx.AsyncClient) -> None:
    reply = await local_client.post(f"/api/streams/{stream_id}/start", json={"rtsp_url": URL})
    assert check_error(reply, 400)["field"] == "stream_id"


@pytest.mark.parametrize(
    "stream_id",
    ["a b", "a%0A", ".hidden", "a%00", "ü", "x" * 65, "a:b", "a*", "%2e%2e", "a'b", "a<b>"],
)
async def test_a_bad_id_is_a_400_that_names_the_field(
    stream_id: str, local_client: httpx.AsyncClient
) -> None:
    reply = await local_client.post(f"/api/streams/{stream_id}/start", json={"rtsp_url": URL})
    if reply.status_code == 404:  # the client itself resolved the dots
        check_error(reply, 404)
    else:
        assert check_error(reply, 400)["field"] == "stream_id"


@pytest.mark.parametrize("stream_id", ["a", "cam-1", "A.b_c-9", "_x", "-x", "x" * 64, "0"])
async def test_a_good_id_gets_as_far_as_the_camera(
    stream_id: str, local_client: httpx.AsyncClient
) -> None:
    reply = await local_client.post(f"/api/streams/{stream_id}/start", json={"rtsp_url": URL})
    details = check_error(reply, 502, "INPUT_FAILED")
    assert (details["end"], details["reason"]) == ("input", "connection_refused")
    assert details["url"] == URL


# ── what is not there ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/stop"), ("POST", "/restart"), ("GET", "/jpeg"), ("GET", "/mjpeg")],
)
async def test_an_unknown_stream_is_a_404(
    method: str, path: str, local_client: httpx.AsyncClient
) -> None:
    reply = await local_client.request(method, f"/api/streams/nobody{path}")
    assert check_error(reply, 404, "STREAM_NOT_FOUND") == {"stream_id": "nobody"}
    assert reply.json()["message"] == "스트림을 찾을 수 없습니다: nobody"


async def test_an_unknown_stream_is_disconnected_with_success(
    local_client: httpx.AsyncClient,
) -> None:
    reply = await local_client.post("/api/streams/nobody/disconnect")
    assert reply.status_code == 200
    assert reply.json() == {
        "success": True,
        "data": {
            "stream_id": "nobody",
            "status": "DISCONNECTED",
            "message": "연결이 완전히 종료되었습니다.",
        },
    }


@pytest.mark.parametrize(
    "path", ["/nope", "/api", "/api/streams/a/b/c", "/api/streams/a/nope", "/static/none", "/api/"]
)
async def test_an_unknown_path_is_a_404_in_the_error_form(
    path: str, local_client: httpx.AsyncClient
) -> None:
    check_error(await local_client.get(path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/streams"),
        ("POST", "/api/streams"),
        ("GET", "/api/streams/a/start"),
        ("PUT", "/api/streams/a/stop"),
        ("POST", "/api/streams/by-input"),
        ("POST", "/healthz"),
    ],
)
async def test_a_wrong_method_is_a_405_in_the_error_form(
    method: str, path: str, local_client: httpx.AsyncClient
) -> None:
    reply = await local_client.request(method, path)
    check_error(reply, 405, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"]


async def test_by_input_without_its_parameter_is_a_400(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.get("/api/streams/by-input")
    assert check_error(reply, 400)["field"] == "input_url"


async def test_a_failed_start_leaves_nothing_behind(local_client: httpx.AsyncClient) -> None:
    check_error(await local_client.post(START, json={"rtsp_url": URL}), 502)
    check_error(await local_client.post("/api/streams/register", json={"rtsp_url": URL}), 502)
    reply = await local_client.get("/api/streams/by-input", params={"input_url": URL})
    check_error(reply, 502)
    assert (await local_client.get("/api/streams")).json() == {"success": True, "data": []}
    check_error(await local_client.get("/api/streams/cam-1"), 404)


async def test_a_crash_inside_is_a_500_that_gives_nothing_away(
    local_client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.pipeline.manager import StreamManager

    def crash(self: StreamManager, stream_id: str) -> None:
        raise RuntimeError("rtsp://admin:hidden-1@h/x")

    monkeypatch.setattr(StreamManager, "stream", crash)
    reply = await local_client.get("/api/streams/a")
    check_error(reply, 500, "INTERNAL_ERROR")
    assert "hidden-1" not in reply.text


# ── languages ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "ko"), ("", "ko"), ("ko", "ko"), ("ko-KR,ko;q=0.9", "ko"), ("en", "en"),
        ("en-US,en;q=0.9", "en"), ("ru", "ru"), ("ru-RU", "ru"), ("RU", "ru"), ("fr", "ko"),
        ("fr, ru;q=0.5", "ru"), ("en;q=0.3, ru;q=0.8", "ru"), ("ru;q=0", "ko"), ("*", "ko"),
        ("en;q=abc", "ko"), (";;;,,,", "ko"), ("en; q=0.9, ru; q=1", "ru"),
        ("en ; q=0.2 , ru ; q=0.7", "ru"), ("en;q=nan,ru;q=0.1", "ru"),
    ],
)  # fmt: skip
async def test_messages_are_in_the_language_that_is_asked_for(
    accepted: str | None, language: str, local_client: httpx.AsyncClient
) -> None:
    texts = {
        "ko": "스트림을 찾을 수 없습니다: x",
        "en": "Stream not found: x",
        "ru": "Поток не найден: x",
    }
    headers = {} if accepted is None else {"Accept-Language": accepted}
    reply = await local_client.get("/api/streams/x", headers=headers)
    assert reply.json()["message"] == texts[language]


@pytest.mark.parametrize(
    ("language", "word"), [("en", "disconnected"), ("ru", "закрыто"), ("ko", "종료")]
)
async def test_replies_are_in_the_language_too(
    language: str, word: str, local_client: httpx.AsyncClient
) -> None:
    headers = {"Accept-Language": language}
    reply = await local_client.post("/api/streams/x/disconnect", headers=headers)
    assert word in reply.json()["data"]["message"]
    assert reply.json()["data"]["status"] == "DISCONNECTED"


@pytest.mark.parametrize(
    ("language", "word"), [("en", "refused"), ("ru", "отклонено"), ("ko", "거부")]
)
async def test_why_a_far_end_failed_is_said_in_the_language(
    language: str, word: str, local_client: httpx.AsyncClient
) -> None:
    reply = await local_client.post(
        START, json={"rtsp_url": URL}, headers={"Accept-Language": language}
    )
    assert word in reply.json()["message"]
    assert reply.json()["details"]["reason"] == "connection_refused"


# ── URLs as people paste them ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("query", "url"),
    [
        ("input_url=rtsp://h/x", "rtsp://h/x"),
        ("input_url=rtsp://h/x?channel=1&subtype=0", "rtsp://h/x?channel=1&subtype=0"),
        ("input_url=rtsps://u:p@h:1/x?a=b", "rtsps://u:p@h:1/x?a=b"),
        ("input_url=rtsp://u:p%40ss@h/x", "rtsp://u:p%40ss@h/x"),
        ("input_url=rtsp://h/x?a=1&token=t0k", "rtsp://h/x?a=1"),
        ("input_url=rtsp%3A%2F%2Fh%2Fx%3Fa%3D1", None),
        ("input_url=", None),
        ("", None),
        ("other=rtsp://h/x", None),
    ],
)
async def test_a_url_that_was_not_encoded_is_taken_whole(query: str, url: str | None) -> None:
    assert pasted_url(query) == url


@pytest.mark.parametrize(
    "query",
    [
        "input_url=rtsp://127.0.0.1:9/x?channel=1&subtype=0",
        "input_url=rtsp%3A%2F%2F127.0.0.1%3A9%2Fx%3Fchannel%3D1%26subtype%3D0",
        "input_url=rtsp%3A//127.0.0.1%3A9/x%3Fchannel%3D1%26subtype%3D0",
        "token=x&input_url=rtsp%3A%2F%2F127.0.0.1%3A9%2Fx%3Fchannel%3D1%26subtype%3D0",
        "token=x&input_url=rtsp://127.0.0.1:9/x?channel=1&subtype=0",
        "input_url=rtsp://127.0.0.1:9/x%3Fchannel%3D1%26subtype%3D0",
    ],
)
async def test_by_input_means_the_same_url_however_it_is_written(
    query: str, local_client: httpx.AsyncClient
) -> None:
    reply = await local_client.get(f"http://localhost:8000/api/streams/by-input?{query}")
    details = check_error(reply, 502, "INPUT_FAILED")
    assert details["url"] == "rtsp://127.0.0.1:9/x?channel=1&subtype=0"


async def test_the_parts_of_a_picture_stream_have_their_lengths() -> None:
    async def pictures() -> Any:
        for jpeg in (b"\xff\xd8one", b"\xff\xd8second"):
            yield SimpleNamespace(jpeg=jpeg)

    body = b"".join([part async for part in multipart(pictures())])
    assert body == (
        b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 5\r\n\r\n\xff\xd8one\r\n"
        b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 8\r\n\r\n\xff\xd8second\r\n"
        b"--frame\r\n"
    )


@pytest.mark.parametrize("accepted", [None, "de-DE,de;q=0.9", "*"])
async def test_other_apis_are_english_unless_a_contract_says_otherwise(
    accepted: str | None, local_client: httpx.AsyncClient
) -> None:
    headers = {} if accepted is None else {"Accept-Language": accepted}
    paths = ("/camera/x", "/api/plates/987654", "/collect/jobs/x", "/no-such-path")
    replies = [await local_client.get(path, headers=headers) for path in paths]
    texts = [reply.json()["message"] for reply in replies]
    assert texts == [
        "Stream not found: x",
        "Plate not found: 987654",
        "There is no collection job x.",
        "Not found: /no-such-path",
    ]
    wrong = await local_client.put("/cameras", headers=headers)
    assert wrong.json()["message"] == "This method is not allowed here."


# ── other APIs' streams ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", ["stop", "restart", "disconnect", "start"])
@pytest.mark.parametrize("kind", ["camera", "push stream"])
async def test_a_stream_of_another_api_is_not_changed(
    kind: str, call: str, served: Running, local_client: httpx.AsyncClient
) -> None:
    manager, stream_id = served.state["manager"], f"not-ours-{kind[:4]}"
    source = "push:" if kind == "push stream" else "rtsp://192.0.2.1:9/x"
    manager.start_ephemeral(StreamSpec(stream_id, source))
    before = manager.registry.get(stream_id).spec
    reply = await local_client.post(
        f"/api/streams/{stream_id}/{call}",
        json={"rtsp_url": URL} if call == "start" else None,
        headers={"Accept-Language": "en"},
    )
    assert (reply.status_code, reply.json()["code"]) == (409, "OTHER_API")
    assert reply.json()["message"].startswith(f"{stream_id} is a {kind}.")
    entry = manager.registry.get(stream_id)
    assert entry.alive
    assert entry.spec == before
    assert (await local_client.get(f"/api/streams/{stream_id}")).status_code == 200


async def test_everything_that_runs_is_in_one_list_with_its_error(
    served: Running, local_client: httpx.AsyncClient
) -> None:
    manager = served.state["manager"]
    manager.start_ephemeral(StreamSpec("no-camera", "http://127.0.0.1:9/x.mjpg"))
    async with asyncio.timeout(20):
        while True:
            listed = {one["camera_id"]: one for one in (await local_client.get("/cameras")).json()}
            if listed["no-camera"]["last_error"]:
                break
            await asyncio.sleep(0.05)
    assert listed["no-camera"]["kind"] == "camera"
    assert listed["no-camera"]["state"] in ("starting", "reconnecting")
    assert "refused" in listed["no-camera"]["last_error"]
    await manager.disconnect("no-camera")
