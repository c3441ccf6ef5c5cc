"""The eight calls of the stream control API, as in the contract."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.poll import eventually
from support.readers import frame_times, read_at_once
from support.rtsp import RtspServer, probe
from support.watchpost import Server, data_of, error_of

CONFIG_KEYS = {
    *("rtsp_url", "max_fps", "downscale", "output_url"),
    *("blur", "blur_margin", "rotate", "encoder", "bitrate", "transport"),
    *("name", "analytics"),
}
STATS_KEYS = {
    *("input_fps", "output_fps", "frames_in", "frames_dropped", "frames_published"),
    *("frames_withheld", "faces", "last_frame_ts", "error_count", "reconnects", "last_error"),
    *("latency_ms", "codec", "width", "height", "uptime_s", "decoder", "encoder"),
}


# ── start ────────────────────────────────────────────────────────────────────────────────────


def test_start_answers_with_the_contracts_keys_and_the_effective_settings(
    server: Server, camera: str
) -> None:
    data = server.begin("cam-1", camera)

    assert set(data) == {"stream_id", "status", "config"}
    assert (data["stream_id"], data["status"]) == ("cam-1", "running")
    assert set(data["config"]) == CONFIG_KEYS
    assert data["config"]["rtsp_url"] == camera
    assert data["config"]["output_url"] == f"{camera}-blur"
    assert (data["config"]["max_fps"], data["config"]["downscale"]) == (15, 1)
    assert data["config"]["blur"] == "gaussian"


def test_a_reader_gets_a_picture_as_soon_as_start_has_answered(server: Server, camera: str) -> None:
    url = server.begin("cam-1", camera)["config"]["output_url"]

    [picture] = read_at_once(url)

    assert picture.shape == (360, 640, 3)


def test_the_output_is_h264_of_the_size_and_rate_that_were_asked_for(
    server: Server, camera: str, relay: RtspServer
) -> None:
    url = relay.url("small-and-slow")
    server.begin("cam-1", camera, max_fps=5, downscale=0.5, output_url=url)
    relay.wait_published("small-and-slow")

    [stream] = probe(url)["streams"]
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", 320, 180)
    times = frame_times(url, 16)
    rate = (len(times) - 1) / (times[-1] - times[0])
    assert 3 < rate < 5.5


def test_media_may_go_over_udp_both_ways(server: Server, camera: str) -> None:
    data = server.begin("cam-1", camera, transport="udp")

    assert data["config"]["transport"] == "udp"
    [picture] = read_at_once(data["config"]["output_url"])
    assert picture.shape == (360, 640, 3)


def test_the_same_start_again_returns_the_running_stream(server: Server, camera: str) -> None:
    first = server.begin("cam-1", camera, max_fps=10)
    published = server.show("cam-1")["stats"]["frames_published"]

    second = server.begin("cam-1", camera, max_fps=10)

    assert second == first
    assert server.show("cam-1")["stats"]["frames_published"] >= published > 0
    assert list(server.listed()) == ["cam-1"]


def test_another_configuration_for_a_running_stream_is_a_conflict_that_hints_to_restart(
    server: Server, camera: str
) -> None:
    server.begin("cam-1", camera, max_fps=10)

    body = error_of(
        server.post("cam-1/start", rtsp_url=camera, max_fps=11), 409, "STREAM_ALREADY_RUNNING"
    )

    assert body["details"]["stream_id"] == "cam-1"
    assert server.show("cam-1")["config"]["max_fps"] == 10


def test_a_doubled_path_segment_becomes_one_with_blur(
    server: Server, relay: RtspServer, video: Path
) -> None:
    with relay.publish_file("live/01057432025-01057432025", video):
        data = server.begin("cam-1", relay.url("live/01057432025-01057432025"))

        assert data["config"]["output_url"] == relay.url("live/01057432025-blur")
        assert read_at_once(data["config"]["output_url"])


# ── list and show ────────────────────────────────────────────────────────────────────────────


def test_the_list_is_empty_at_first(server: Server) -> None:
    assert data_of(server.get()) == []


def test_the_list_has_exactly_the_contracts_columns(server: Server, camera: str) -> None:
    server.begin("cam-1", camera)

    row = eventually(
        lambda: server.listed()["cam-1"], lambda row: row["fps"] > 2, 20, "the output has a rate"
    )

    assert set(row) == {"stream_id", "status", "fps", "last_frame_ts", "error_count"}
    assert (row["status"], row["error_count"]) == ("running", 0)
    assert row["fps"] < 20
    assert abs(row["last_frame_ts"] - time.time()) < 5


def test_show_tells_config_and_statistics(server: Server, camera: str) -> None:
    started = server.begin("cam-1", camera)
    data = eventually(
        lambda: server.show("cam-1"),
        lambda data: data["stats"]["frames_published"] > 10,
        20,
        "ten frames are out",
    )

    assert set(data) == {"stream_id", "status", "config", "stats", "reduced"}
    assert data["config"] == started["config"]
    stats = data["stats"]
    assert set(stats) == STATS_KEYS
    assert (stats["codec"], stats["width"], stats["height"]) == ("h264", 640, 360)
    assert stats["frames_in"] >= stats["frames_published"]
    assert 0 < stats["latency_ms"]["p50"] <= stats["latency_ms"]["p95"] < 4000
    assert (stats["error_count"], stats["reconnects"], stats["last_error"]) == (0, 0, None)


# ── stop, restart, disconnect ────────────────────────────────────────────────────────────────


def test_stop_ends_the_output_and_keeps_the_stream(
    server: Server, camera: str, relay: RtspServer
) -> None:
    server.begin("cam-1", camera)

    data = data_of(server.post("cam-1/stop"))

    assert data == {"stream_id": "cam-1", "status": "STOPPED"}
    assert server.listed()["cam-1"]["status"] == "stopped"
    assert server.children() == []
    relay.wait_gone("cam-blur")


def test_restart_brings_a_stopped_stream_back(server: Server, camera: str) -> None:
    url = server.begin("cam-1", camera, downscale=0.5)["config"]["output_url"]
    server.post("cam-1/stop")

    data = data_of(server.post("cam-1/restart"))

    assert data == {"stream_id": "cam-1", "status": "running"}
    [picture] = read_at_once(url)
    assert picture.shape == (180, 320, 3)


def test_restart_of_a_running_stream_starts_it_anew(server: Server, camera: str) -> None:
    server.begin("cam-1", camera)
    [before] = server.children()

    data = data_of(server.post("cam-1/restart"))

    assert data == {"stream_id": "cam-1", "status": "running"}
    [after] = server.children()
    assert after.pid != before.pid


def test_disconnect_forgets_the_stream(server: Server, camera: str, relay: RtspServer) -> None:
    server.begin("cam-1", camera)

    data = data_of(server.post("cam-1/disconnect"))

    assert data == {
        "stream_id": "cam-1",
        "status": "DISCONNECTED",
        "message": "연결이 완전히 종료되었습니다.",
    }
    assert server.listed() == {}
    error_of(server.get("cam-1"), 404, "STREAM_NOT_FOUND")
    relay.wait_gone("cam-blur")


def test_disconnect_of_an_unknown_stream_is_a_success_too(server: Server) -> None:
    assert data_of(server.post("nobody/disconnect")) == {
        "stream_id": "nobody",
        "status": "DISCONNECTED",
        "message": "연결이 완전히 종료되었습니다.",
    }


# ── by-input and register ────────────────────────────────────────────────────────────────────


def test_by_input_creates_a_stream_and_then_finds_it(server: Server, camera: str) -> None:
    created = data_of(server.get("by-input", input_url=camera))
    found = data_of(server.get("by-input", input_url=camera))

    stream_id = created["stream_id"]
    assert stream_id.startswith("auto-")
    assert created == {
        "stream_id": stream_id,
        "input_url": camera,
        "output_url": f"{camera}-blur",
        "name": stream_id,
        "status": "running",
        "message": "새로운 스트림이 생성되었습니다.",
    }
    assert found == created | {"message": "기존 스트림을 찾았습니다."}
    assert read_at_once(created["output_url"])


def test_by_input_takes_the_url_as_the_contract_writes_it_without_encoding(
    server: Server, camera: str
) -> None:
    server.begin("cam-1", camera)

    data = data_of(server.http.get(f"/api/streams/by-input?input_url={camera}"))

    assert data["stream_id"] == "cam-1"


def test_register_answers_with_the_output_alone(server: Server, camera: str) -> None:
    data = data_of(server.post("register", rtsp_url=camera))

    assert data == {"output_url": f"{camera}-blur"}
    assert read_at_once(data["output_url"])


def test_register_replaces_every_stream_of_the_input(server: Server, camera: str) -> None:
    server.begin("cam-1", camera)

    data = data_of(server.post("register", rtsp_url=camera))

    assert data == {"output_url": f"{camera}-blur"}
    [(stream_id, row)] = server.listed().items()
    assert stream_id != "cam-1"
    assert row["status"] == "running"


# ── languages ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("en", "The stream was disconnected."),
        ("ru-RU,ru;q=0.9", "Соединение полностью закрыто."),
        ("de", "연결이 완전히 종료되었습니다."),
    ],
)
def test_messages_follow_accept_language(server: Server, language: str, message: str) -> None:
    response = server.http.post(
        "/api/streams/nobody/disconnect", headers={"Accept-Language": language}
    )

    assert data_of(response)["message"] == message
