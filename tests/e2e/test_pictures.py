"""Colours, pixel shape and orientation, as clients of each API see them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from support.collect import collect, files_of, follow
from support.live import Live, request
from support.pictures import Image, as_shown, difference, encoded_exactly, patches, write_clip
from support.poll import eventually
from support.readers import read_at_once
from support.rtsp import RtspServer
from support.watchpost import Server, clear_view

from app.models.orientation import display_matrix, orientation_of_frame, upright
from app.pipeline.normalise import normalised

CLOSE = 4  # allows for the camera's encoder, ours, and a JPEG
STARTS_S = 60
LEFT, RIGHT = 8, 6
"""Orientations of images that are upright after a quarter turn to the left, or to the right."""

Clip = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def settings(folder: Path) -> dict[str, object]:
    return {"media_dirs": str(folder), "streams__start_timeout_s": STARTS_S}


@pytest.fixture
def clip(folder: Path, request: pytest.FixtureRequest) -> Clip:
    """Writes the patches as a camera that is mounted sideways stores them."""

    def make(*, stated: bool, format: str = "yuv420p", **options: Any) -> Path:
        image = np.ascontiguousarray(upright(patches(576, 324), LEFT))
        given = encoded_exactly(image, format=format, **options)
        path = folder / f"{request.node.name}.mp4"
        matrix = display_matrix(RIGHT) if stated else None
        return write_clip(path, given, display_matrix=matrix)

    return make


def read(jpeg: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(image, np.uint8)


def is_right(image: Image) -> None:
    assert image.shape == (324, 576, 3)
    assert difference(image) <= CLOSE


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("stated", [False, True], ids=["rotate", "matrix"])
def test_a_camera(server: Server, clip: Clip, stated: bool, full: bool) -> None:
    path = clip(stated=stated, format="yuv422p", matrix="bt709", full=full)
    rotate = 0 if stated else 90
    body = {"camera_id": "C", "source": path.name, "loop": True, "blur": "off", "rotate": rotate}
    body |= clear_view()
    reply = server.http.post("/cameras", json=body, timeout=STARTS_S)
    assert reply.status_code == 201, reply.text
    try:
        assert server.http.get("/camera/C").json()["rotate"] == rotate
        is_right(read(server.http.get("/camera/C/jpeg").content))
        changed = server.http.patch("/camera/C", json={"rotate": rotate + 180}, timeout=STARTS_S)
        assert changed.status_code == 200, changed.text
        eventually(
            lambda: difference(read(server.http.get("/camera/C/jpeg").content)[::-1, ::-1]),
            lambda distance: distance <= CLOSE,
            30,
            "the other way up",
        )
    finally:
        server.http.delete("/camera/C")


@pytest.mark.parametrize(
    ("matrix", "full"), [("bt601", False), ("bt601", True), ("bt709", False), ("bt709", True)]
)
def test_rtsp(server: Server, relay: RtspServer, folder: Path, matrix: str, full: bool) -> None:
    given = encoded_exactly(patches(704, 576), format="yuv420p", matrix=matrix, full=full)
    path = write_clip(folder / f"{matrix}-{full}.mp4", given, pixel_aspect=Fraction(12, 11))
    publisher = relay.publish_file("patches", path)
    try:
        config = server.begin("cam-1", relay.url("patches"), blur="off", rotate=180)["config"]
        assert config["rotate"] == 180
        shown = read_at_once(config["output_url"], 10)[-1][::-1, ::-1, ::-1]
        assert shown.shape == (576, 768, 3)
        assert difference(shown) <= CLOSE
        with av.open(config["output_url"], options={"rtsp_transport": "tcp"}, timeout=20) as out:
            frame = next(out.decode(video=0))
            colours = frame.color_range, frame.colorspace
        assert colours == (given.color_range, given.colorspace)
    finally:
        server.post("cam-1/disconnect")
        publisher.stop()


@pytest.mark.parametrize("stated", [False, True], ids=["rotate", "matrix"])
@pytest.mark.parametrize("blur", [True, False], ids=["encoded", "copied"])
def test_a_recording(server: Server, clip: Clip, blur: bool, stated: bool) -> None:
    path = clip(stated=stated, format="yuv420p", matrix="bt601", full=True)
    job = collect(server, sources=[path.name], blur=blur, rotate=0 if stated else 90)
    follow(server, job)
    (file,) = files_of(server, job)
    with av.open(str(file["path"])) as container:
        frame = next(container.decode(video=0))
    assert (frame.color_range, frame.colorspace) in [(2, 5), (2, 6)]
    assert orientation_of_frame(frame) == (1 if blur else RIGHT)
    is_right(as_shown(normalised(frame, orientation_of_frame(frame), Fraction(1))))


def test_a_running_stream_is_recorded_with_its_own_rotation(server: Server) -> None:
    reply = server.http.post("/collect", json={"rotate": 90})
    assert reply.status_code == 400
    assert reply.json()["details"]["field"] == "rotate"


def test_pushed_pictures(server: Server) -> None:
    image = np.ascontiguousarray(upright(patches(576, 324), LEFT))
    png = bytes(cv2.imencode(".png", image[..., ::-1])[1])
    stream_id = request(server, rotate=90, analytics=[], blur="off")
    with Live(server, stream_id, "?pictures=1") as viewer, Live(server, stream_id) as pusher:
        assert pusher.push(png)["type"] == "ack"
        viewer.until("result")
        is_right(read(viewer.picture()))


@pytest.mark.parametrize("rotate", [45, -90, 360, "90", 90.5, True, None])
def test_other_rotations_are_rejected(server: Server, rotate: object) -> None:
    for path, body in (
        ("/stream/request", {}),
        ("/cameras", {"camera_id": "C", "source": 0}),
        ("/collect", {}),
        ("/api/streams/cam-1/start", {"rtsp_url": "rtsp://192.0.2.1/x"}),
    ):
        reply = server.http.post(path, json={**body, "rotate": rotate})
        assert reply.status_code == 400, (path, reply.text)
