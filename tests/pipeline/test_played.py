"""Video at its own speed: files as cameras, and what comes over HTTP."""

from __future__ import annotations

import http.server
import itertools
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.config import StreamSettings
from app.errors import AddressNotAllowed, SourceError
from app.failure_reason import FailureReason
from app.pace import PlayClock
from app.pipeline.sources import make_source
from app.pipeline.sources.played import HttpSource, PlayedFile
from app.pipeline.sources.webcam import WebcamSource
from app.types import Frame, StreamSpec

Make = Callable[..., Path]


@pytest.fixture
def settings() -> StreamSettings:
    return StreamSettings(open_timeout_s=3, stall_timeout_s=2)


def spec(source: str, **more: object) -> StreamSpec:
    return StreamSpec("s", source, **{"paced": True, **more})  # type: ignore[arg-type]


def taken(source: object, count: int | None = None) -> list[Frame]:
    source.open()  # type: ignore[attr-defined]
    frames = (frame for frame in source.frames() if frame is not None)  # type: ignore[attr-defined]
    found = list(itertools.islice(frames, count))
    source.close()  # type: ignore[attr-defined]
    return found


# ── files ────────────────────────────────────────────────────────────────────────────────────


def test_a_file_plays_at_its_own_speed_and_ends(video: Make, settings: StreamSettings) -> None:
    path = video(frames=25, fps=25)
    began = time.monotonic()
    frames = taken(make_source(spec(f"file:{path}"), settings))
    took = time.monotonic() - began
    assert [frame.number for frame in frames] == list(range(1, 26))
    assert 0.9 < took < 2.5
    assert 0.85 < frames[-1].captured_at - frames[0].captured_at < 2


def test_a_file_that_is_not_watched_is_read_as_fast_as_it_can(
    video: Make, settings: StreamSettings
) -> None:
    source = make_source(spec(f"file:{video(frames=50, fps=10)}", paced=False), settings)
    began = time.monotonic()
    assert len(taken(source)) == 50
    assert time.monotonic() - began < 3
    assert not source.live


def test_a_looped_file_begins_anew(video: Make, settings: StreamSettings) -> None:
    source = make_source(spec(f"file:{video(frames=5, fps=50)}", loop=True), settings)
    frames = taken(source, 13)
    assert [frame.number for frame in frames] == list(range(1, 14))
    assert [frame.restarts for frame in frames] == [0] * 5 + [1] * 5 + [2] * 3
    assert all(a.captured_at <= b.captured_at for a, b in itertools.pairwise(frames))


def test_a_slow_file_lets_its_reader_look_up(video: Make, settings: StreamSettings) -> None:
    source = PlayedFile(spec(f"file:{video(frames=3, fps=1)}"), settings)
    source.open()
    frames = list(source.frames())
    source.close()
    assert frames.count(None) >= 2
    assert sum(frame is not None for frame in frames) == 3


def test_a_file_that_leads_elsewhere_is_not_opened(
    tmp_path: Path, video: Make, settings: StreamSettings
) -> None:
    inner = video("secret.mp4")
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXTINF:1,\n{inner}\n#EXT-X-ENDLIST\n", encoding="utf-8"
    )
    (tmp_path / "list.ffconcat").write_text(
        f"ffconcat version 1.0\nfile '{inner.name}'\n", encoding="utf-8"
    )
    for name in ("list.m3u8", "list.ffconcat"):
        with pytest.raises(SourceError):
            taken(make_source(spec(f"file:{tmp_path / name}"), settings))


def test_the_clock_of_a_recording() -> None:
    clock = PlayClock()
    assert clock.wait_s(5.0, now=100.0) == 0
    assert clock.wait_s(5.5, now=100.1) == pytest.approx(0.4)
    assert clock.wait_s(6.0, now=101.2) == pytest.approx(-0.2)
    assert clock.wait_s(None, now=101.2) == 0
    assert clock.wait_s(6.5, now=110.0) == 0  # it fell behind: from here on anew
    assert clock.wait_s(7.0, now=110.0) == pytest.approx(0.5)
    assert clock.wait_s(9000.0, now=110.6) == 0  # and so after a jump
    assert clock.wait_s(9001.0, now=110.6) == pytest.approx(1)


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────


