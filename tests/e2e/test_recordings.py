"""A real RTSP camera is recorded: the clip of an event, one encode for all, and a kill."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from support.faces import count_faces
from support.poll import eventually
from support.rtsp import Picture, RtspServer
from support.watchpost import Server, error_of

from app.pipeline.sources.demo import BUNDLED

SIZE, FPS, SCENE_S = (640, 360), 15, 8
BEFORE_S, AFTER_S = 3.0, 4.0
EVENT_S = 90.0
JUDGED = 12
"""Frames of a video in which faces are searched."""


def write_appearance(path: Path) -> Path:
    """An empty wall for eight seconds, then a person in front of it for eight."""
    wall = np.full((SIZE[1], SIZE[0], 3), (120, 130, 125), np.uint8)
    photo = np.asarray(cv2.imread(str(BUNDLED)), np.uint8)
    person = cv2.resize(photo, (round(photo.shape[1] * 300 / photo.shape[0]), 300))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 10, 0
        for number in range(2 * SCENE_S * FPS):
            view = wall.copy()
            if number >= SCENE_S * FPS:
                view[30:330, 180 : 180 + person.shape[1]] = person
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="bgr24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def camera(relay: RtspServer, tmp_path: Path) -> Iterator[str]:
    publisher = relay.publish_file("hall", write_appearance(tmp_path / "hall.mp4"))
    yield relay.url("hall")
    publisher.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server that a test may kill."""
    server = Server(tmp_path, streams__start_timeout_s=60).start()
    yield server
    server.stop()
    server.http.close()


def pictures(data: bytes) -> list[tuple[float, Picture]]:
    """The times and BGR images of a video's frames."""
    with av.open(io.BytesIO(data), "r") as container:
        return [
            (float(frame.time or 0), np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))
            for frame in container.decode(video=0)
        ]


def faces(found: list[tuple[float, Picture]]) -> list[int]:
    step = max(1, len(found) // JUDGED)
    return [count_faces(picture) for _, picture in found[::step]]


def jump_s(found: list[tuple[float, Picture]], near_s: float) -> float:
    """The time nearest to this one at which somebody comes or goes."""
    small = [cv2.resize(picture, (32, 18)).astype(int) for _, picture in found]
    changes = [float(np.abs(b - a).mean()) for a, b in itertools.pairwise(small)]
    jumps = [found[place + 1][0] for place, change in enumerate(changes) if change > 5]
    assert jumps, f"nobody comes: {max(changes)}"
    return min(jumps, key=lambda at: abs(at - near_s))


def recordings(server: Server, stream: str, begin_ts: float) -> dict[str, Any]:
    query: dict[str, Any] = {"stream": stream, "from": begin_ts, "to": time.time() + 60}
    body: dict[str, Any] = server.http.get("/api/recordings", params=query).json()
    return body


def test_a_camera_is_recorded_with_faces_covered_and_survives_a_kill(
    own: Server, camera: str, tmp_path: Path
) -> None:
    begun_ts = time.time()
    body = {
        "camera_id": "gate",
        "source": camera,
        "analytics": {"objects": {"labels": ["person"]}},
        "clip_before_s": BEFORE_S,
        "clip_after_s": AFTER_S,
    }
    own.http.post("/cameras", json=body).raise_for_status()
    own.begin("out", camera, record="continuous")

    def appeared() -> list[dict[str, Any]]:
        page = own.http.get("/api/events?camera=gate&type=object_appeared&limit=1").json()
        events: list[dict[str, Any]] = page["events"]
        return events

    (event,) = eventually(appeared, bool, EVENT_S, "somebody appears")
    early = error_of(own.http.get(event["clip"]), 503, "CLIP_NOT_READY")
    assert early["details"]["event_id"] == event["id"]
    clip = eventually(
        lambda: own.http.get(event["clip"]), lambda one: one.status_code == 200, 30, "the clip"
    )
    found = pictures(clip.content)
    assert BEFORE_S + AFTER_S - 1 <= found[-1][0] <= BEFORE_S + AFTER_S + 3
    assert len(found) / found[-1][0] <= 6  # the small encoder
    spans = recordings(own, "gate", begun_ts)["spans"]
    span = next(one for one in spans if one["begin_ts"] <= event["ts"] <= one["end_ts"])
    happened_s = event["ts"] - span["begin_ts"]
    assert BEFORE_S - 0.5 <= happened_s <= BEFORE_S + 2.5
    # A busy machine looks for objects more rarely and sees later who came: the film begins early
    # enough to show it.
    assert happened_s - BEFORE_S <= jump_s(found, happened_s) <= happened_s + 0.5
    assert sum(faces(pictures((tmp_path / "hall.mp4").read_bytes()))) >= 5  # they can be found
    assert sum(faces(found)) == 0

    # The published stream is encoded once, for viewers and for the recording.
    (growing,) = eventually(
        lambda: recordings(own, "out", begun_ts),
        lambda body: body["bytes"] > 500_000,
        60,
        "the recording",
    )["spans"]
    own.kill()
    killed_ts = time.time()
    own.start()
    after = recordings(own, "out", begun_ts)
    kept = after["spans"][0]
    assert kept["begin_ts"] == pytest.approx(growing["begin_ts"], abs=0.1)
    assert kept["end_ts"] >= growing["end_ts"] - 3
    assert kept["end_ts"] <= killed_ts
    query = {"stream": "out", "from": kept["begin_ts"], "to": kept["end_ts"]}
    export = own.http.get("/api/recordings/export", params=query)
    film = pictures(export.content)
    times = [at for at, _ in film]
    assert min(b - a for a, b in itertools.pairwise(times)) < 0.12  # not of the small encoder
    assert film[0][1].shape[:2] == (SIZE[1], SIZE[0])
    assert sum(faces(film)) == 0
    gaps = eventually(
        lambda: recordings(own, "out", begun_ts),
        lambda body: len(body["spans"]) > 1,
        60,
        "the recording goes on",
    )["gaps"]
    assert any(gap["begin_ts"] <= killed_ts <= gap["end_ts"] for gap in gaps)
    assert own.http.get(event["clip"]).status_code == 200
