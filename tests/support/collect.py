"""Collection jobs as clients see them, and checks of the files."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.rtsp import Picture
from support.watchpost import Server, clear_view


def collect(server: Server, **body: object) -> str:
    """Start a job, whose reply must be the contract's, and return its id."""
    if body.get("blur") is False:
        body |= clear_view()
    reply = server.http.post("/collect", json=body or None)
    assert reply.status_code == 200, reply.text
    job_id = reply.json()["job_id"]
    message = f"Collection started with Job ID {job_id}"
    assert reply.json() == {"job_id": job_id, "message": message}
    return str(job_id)


def socket_url(server: Server, job_id: str, query: str = "") -> str:
    return f"ws://127.0.0.1:{server.port}/ws/{job_id}{query}"


def follow(server: Server, job_id: str, query: str = "") -> tuple[list[str], int | None]:
    """All messages of a job until its socket is closed, and the close code."""
    said: list[str] = []
    with connect(socket_url(server, job_id, query), proxy=None) as socket:
        try:
            while True:
                said.append(str(socket.recv(timeout=90)))
        except ConnectionClosed:
            return said, socket.close_code


def steps(count: int) -> list[str]:
    return [f"Progress: Step {step}/{count}" for step in range(1, count + 1)]


def started(job_id: str) -> str:
    return f"Collection started with Job ID: {job_id}"


def completed(job_id: str) -> str:
    return f"Collection completed for Job ID: {job_id}"


def job_of(server: Server, job_id: str) -> dict[str, Any]:
    reply = server.http.get(f"/collect/jobs/{job_id}")
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def texts(server: Server, job_id: str) -> list[str]:
    """The lines of a job's log."""
    reply = server.http.get(f"/collect/jobs/{job_id}/logs", params={"limit": 500})
    return [entry["text"] for entry in reply.json()["logs"]]


def files_of(server: Server, job_id: str) -> list[dict[str, Any]]:
    """The files of a job; the facts of each must match the downloaded file."""
    found: list[dict[str, Any]] = server.http.get(f"/collect/jobs/{job_id}/files").json()["files"]
    for file in found:
        data = server.http.get(file["url"]).content
        assert len(data) == file["bytes"]
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        path = server.folder / f"{job_id}-{file['name']}"
        path.write_bytes(data)
        file["path"] = path
        seen = ffprobe(path)
        assert int(seen["nb_read_frames"]) == file["frames"]
        assert seen["codec_name"] == file["codec"]
        assert abs(float(seen["duration"]) - file["seconds"]) < 0.2
    return found


def ffprobe(path: Path) -> dict[str, Any]:
    """The video stream of a file, with its frames decoded and counted by ffprobe."""
    done = subprocess.run(
        [
            *("ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames"),
            *("-show_entries", "stream=codec_name,nb_read_frames,duration,width,height"),
            *("-of", "json", str(path)),
        ],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return dict(json.loads(done.stdout)["streams"][0])


def plays(path: Path) -> None:
    """Fail unless ffmpeg plays a file to its end without a message."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "vfr", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")


def pictures(path: Path, every: int = 1) -> list[Picture]:
    """A file's frames as BGR images."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))[::every]
    return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in frames]