class Site:
    """A web server with files, an MJPEG camera, and addresses that lead elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        site = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                site.asked.append((self.path, self.headers["Host"], self.headers["Authorization"]))
                if self.path == "/elsewhere":
                    self.send_response(302)
                    self.send_header("Location", f"http://[::1]:{site.port}/video.mp4")
                    self.end_headers()
                elif self.path == "/silent":
                    time.sleep(8)
                elif self.path == "/mjpeg":
                    self._mjpeg()
                else:
                    super().do_GET()

            def _mjpeg(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                jpeg = (folder / "still.jpg").read_bytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                for _ in range(20):
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                    self.wfile.flush()
                    time.sleep(0.05)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site(tmp_path: Path, video: Make) -> Iterator[Site]:
    video(frames=25, fps=25)
    site = Site(tmp_path)
    yield site
    site.server.shutdown()
    site.server.server_close()


def test_a_file_on_a_web_server(site: Site, settings: StreamSettings) -> None:
    host = site.address.replace("127.0.0.1", "localhost")
    began = time.monotonic()
    frames = taken(make_source(spec(f"http://user:word@{host}/video.mp4"), settings))
    assert len(frames) == 25
    assert time.monotonic() - began > 0.9
    path, asked, authorization = site.asked[0]
    assert (path, asked) == ("/video.mp4", host)  # the name, though an address was connected to
    assert authorization is None or authorization.startswith("Basic ")


def test_a_camera_that_sends_mjpeg(tmp_path: Path, site: Site, settings: StreamSettings) -> None:
    from support.doubles import noise

    from app.pipeline.blur import conceal
    from app.pipeline.sinks.jpeg import encode_jpeg

    (tmp_path / "still.jpg").write_bytes(encode_jpeg(conceal(noise(), [], "off", 0)))
    source = make_source(spec(f"http://{site.address}/mjpeg"), settings)
    assert len(taken(source, 10)) == 10
    assert source.codec == "mjpeg"
    with pytest.raises(SourceError) as ended:  # a camera that stops is to be tried again
        taken(source)
    assert ended.value.details["reason"] in (FailureReason.ENDED, FailureReason.CLOSED)


def test_hls(tmp_path: Path, site: Site, settings: StreamSettings) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    make = "ffmpeg -v error -i video.mp4 -c copy -f hls -hls_time 1 -hls_list_size 0 live.m3u8"
    subprocess.run(make.split(), cwd=tmp_path, check=True)
    frames = taken(make_source(spec(f"http://{site.address}/live.m3u8"), settings))
    assert len(frames) == 25


@pytest.mark.parametrize("path", ["elsewhere", "nothing", "silent"])
def test_what_does_not_work_is_said(site: Site, settings: StreamSettings, path: str) -> None:
    source = make_source(spec(f"http://user:very-hidden@{site.address}/{path}"), settings)
    began = time.monotonic()
    with pytest.raises(SourceError) as failed:
        taken(source)
    assert time.monotonic() - began < settings.open_timeout_s + 2
    assert "very-hidden" not in str(failed.value)
    assert [path for path, _, _ in site.asked if "video.mp4" in path] == []


def test_an_address_that_no_stream_may_use(settings: StreamSettings) -> None:
    with pytest.raises(AddressNotAllowed):
        HttpSource(spec("http://169.254.169.254/latest"), settings).open()


# ── webcams ──────────────────────────────────────────────────────────────────────────────────


def test_a_webcam_that_is_not_there(settings: StreamSettings) -> None:
    with pytest.raises(SourceError) as failed:
        WebcamSource(spec("webcam:63"), settings).open()
    assert failed.value.details["reason"] == FailureReason.NO_DEVICE
    assert "webcam:63" in str(failed.value)
