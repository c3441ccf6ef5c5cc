"""Collection jobs with real sources: cameras, files, streams; lost, killed and cancelled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from support import browser
from support.clips import boxes
from support.collect import (
    collect,
    completed,
    files_of,
    follow,
    job_of,
    pictures,
    plays,
    started,
    steps,
    texts,
)
from support.docs import block, for_port
from support.faces import count_faces, portrait
from support.poll import eventually
from support.rtsp import RtspServer, make_video
from support.watchpost import Server, clear_view, error_of
from websockets.sync.client import connect


@pytest.fixture(scope="module")
def settings(media: Path) -> dict[str, object]:
    return {
        "media_dirs": str(media),
        "collect__gap_s": 4,
        "collect__start_timeout_s": 15,
        "faces__width": 640,
        "faces__timeout_s": 10,
    }


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that jobs may read: a person who moves about, with and without sound."""
    folder = tmp_path_factory.mktemp("media")
    make_video(folder / "person.mp4", picture=portrait(330), gop=8, seconds=6)
    for codec in ("aac", "pcm_mulaw"):
        subprocess.run(
            [
                *("ffmpeg", "-v", "error", "-i", str(folder / "person.mp4")),
                *("-f", "lavfi", "-i", "sine=d=6:r=8000", "-c:v", "copy", "-c:a", codec),
                *("-ar", "8000", "-ac", "1", str(folder / f"{codec}.mkv")),
            ],
            check=True,
        )
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=320x240:d=1", "-c:v"]
    subprocess.run([*command, "libvpx", str(folder / "vp8.webm")], check=True)
    return folder


@pytest.fixture
def person(relay: RtspServer, media: Path) -> Iterator[str]:
    publisher = relay.publish_file("person-collect", media / "person.mp4")
    yield relay.url("person-collect")
    publisher.stop()


@pytest.fixture(scope="module", autouse=True)
def warm(running_server: Server) -> None:
    """Compile the face network at its first frame, which would otherwise leave a gap in a test."""
    job_id = collect(running_server, sources=["person.mp4"], duration=1)
    assert follow(running_server, job_id)[0][-1] == completed(job_id)


