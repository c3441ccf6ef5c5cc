"""The Python API: many cameras from a script, without the web server."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from fixtures import eventually, python
from support.doubles import threads_of, write_video
from support.fake_rtsp import FakeRtsp

from anti_terror import service as old_name
from app.cameras import CameraConfig, MultiCameraService, devices, window
from app.config import Settings, StreamSettings
from app.errors import CameraFailed
from app.events import RuleEvent
from app.first_time import FirstTime
from app.types import Box, Track

KEYS = {"camera_id", "faces", "ids", "bags", "owned", "session_id"}
SETTINGS = Settings(_env_file=None, streams=StreamSettings(start_timeout_s=60))
PLACED = RuleEvent(
    "bag_placed", (Track(7, "suitcase", 0.9, Box(1, 2, 3, 4)),), 0.8, details={"owner": "sure"}
)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    write_video(path, frames=40, fps=20)
    return str(path)


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "antiterror.db")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MultiCameraService]:
    monkeypatch.chdir(tmp_path)
    with MultiCameraService(SETTINGS) as service:
        yield service


def config(camera_id: str, source: str | int, db: str, **more: Any) -> CameraConfig:
    """A camera without rules, since they would report the jump when the video repeats."""
    return CameraConfig(camera_id, source, db, "cpu", **{"loop": True, "analytics": (), **more})


def tell(service: MultiCameraService, camera_id: str, rule_event: RuleEvent = PLACED) -> None:
    """An event as a rule of this camera would report it."""
    assert service._runtime is not None
    manager = service._runtime._cameras[camera_id].manager
    session_id = manager.stream(camera_id).status.stats.session_id
    manager.runner._events.report(camera_id, rule_event, 1000.0, None, session_id)


# ── the contract ─────────────────────────────────────────────────────────────────────────────


def test_the_configuration_has_the_contracts_fields_in_order() -> None:
    fields = dataclasses.fields(CameraConfig)
    first = [(field.name, field.default) for field in fields[:6]]
    assert first == [
        ("camera_id", dataclasses.MISSING),
        ("source", dataclasses.MISSING),
        ("db_path", "antiterror.db"),
        ("device", "cuda"),
        ("preview_port", None),
        ("render_enabled", False),
    ]
    assert all(field.kw_only for field in fields[6:])
    assert CameraConfig("a", 0).blur == "gaussian"
    assert "hidden" not in repr(CameraConfig("a", "rtsp://me:hidden@192.0.2.1/x"))


def test_the_old_name_is_the_same() -> None:
    assert old_name.MultiCameraService is MultiCameraService
    assert old_name.CameraConfig is CameraConfig


def test_a_camera_from_start_to_stop(service: MultiCameraService, video: str, db: str) -> None:
    assert service.get_latest_jpeg("CAM_01") is None
    assert service.get_latest_stats("CAM_01") is None
    service.start_camera(config("CAM_01", video, db))
    jpeg = service.get_latest_jpeg("CAM_01")
    assert jpeg is not None
    assert jpeg[:2] == b"\xff\xd8"
    stats = service.get_latest_stats("CAM_01")
    assert stats is not None
    assert set(stats) == KEYS
    assert stats["camera_id"] == "CAM_01"
    assert stats["session_id"].startswith("S_")
    assert stats["session_id"].endswith("_0001")
    service.stop_camera("CAM_01")
    service.stop_camera("CAM_01")
    assert service.get_latest_jpeg("CAM_01") is None
    assert service.get_latest_stats("CAM_01") is None
    assert threads_of("CAM_01") == []


def test_a_camera_that_is_mounted_sideways(
    service: MultiCameraService, video: str, db: str
) -> None:
    service.start_camera(config("CAM_01", video, db, rotate=90))
    jpeg = service.get_latest_jpeg("CAM_01")
    assert jpeg is not None
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (320, 192, 3)


def test_sessions_count_up(service: MultiCameraService, video: str, db: str) -> None:
    found = []
    for _ in range(3):
        service.start_camera(config("CAM_01", video, db))
        stats = service.get_latest_stats("CAM_01")
        assert stats is not None
        found.append(stats["session_id"][-4:])
        service.stop_camera("CAM_01")
    assert found == ["0001", "0002", "0003"]


def test_nothing_is_left_when_all_is_stopped(video: str, db: str) -> None:
    before = set(threading.enumerate())
    service = MultiCameraService(SETTINGS)
    for camera_id in ("CAM_01", "CAM_02"):
        service.start_camera(config(camera_id, video, db))
    service.stop_all()
    eventually(lambda: not (set(threading.enumerate()) - before), "no thread is left")
    service.start_camera(config("CAM_01", video, db))  # and it can be used again
    assert service.get_latest_jpeg("CAM_01")
    service.stop_all()
    service.stop_all()


def test_a_file_ends_by_itself(service: MultiCameraService, video: str, db: str) -> None:
    service.start_camera(config("CAM_01", video, db, loop=False))
    eventually(lambda: not threads_of("CAM_01"), "the file ended")
    assert service.get_latest_jpeg("CAM_01") is None
    service.start_camera(config("CAM_01", video, db, loop=False))
    assert service.get_latest_jpeg("CAM_01")


# ── what does not work ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (63, "no such camera|no_device"),
        ("nothing.mp4", "the file does not exist"),
        ("ftp://192.0.2.1/x", "scheme"),
        ("http://169.254.169.254/x", "address"),
        (-1, "index"),
    ],
)
def test_a_bad_source_is_said_with_the_cameras_name(
    service: MultiCameraService, db: str, source: str | int, says: str
) -> None:
    with pytest.raises(CameraFailed, match=f"CAM_01.*({says})"):
        service.start_camera(config("CAM_01", source, db))
    assert service.get_latest_stats("CAM_01") is None
    assert threads_of("CAM_01") == []


def test_an_id_runs_once(service: MultiCameraService, video: str, db: str) -> None:
    service.start_camera(config("CAM_01", video, db))
    with pytest.raises(CameraFailed, match="Camera CAM_01: it is already running"):
        service.start_camera(config("CAM_01", video, db))
    assert service.get_latest_jpeg("CAM_01")


def test_a_camera_that_cannot_be_reached_is_tried_and_said(
    service: MultiCameraService, db: str, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    service.start_camera(config("CAM_02", f"rtsp://me:very-hidden@127.0.0.1:{port}/x", db))
    assert service.get_latest_jpeg("CAM_02") is None
    assert any("CAM_02" in line and "refused" in line for line in caplog.messages)
    assert "very-hidden" not in caplog.text
    assert threads_of("CAM_02")


@pytest.mark.parametrize(
    "wrong",
    [
        {"analytics": ["flying"]},
        {"analytics": "bags"},
        {"analytics": 5},
        {"device": "abacus"},
        {"device": None},
        {"db_path": "/proc/none/x.db"},
        {"db_path": ""},
        {"source": None},
        {"source": True},
        {"blur": "none"},
        {"blur_margin": -1},  # what is grown by less than nothing is not covered
        {"blur_margin": float("nan")},
        {"rotate": 45},
        {"rotate": "90"},
        {"max_fps": 0},
        {"max_fps": float("nan")},
        {"max_fps": "fast"},
        {"downscale": 0},
        {"downscale": 50},
        {"transport": "pigeon"},
        {"preview_port": -1},
        {"loop": "yes"},
        {"zones": [1]},
    ],
)
def test_other_wrong_values(
    service: MultiCameraService, video: str, db: str, wrong: dict[str, Any]
) -> None:
    cfg = dataclasses.replace(config("CAM_01", video, db), **wrong)
    with pytest.raises(CameraFailed, match="CAM_01"):
        service.start_camera(cfg)
    assert threads_of("CAM_01") == []


@pytest.mark.parametrize("camera_id", ["", "a\nb", None, 7, "x" * 300])
def test_an_id_that_is_none(
    service: MultiCameraService, video: str, db: str, camera_id: Any
) -> None:
    with pytest.raises(CameraFailed, match="camera_id: "):
        service.start_camera(config(camera_id, video, db))


def test_all_that_is_wrong_is_said_at_once(service: MultiCameraService, db: str) -> None:
    with pytest.raises(CameraFailed, match=r"Camera CAM_01: max_fps: .*; downscale: "):
        service.start_camera(config("CAM_01", 0, db, max_fps=0, downscale=2))


def test_a_missing_device_is_said_once(
    service: MultiCameraService,
    video: str,
    db: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(devices, "has_cuda", lambda: False)
    monkeypatch.setattr(devices, "_is_new", FirstTime())
    for camera_id in ("CAM_01", "CAM_02"):
        service.start_camera(CameraConfig(camera_id, video, db, loop=True))
        assert service.get_latest_jpeg(camera_id)
    assert sum("cuda" in line for line in caplog.messages) == 1


# ── events ───────────────────────────────────────────────────────────────────────────────────


def test_events_reach_the_callback_in_order_and_the_database(
    service: MultiCameraService, video: str, db: str
) -> None:
    got: list[tuple[str, dict[str, Any]]] = []
    service.set_event_callback(lambda camera_id, events: got.extend((camera_id, e) for e in events))
    for camera_id in ("CAM_01", "CAM_02"):
        service.start_camera(config(camera_id, video, db))
    for number in range(50):
        tell(service, f"CAM_0{1 + number % 2}", RuleEvent(f"kind_{number}"))
    eventually(lambda: len(got) == 50, "all events came")
    assert [event["type"] for _, event in got] == [f"kind_{number}" for number in range(50)]
    assert [camera_id for camera_id, _ in got[:2]] == ["CAM_01", "CAM_02"]
    service.stop_all()
    with sqlite3.connect(db) as rows:
        assert rows.execute("SELECT count(*) FROM events").fetchone() == (50,)


def test_an_event_as_a_callback_gets_it(service: MultiCameraService, video: str, db: str) -> None:
    got: list[dict[str, Any]] = []
    service.set_event_callback(lambda _, events: got.extend(events))
    service.start_camera(config("CAM_01", video, db))
    tell(service, "CAM_01")
    eventually(lambda: got, "the event came")
    assert got[0]["type"] == "bag_placed"
    assert (got[0]["bag_id"], got[0]["person_id"], got[0]["box"]) == (7, None, [1, 2, 3, 4])
    assert (got[0]["camera_id"], got[0]["owner"], got[0]["confidence"]) == ("CAM_01", "sure", 0.8)


def test_a_callback_that_raises_or_hangs_harms_nothing(
    service: MultiCameraService, video: str, db: str, caplog: pytest.LogCaptureFixture
) -> None:
    released, seen = threading.Event(), []

    def bad(camera_id: str, events: list[dict[str, Any]]) -> None:
        seen.append(events[0]["type"])
        if events[0]["type"] == "raise":
            raise RuntimeError("a bug of somebody else")
        if events[0]["type"] == "hang":
            released.wait(60)

    service.set_event_callback(bad)
    service.start_camera(config("CAM_01", video, db))
    tell(service, "CAM_01", RuleEvent("raise"))
    tell(service, "CAM_01", RuleEvent("hang"))
    eventually(lambda: seen == ["raise", "hang"], "the callback hangs")
    assert "a bug of somebody else" in caplog.text
    for _ in range(2000):
        tell(service, "CAM_01", RuleEvent("after"))
    first = service.get_latest_jpeg("CAM_01")
    eventually(lambda: service.get_latest_jpeg("CAM_01") != first, "pictures go on")
    began = time.monotonic()
    service.stop_all()
    assert time.monotonic() - began < 20
    released.set()
    assert seen[:2] == ["raise", "hang"]


def test_a_callback_may_call_the_service(service: MultiCameraService, video: str, db: str) -> None:
    done = threading.Event()

    def stop(camera_id: str, events: list[dict[str, Any]]) -> None:
        assert service.get_latest_stats(camera_id) is not None
        service.stop_all()
        done.set()

    service.set_event_callback(stop)
    service.start_camera(config("CAM_01", video, db))
    tell(service, "CAM_01")
    assert done.wait(30)


# ── several at once ──────────────────────────────────────────────────────────────────────────


def test_methods_may_be_called_from_many_threads(
    service: MultiCameraService, video: str, db: str
) -> None:
    failed: list[BaseException] = []

    def use(number: int) -> None:
        try:
            for _ in range(2):
                service.start_camera(config(f"CAM_{number}", video, db, max_fps=5))
                assert service.get_latest_jpeg(f"CAM_{number}")
                service.get_latest_stats("CAM_0")
                service.stop_camera(f"CAM_{number}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []


def test_two_services_share_a_database(video: str, db: str) -> None:
    with (
        MultiCameraService(SETTINGS) as one,
        MultiCameraService(SETTINGS) as two,
    ):
        one.start_camera(config("CAM_01", video, db))
        two.start_camera(config("CAM_01", video, db))
        sessions = {service.get_latest_stats("CAM_01")["session_id"][-4:] for service in (one, two)}  # type: ignore[index]
        for number in range(20):
            tell(one, "CAM_01", RuleEvent(f"kind_{number}"))
            tell(two, "CAM_01", RuleEvent(f"kind_{number}"))
    assert sessions == {"0001", "0002"}
    with sqlite3.connect(db) as rows:
        different = "SELECT count(*), count(DISTINCT session_id || type) FROM events"
        assert rows.execute(different).fetchone() == (40, 40)


# ── looking ──────────────────────────────────────────────────────────────────────────────────


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_preview_on_a_port(service: MultiCameraService, video: str, db: str) -> None:
    port = free_port()
    service.start_camera(config("CAM_01", video, db, preview_port=port))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as response:
        assert response.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        got = response.read(20_000)
    assert got.startswith(b"--frame\r\nContent-Type: image/jpeg\r\n")
    assert b"\xff\xd8" in got
    for headers in ({"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{port}/", headers=headers), timeout=20
            )
        with refused.value as reply:
            assert reply.code == 403
    service.stop_camera("CAM_01")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2)


def test_who_watches_a_preview_is_let_go_quietly(
    service: MultiCameraService, video: str, db: str, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service.start_camera(config("CAM_01", video, db, preview_port=port))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as reply:
        assert reply.readline()
        service.stop_camera("CAM_01")
        assert reply.read() is not None
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []


def test_a_preview_port_that_is_taken_is_said(
    service: MultiCameraService, video: str, db: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CameraFailed, match=f"CAM_01.*{port}"):
            service.start_camera(config("CAM_01", video, db, preview_port=port))
    assert threads_of("CAM_01") == []


def test_without_a_display_it_says_why_there_is_no_window(
    service: MultiCameraService,
    video: str,
    db: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    service.start_camera(config("CAM_01", video, db, render_enabled=True))
    assert any("CAM_01" in line and "no display" in line for line in caplog.messages)
    assert service.get_latest_jpeg("CAM_01")


def test_a_display_that_is_gone_costs_only_the_window(
    service: MultiCameraService,
    video: str,
    db: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The window's process ends, as if the desktop ended it; the camera keeps running."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("DISPLAY", ":87")
    service.start_camera(config("CAM_01", video, db, render_enabled=True))
    eventually(lambda: "the window is closed" in caplog.text, "the window is closed")
    assert service.get_latest_jpeg("CAM_01")


def test_an_opencv_without_windows_is_named(tmp_path: Path) -> None:
    """What the process prints last is what the log says of the window."""
    (tmp_path / "cv2.py").write_text("def currentUIFramework(): return ''", encoding="utf-8")
    command = [sys.executable, str(window.SCRIPT), "CAM_01"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 1
    assert "opencv-python-headless" in done.stderr.splitlines()[-1]


@pytest.fixture
def display(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A virtual display: its name, and the file with its pixels."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (Debian: xvfb)")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24"]
    with subprocess.Popen(
        [*command, "-fbdir", str(tmp_path), "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as said:
            number = said.readline().strip()
        yield f":{number}", tmp_path / "Xvfb_screen0"
        server.terminate()


def test_a_window_really_shows_the_pictures(
    service: MultiCameraService,
    video: str,
    db: str,
    display: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    name, pixels = display

    def shades() -> int:
        """The number of different bytes on the screen, after the file's header."""
        return len(set(pixels.read_bytes()[4096:]))

    assert shades() < 10
    monkeypatch.setenv("DISPLAY", name)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    service.start_camera(config("CAM_01", video, db, render_enabled=True))
    eventually(lambda: shades() > 100, "the window shows the gradient of the video")
    assert "window is closed" not in caplog.text


