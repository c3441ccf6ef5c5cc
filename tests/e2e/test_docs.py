"""The lines of the README and of the guides, run while a server runs the demo.

Lines of other guides are run where their subject is tested: cameras, events, jobs, plates, backup.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.collect import completed, follow
from support.docs import block, for_port
from support.poll import eventually
from support.watchpost import ROOT, Server

YOUR_CAMERA = "rtsp://192.0.2.10:8554/live/cam1"
JOBS = ("Push streams", "Cameras", "Stream control", "Collector", "ANPR")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server with the demo, as ``make run`` starts it."""
    with Server(tmp_path_factory.mktemp("demo"), demo=True, faces__timeout_s=20) as server:
        eventually(lambda: server.get("demo").status_code, lambda code: code == 200, 30, "the demo")
        server.wait_status("demo", "running", 120)
        yield server
        assert server.stop(within=60) == 0  # networks may just be compiled for one more size


def line_for(job: str) -> str:
    """The README's one line for a job."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, named, below = text.partition(f"**{job}**")
    assert named, f"the README does not name the job {job}"
    line = below.partition("```bash\n")[2].partition("```")[0]
    assert line.count("\n") == 1, f"not one line for {job}: {line}"
    return line


def pasted(lines: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", lines], cwd=folder, capture_output=True, encoding="utf-8", timeout=120,
        check=False,
    )  # fmt: skip


def answer(job: str, server: Server, your_camera: str = YOUR_CAMERA) -> Any:
    """The server's reply to the README's line for a job."""
    done = pasted(for_port(line_for(job).replace(YOUR_CAMERA, your_camera), server.port))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return json.loads(done.stdout)


# ── the README ───────────────────────────────────────────────────────────────────────────────


def test_the_readme_has_a_line_for_each_job() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("```bash\n") == len(JOBS)
    assert len({line_for(job) for job in JOBS}) == len(JOBS)


def test_pushing(demo: Server) -> None:
    line = f"exec {for_port(line_for('Push streams').strip(), demo.port)}"
    pusher = subprocess.Popen(
        ["bash", "-c", f"{line} --server http://127.0.0.1:{demo.port}"],
        cwd=ROOT,
        env=dict(demo._environment, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        # Tests that run in the background of a shell inherit that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert pusher.stdout is not None
        stream_id = pusher.stdout.readline().split()[-1]
        watch = f"http://127.0.0.1:{demo.port}/stream/video/{stream_id}"
        assert watch in pusher.stdout.readline()
        eventually(
            lambda: demo.show(stream_id)["stats"]["frames_published"],
            lambda count: count > 0,
            60,
            "a pushed frame comes out",
        )
    finally:
        pusher.send_signal(signal.SIGINT)
        pusher.communicate(timeout=30)
    assert pusher.returncode == 0


def test_a_camera(demo: Server) -> None:
    assert answer("Cameras", demo)["camera_id"] == "yard"
    eventually(
        lambda: demo.show("yard")["stats"]["frames_published"],
        lambda count: count > 0,
        60,
        "a frame of the camera",
    )
    assert demo.http.delete("/camera/yard").status_code == 204


def test_stream_control(demo: Server, camera: str) -> None:
    data = answer("Stream control", demo, camera)["data"]
    assert (data["stream_id"], data["status"]) == ("cam-1", "running")
    assert data["config"]["output_url"] == f"{camera}-blur"
    demo.post("cam-1/disconnect")


def test_collecting(demo: Server) -> None:
    job_id = answer("Collector", demo)["job_id"]
    assert follow(demo, job_id)[0][-1] == completed(job_id)


def test_a_photo(demo: Server) -> None:
    assert [plate["plate_number"] for plate in answer("ANPR", demo)["plates"]] == ["MTX4711"]


# ── guides ───────────────────────────────────────────────────────────────────────────────────


def test_the_lines_for_stream_control(demo: Server, camera: str, tmp_path: Path) -> None:
    lines = block("docs/guides/stream-control.md", "The calls").replace(YOUR_CAMERA, camera)
    assert lines.count("curl ") >= 10

    done = pasted(for_port(lines, demo.port), tmp_path)

    complaints = [line for line in done.stderr.splitlines() if "(28)" not in line]  # its time is up
    assert complaints == [], done.stdout
    assert done.stdout.count('"success":true') >= 8
    assert '"status":"STOPPED"' in done.stdout
    assert '"status":"DISCONNECTED"' in done.stdout
    assert f'{{"success":true,"data":{{"output_url":"{camera}-blur"}}}}' in done.stdout
    assert (tmp_path / "now.jpg").read_bytes()[:2] == b"\xff\xd8"
    for stream_id in demo.listed():
        if stream_id != "demo":
            demo.post(f"{stream_id}/disconnect")


def test_the_lines_for_push_streams(demo: Server) -> None:
    done = pasted(for_port(block("docs/guides/push-streams.md", "The calls"), demo.port))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall(r'"websocket_url":"/ws/stream/\w+","status":"active"', done.stdout)) == 2
    assert '"name":"Gate"' in done.stdout


@pytest.mark.parametrize(
    ("page", "title", "camera_id"),
    [
        ("docs/guides/analytics.md", "The call", "hall"),
        ("docs/guides/anpr.md", "Plates that pass a camera", "gate"),
        ("docs/guides/zones.md", "The call", "entry"),
    ],
)
def test_the_lines_for_analytics(demo: Server, page: str, title: str, camera_id: str) -> None:
    lines = block(page, title).replace("localhost:8000", "http://localhost:8000")
    done = pasted(for_port(lines, demo.port))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["camera_id"] == camera_id
    assert demo.http.delete(f"/camera/{camera_id}").status_code == 204


def test_the_lines_for_monitoring(demo: Server) -> None:
    done = pasted(for_port(block("docs/monitoring.md", "Health and metrics"), demo.port))
    assert (done.returncode, done.stderr) == (0, "")
    assert "watchpost_build_info{" in done.stdout
    assert '"license":"AGPL-3.0-or-later"' in done.stdout