@pytest.fixture
def own(relay: RtspServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of a test's own, which may be killed; parametrised with more settings."""
    more = getattr(request, "param", {})
    server = Server(tmp_path, collect__gap_s=4, collect__start_timeout_s=15, **more)
    yield server.start()
    server.stop()
    server.http.close()


# ── what is recorded ─────────────────────────────────────────────────────────────────────────


def test_a_camera_is_recorded_with_its_faces_covered(server: Server, person: str) -> None:
    job_id = collect(server, sources=[person], duration=5, segment_s=2)

    assert follow(server, job_id) == ([started(job_id), *steps(5), completed(job_id)], 1000)
    job = job_of(server, job_id)
    files = files_of(server, job_id)
    assert (job["state"], job["gaps"], job["error"]) == ("completed", [], None)
    assert len(files) >= 2
    assert sum(file["seconds"] for file in files) == pytest.approx(5, abs=1)
    assert job["bytes"] == sum(file["bytes"] for file in files)
    assert job["frames"] == sum(file["frames"] for file in files)
    for file in files:
        plays(file["path"])
        assert file["audio"] is None
        assert [count_faces(picture) for picture in pictures(file["path"], 5)].count(0) == len(
            pictures(file["path"], 5)
        )
    assert any("no sound" in text for text in texts(server, job_id))


def test_only_who_says_blur_false_gets_a_copy_as_it_is(server: Server, person: str) -> None:
    job_id = collect(server, sources=[person], duration=4, blur=False)

    assert follow(server, job_id) == ([started(job_id), *steps(5), completed(job_id)], 1000)
    (file,) = files_of(server, job_id)
    plays(file["path"])
    assert all(count_faces(picture) for picture in pictures(file["path"], 10))
    assert file["seconds"] == pytest.approx(4, abs=1.5)


def test_a_file_is_recorded_to_its_last_frame_however_fast(server: Server) -> None:
    job_id = collect(server, sources=["person.mp4"], steps=3)

    said, _ = follow(server, job_id)

    assert said == [started(job_id), *steps(3), completed(job_id)]
    (file,) = files_of(server, job_id)
    assert file["frames"] == 6 * 15
    assert file["seconds"] == pytest.approx(6, abs=0.2)
    assert not any(count_faces(picture) for picture in pictures(file["path"], 15))


PLAYED = """async (url) => {
  const video = document.createElement('video');
  const happened = (name) => new Promise((resolve, reject) => {
    video.addEventListener(name, resolve, { once: true });
    video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true });
  });
  document.body.append(video);
  video.muted = true;
  const known = happened('loadedmetadata');
  video.src = url;
  await known;
  const sought = [];
  for (const share of [0.8, 0.2]) {
    const there = happened('seeked');
    video.currentTime = share * video.duration;
    await there;
    sought.push(video.currentTime);
  }
  const played = happened('ended');
  video.playbackRate = 4;
  await video.play();
  await played;
  return [video.duration, ...sought];
}"""


@pytest.mark.skipif(bool(browser.available()), reason=browser.available() or "there is one")
@pytest.mark.parametrize("blur", [True, False])
def test_a_recording_is_played_and_sought_in_a_browser(server: Server, blur: bool) -> None:
    job_id = collect(server, sources=["person.mp4"], blur=blur)
    follow(server, job_id)
    (file,) = files_of(server, job_id)
    assert [kind for kind in boxes(file["path"]) if kind != "free"] == ["ftyp", "moov", "mdat"]

    with browser.chromium() as chromium:
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/healthz")
        length, late, early = page.evaluate(PLAYED, file["url"])

    assert length == pytest.approx(6, abs=0.1)
    assert late == pytest.approx(0.8 * length, abs=0.01)
    assert early == pytest.approx(0.2 * length, abs=0.01)


def test_a_file_is_cut_at_the_duration(server: Server) -> None:
    job_id = collect(server, sources=["person.mp4"], duration=2)

    follow(server, job_id)

    assert [file["frames"] for file in files_of(server, job_id)] == [30]


@pytest.mark.parametrize(("name", "says"), [("aac", "copied"), ("pcm_mulaw", "turned into aac")])
def test_a_copy_keeps_the_sound(server: Server, name: str, says: str) -> None:
    job_id = collect(server, sources=[f"{name}.mkv"], blur=False, segment_s=3)

    follow(server, job_id)

    files = files_of(server, job_id)
    assert sum(file["frames"] for file in files) == 6 * 15
    assert len(files) == 2
    assert {file["audio"] for file in files} == {"aac"}
    for file in files:
        plays(file["path"])
        with_sound = [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            str(file["path"]),
            "-map",
            "0:a",
            "-f",
            "s16le",
        ]
        sound = subprocess.run([*with_sound, "-"], capture_output=True, check=True).stdout
        assert len(sound) / 2 / 8000 == pytest.approx(file["seconds"], abs=0.5)
        assert len(set(sound)) > 50, "not silence"
    assert any(says in text for text in texts(server, job_id))


def test_a_codec_that_mp4_does_not_hold_is_refused_in_words(server: Server) -> None:
    job_id = collect(server, sources=["vp8.webm"], blur=False)

    said, code = follow(server, job_id)

    assert said[0] == started(job_id)
    assert said[1].startswith(f"Error with Job ID {job_id}: ")
    assert (len(said), code, job_of(server, job_id)["state"]) == (2, 1000, "failed")
    assert files_of(server, job_id) == []


# ── streams ──────────────────────────────────────────────────────────────────────────────────


def test_two_jobs_on_one_stream_that_runs(server: Server, person: str) -> None:
    server.begin("cam-1", person)
    first = collect(server, sources=["cam-1"], duration=4)
    second = collect(server, duration=3, steps=2)
    said: dict[str, Any] = {}
    followers = [
        threading.Thread(target=lambda one=one: said.update({one: follow(server, one)}))
        for one in (first, second)
    ]
    for follower in followers:
        follower.start()
    for follower in followers:
        follower.join()

    assert said[first] == ([started(first), *steps(5), completed(first)], 1000)
    assert said[second] == ([started(second), *steps(2), completed(second)], 1000)
    for job_id in (first, second):
        job = job_of(server, job_id)
        assert job["state"] == "completed", job
        assert [part["source"] for part in job["sources"]] == ["cam-1"]
        for file in files_of(server, job_id):
            plays(file["path"])
            assert not any(count_faces(picture) for picture in pictures(file["path"], 15))
    assert server.show("cam-1")["status"] == "running"


def test_cameras_are_recorded_by_their_ids_and_with_all_that_runs(
    server: Server, media: Path, person: str
) -> None:
    """Cameras of ``/cameras``: a file that is played, and an RTSP one."""
    yard = str(media / "person.mp4")
    cameras: dict[str, dict[str, Any]] = {
        "yard": {"source": yard, "loop": True},
        "gate": {"source": person},
    }
    for camera_id, camera in cameras.items():
        body = {"camera_id": camera_id, **camera}
        assert server.http.post("/cameras", json=body).status_code == 201
    try:
        for camera_id in cameras:
            server.wait_status(camera_id, "running")
        named = collect(server, sources=["yard"], duration=3)
        every = collect(server, duration=3, steps=2)
        said, _ = follow(server, named)
        assert said == [started(named), *steps(5), completed(named)]
        assert follow(server, every)[0] == [started(every), *steps(2), completed(every)]
    finally:
        for camera_id in cameras:
            server.http.delete(f"/camera/{camera_id}")

    assert [part["source"] for part in job_of(server, named)["sources"]] == ["yard"]
    assert {part["source"] for part in job_of(server, every)["sources"]} == set(cameras)
    for job_id in (named, every):
        files = files_of(server, job_id)
        assert {file["source"] for file in files} == {
            part["source"] for part in job_of(server, job_id)["sources"]
        }
        for file in files:
            plays(file["path"])
            assert not any(count_faces(picture) for picture in pictures(file["path"], 10))


def test_a_pushed_stream_is_recorded_like_any_other(server: Server, media: Path) -> None:
    jpegs = [
        cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures(media / "person.mp4", 3)
    ]
    opened = server.http.post("/stream/request", json={"analytics": []}).json()
    stopped = threading.Event()

    def push() -> None:
        url = f"ws://127.0.0.1:{server.port}{opened['websocket_url']}"
        with connect(url, proxy=None, max_size=None) as socket:
            while not stopped.is_set():
                for jpeg in jpegs:
                    socket.send(jpeg)
                    time.sleep(0.1)

    pusher = threading.Thread(target=push)
    pusher.start()
    try:
        stream_id = opened["stream_id"]
        eventually(
            lambda: server.show(stream_id)["stats"]["frames_published"],
            lambda count: count > 3,  # the network is ready for pictures of this size
            60,
            "the first pictures",
        )
        job_id = collect(server, sources=[stream_id], duration=6)
        said, _ = follow(server, job_id)
    finally:
        stopped.set()
        pusher.join()

    assert said == [started(job_id), *steps(5), completed(job_id)]
    (file,) = files_of(server, job_id)
    assert file["frames"] > 8
    assert not any(count_faces(picture) for picture in pictures(file["path"], 5))


def test_a_running_stream_gives_nothing_but_what_it_shows(server: Server, person: str) -> None:
    server.begin("cam-1", person)

    refused = server.http.post(
        "/collect", json={"sources": ["cam-1"], "blur": False} | clear_view()
    )

    body = error_of(refused, 400, "INVALID_REQUEST")
    assert body["details"]["field"] == "sources.0"
    assert "blur" in body["message"]


def test_a_stream_that_is_stopped_ends_the_job_with_the_reason(server: Server, person: str) -> None:
    server.begin("cam-1", person)
    job_id = collect(server, sources=["cam-1"], duration=30, retries=1, backoff_s=0.2)
    eventually(lambda: job_of(server, job_id)["frames"], bool, 20, "the first frames")

    server.post("cam-1/stop")

    said, _ = follow(server, job_id)
    assert said[-1].startswith(f"Error with Job ID {job_id}: cam-1: ")
    assert job_of(server, job_id)["state"] == "failed"
    assert files_of(server, job_id), "what was recorded before is kept"


def test_without_anything_to_record_the_job_says_so(server: Server) -> None:
    job_id = collect(server)

    said, code = follow(server, job_id)

    assert said[0] == started(job_id)
    assert said[1].startswith(f"Error with Job ID {job_id}: no stream or camera is running")
    assert (len(said), code) == (2, 1000)


# ── followers ────────────────────────────────────────────────────────────────────────────────


def test_late_followers_hear_everything_and_json_has_numbers(server: Server) -> None:
    job_id = collect(server, sources=["person.mp4"], steps=2)
    expected = [started(job_id), *steps(2), completed(job_id)]

    assert follow(server, job_id)[0] == expected
    assert follow(server, job_id)[0] == expected
    lines = [json.loads(text) for text in follow(server, job_id, "?format=json")[0]]
    assert [line["text"] for line in lines] == expected
    assert [line["percent"] for line in lines] == [0, 50, 100, 100]
    assert [line["type"] for line in lines] == ["started", "progress", "progress", "completed"]
    last = lines[-1]
    assert (last["state"], last["frames"], last["step"]) == ("completed", 90, 2)
    assert last["bytes"] == job_of(server, job_id)["bytes"]
    assert lines[1]["eta_s"] >= 0


@pytest.mark.parametrize("job_id", [str(uuid.UUID(int=7)), "nonsense", "events-of-none"])
def test_an_unknown_job_is_closed_with_4404(server: Server, job_id: str) -> None:
    assert follow(server, job_id) == ([], 4404)
    for path in ("", "/logs", "/files", "/files/1"):
        reply = server.http.get(f"/collect/jobs/{job_id}{path}")
        error_of(reply, 404, "JOB_NOT_FOUND")
    error_of(server.http.delete(f"/collect/jobs/{job_id}"), 404, "JOB_NOT_FOUND")


# ── losses ───────────────────────────────────────────────────────────────────────────────────


def test_a_camera_that_dies_and_returns_leaves_a_gap_that_is_listed(
    server: Server, relay: RtspServer, media: Path
) -> None:
    publisher = relay.publish_file("dying", media / "person.mp4")
    source = relay.url("dying")
    job_id = collect(server, sources=[source], duration=12, retries=50, backoff_s=0.3)
    eventually(lambda: job_of(server, job_id)["percent"], lambda p: p > 20, 40, "step 1")
    publisher.kill()
    time.sleep(4)
    back = relay.publish_file("dying", media / "person.mp4")

    said, _ = follow(server, job_id)
    back.stop()

    job = job_of(server, job_id)
    assert said == [started(job_id), *steps(5), completed(job_id)]
    assert job["state"] == "completed_with_gaps"
    assert len(job["gaps"]) == 1, job["gaps"]
    (gap,) = job["gaps"]
    assert 3 < gap["seconds"] < 12
    assert gap["source"] == source
    assert gap["reason"]
    files = files_of(server, job_id)
    assert len(files) >= 2
    assert files[0]["started_ts"] + files[0]["seconds"] == pytest.approx(gap["from_ts"], abs=1)
    for file in files:
        plays(file["path"])
        assert not any(count_faces(picture) for picture in pictures(file["path"], 10))


@pytest.mark.parametrize("blur", [True, False])
def test_a_camera_that_never_returns_is_given_up_after_its_retries(
    server: Server, relay: RtspServer, media: Path, blur: bool
) -> None:
    publisher = relay.publish_file("leaving", media / "person.mp4")
    source = relay.url("leaving")
    job_id = collect(server, sources=[source], duration=60, retries=2, backoff_s=0.2, blur=blur)
    eventually(lambda: job_of(server, job_id)["frames"], lambda n: n > 10, 30, "frames")
    publisher.kill()

    said, _ = follow(server, job_id)

    assert said[-1].startswith(f"Error with Job ID {job_id}: {source}: ")
    job = job_of(server, job_id)
    assert (job["state"], job["retries"]) == ("failed", 2)
    assert len(job["gaps"]) == 1
    assert files_of(server, job_id), "what was recorded before is kept"


def test_one_source_that_is_not_there_does_not_spoil_the_others(
    server: Server, relay: RtspServer
) -> None:
    nowhere = relay.url("nothing-here")
    job_id = collect(server, sources=["person.mp4", nowhere], retries=0)

    said, _ = follow(server, job_id)

    job = job_of(server, job_id)
    assert said[-1] == completed(job_id)
    assert job["state"] == "completed_with_gaps"
    assert [bool(part["error"]) for part in job["sources"]] == [False, True]
    assert [file["frames"] for file in files_of(server, job_id)] == [90]


def test_no_password_is_shown_or_stored(server: Server, relay: RtspServer) -> None:
    secret = "hidden-word"
    source = relay.url("nothing-here", "admin", secret)
    job_id = collect(server, sources=[source], retries=0)

    said, _ = follow(server, job_id)

    shown = json.dumps([job_of(server, job_id), texts(server, job_id), said]) + server.log()
    assert secret not in shown
    for file in server.data.glob("watchpost.db*"):
        assert secret.encode() not in file.read_bytes()


# ── ends ─────────────────────────────────────────────────────────────────────────────────────


def test_cancelling_keeps_the_files_and_removing_takes_them(server: Server, person: str) -> None:
    job_id = collect(server, sources=[person], duration=60)
    eventually(lambda: job_of(server, job_id)["frames"], lambda n: n > 10, 30, "frames")

    cancelled = server.http.delete(f"/collect/jobs/{job_id}").json()

    assert cancelled == {"job_id": job_id, "result": "cancelled"}
    assert follow(server, job_id)[0][-1] == f"Error with Job ID {job_id}: cancelled"
    assert job_of(server, job_id)["state"] == "cancelled"
    assert files_of(server, job_id)
    removed = server.http.delete(f"/collect/jobs/{job_id}").json()
    assert removed == {"job_id": job_id, "result": "removed"}
    assert not (server.data / "recordings" / job_id).exists()
    error_of(server.http.get(f"/collect/jobs/{job_id}"), 404, "JOB_NOT_FOUND")


def test_a_part_of_a_file_can_be_downloaded(server: Server) -> None:
    job_id = collect(server, sources=["person.mp4"], duration=2)
    follow(server, job_id)
    (file,) = files_of(server, job_id)
    whole = file["path"].read_bytes()

    part = server.http.get(file["url"], headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert server.http.head(file["url"]).headers["content-length"] == str(len(whole))
    for wrong in (f"bytes={len(whole)}-", "bytes=5-2", "bytes=a-b", "bytes=", "lines=1-2"):
        refused = server.http.get(file["url"], headers={"Range": wrong})
        assert error_of(refused, 416, "BAD_RANGE")["details"]["bytes"] == len(whole)
        assert refused.headers["content-range"] == f"bytes */{len(whole)}"
    for number in ("999", "0", "-1", "x", "9" * 40):
        missing = server.http.get(f"/collect/jobs/{job_id}/files/{number}")
        error_of(missing, 404, "FILE_NOT_FOUND")


# ── kills and restarts ───────────────────────────────────────────────────────────────────────


def kill_in_the_middle(own: Server, source: str, duration: float) -> tuple[str, list[Path]]:
    """Kill the server after two of the job's five steps."""
    job_id = collect(own, sources=[source], duration=duration)
    eventually(lambda: job_of(own, job_id)["percent"], lambda p: p > 42, 60, "step 2")
    own.kill()
    cut = list((own.data / "recordings" / job_id).glob("*.part.mp4"))
    assert len(cut) == 1
    plays(cut[0])
    return job_id, cut


@pytest.mark.alone  # the job's time passes while the server starts
def test_a_job_goes_on_after_a_kill(own: Server, person: str) -> None:
    job_id, _ = kill_in_the_middle(own, person, 16)
    own.start()

    said, _ = follow(own, job_id)

    assert said == [started(job_id), *steps(5), completed(job_id)]
    job = job_of(own, job_id)
    assert job["state"] == "completed_with_gaps"
    assert [gap["reason"] for gap in job["gaps"]] == ["the server was restarted"]
    files = files_of(own, job_id)
    assert len(files) == 2
    assert not list((own.data / "recordings").rglob("*.part.mp4"))
    recorded = sum(file["seconds"] for file in files)
    assert 9 < recorded < 18


@pytest.mark.alone
@pytest.mark.parametrize("own", [{"collect__on_restart": "interrupt"}], indirect=True)
def test_or_it_is_interrupted_as_the_setting_says(own: Server, person: str) -> None:
    job_id, _ = kill_in_the_middle(own, person, 12)
    own.start()

    said, _ = follow(own, job_id)

    error = f"Error with Job ID {job_id}: interrupted by a restart of the server"
    assert said[-1] == error
    assert said[:-1] == [started(job_id), *steps(5)][: len(said) - 1]
    assert len(said) >= 4
    assert job_of(own, job_id)["state"] == "interrupted"
    (file,) = files_of(own, job_id)
    plays(file["path"])


@pytest.mark.alone
def test_a_job_goes_on_after_an_ordered_end(own: Server, person: str) -> None:
    job_id = collect(own, sources=[person], duration=12)
    eventually(lambda: job_of(own, job_id)["percent"], lambda p: p > 45, 60, "step 2")
    assert own.stop() == 0
    assert not list((own.data / "recordings").rglob("*.part.mp4"))
    own.start()

    assert follow(own, job_id)[0] == [started(job_id), *steps(5), completed(job_id)]
    assert len(files_of(own, job_id)) == 2


# ── the guide ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("own", [{"demo": True}], indirect=True)
def test_the_guides_lines_work_when_pasted(own: Server, tmp_path: Path) -> None:
    lines = for_port(block("docs/guides/collector.md", "The calls"), own.port)
    lines = "\n".join(line for line in lines.split("\n") if not line.startswith("wscat "))
    eventually(lambda: own.get("demo").status_code, lambda code: code == 200, 30, "the demo")
    own.wait_status("demo", "running", 60)

    done = subprocess.run(
        ["bash", "-e", "-c", lines],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Progress: Step 4/4\nCollection completed for Job ID: " in done.stdout
    assert '"result":"removed"' in done.stdout
    assert '"cron":"0 3 * * *"' in done.stdout
    plays(tmp_path / "last.mp4")


# ── space ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of six megabytes for the recordings."""
    folder = tmp_path / "data" / "recordings"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("floor", [0, 2 * 2**20])
def test_a_full_disk_stops_the_recording_and_not_the_server(
    small_disk: Path, relay: RtspServer, tmp_path: Path, media: Path, floor: int
) -> None:
    server = Server(tmp_path, space__min_free=floor, media_dirs=str(media)).start()
    try:
        source = str(media / "person.mp4")
        (small_disk / "somebody-elses").write_bytes(bytes(5 * 2**20 - floor))
        publisher = relay.publish_file("full", media / "person.mp4")
        job_id = collect(server, sources=[relay.url("full")], duration=60, blur=False)
        said, _ = follow(server, job_id)
        publisher.stop()

        assert said[-1].startswith(f"Error with Job ID {job_id}: the disk is full: ")
        job = job_of(server, job_id)
        assert job["state"] == "failed"
        for file in files_of(server, job_id):
            plays(file["path"])
        (small_disk / "somebody-elses").unlink()
        server.http.delete(f"/collect/jobs/{job_id}")
        again = collect(server, sources=[source], duration=1)
        assert follow(server, again)[0][-1] == completed(again)
    finally:
        server.stop()
        server.http.close()