def test_a_camera_that_hangs_costs_the_others_nothing(
    service: MultiCameraService, video: str, db: str, tmp_path: Path
) -> None:
    service.start_camera(config("works", video, db))
    with FakeRtsp() as silent:
        starting = threading.Thread(
            target=service.start_camera, args=[config("hangs", silent.url(), db)]
        )
        starting.start()
        eventually(lambda: silent.connections > 0, "it was called")
        seen = {service.get_latest_jpeg("works")}

        def changed() -> bool:
            seen.add(service.get_latest_jpeg("works"))
            return len(seen) >= 8

        eventually(changed, "the other one goes on")
        assert service.get_latest_jpeg("hangs") is None
        service.stop_camera("hangs")
        starting.join(30)
        assert not starting.is_alive()
    assert service.get_latest_jpeg("works") is not None


# ── a script ─────────────────────────────────────────────────────────────────────────────────

SCRIPT = """
import sys, time
from anti_terror.service import MultiCameraService, CameraConfig
svc = MultiCameraService()
svc.start_camera(CameraConfig(camera_id="CAM_01", source={video!r}, device="cpu", loop=True))
print(len(svc.get_latest_jpeg("CAM_01")) > 500, sorted(svc.get_latest_stats("CAM_01")))
print([name for name in ("torch", "ultralytics", "fastapi", "uvicorn") if name in sys.modules])
{end}
"""


@pytest.mark.parametrize("end", ["svc.stop_all()", "pass", "raise SystemExit(0)"])
def test_a_script_ends_in_order_whether_it_stops_the_cameras_or_not(
    tmp_path: Path, video: str, end: str
) -> None:
    done = python(tmp_path, SCRIPT.format(video=video, end=end))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"True {sorted(KEYS)}", "[]"]
    assert "Traceback" not in done.stderr
    assert (tmp_path / "antiterror.db").exists()


def test_a_script_records_what_it_asks_for(
    service: MultiCameraService, video: str, tmp_path: Path
) -> None:
    db = str(tmp_path / "rec" / "antiterror.db")
    service.start_camera(config("on", video, db, loop=True, record="continuous"))
    service.start_camera(config("off", video, db, loop=True))
    folder = tmp_path / "rec" / "footage" / "continuous"
    files = folder.rglob
    eventually(lambda: any(p.stat().st_size > 2000 for p in files("*.mp4")), timeout_s=120)
    service.stop_all()
    (file,) = folder.rglob("*.mp4")
    assert file.parent.parent.name == "on"
    with av.open(str(file)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 5
    with sqlite3.connect(db) as database:
        rows = database.execute("SELECT stream_id, kind, ended FROM footage").fetchall()
    assert rows == [("on", "continuous", "stopped")]
    with pytest.raises(CameraFailed, match="record"):
        service.start_camera(config("bad", video, db, record="always"))
