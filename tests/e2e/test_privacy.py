"""Faces in the output's pixels, searched with another detector at full size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.faces import count_faces, decode_jpeg, head, make_crossing, portrait
from support.poll import eventually
from support.readers import read_at_once
from support.rtsp import RtspServer, make_video
from support.watchpost import Server

FRAMES = 15
CROSSING_FRAMES = 80  # of the 90 that the video has


@pytest.fixture(scope="module")
def publish(
    relay: RtspServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, Callable[[Path], Path]], str]]:
    """Makes a video, publishes it for the module, and returns its URL."""
    folder = tmp_path_factory.mktemp("faces")
    publishers = []

    def publish(name: str, make: Callable[[Path], Path]) -> str:
        publishers.append(relay.publish_file(name, make(folder / f"{name}.mp4")))
        return relay.url(name)

    yield publish
    for publisher in publishers:
        publisher.stop()


@pytest.fixture(scope="module")
def person(publish: Callable[[str, Callable[[Path], Path]], str]) -> str:
    """A camera in front of which a person moves slowly."""
    return publish("person", lambda path: make_video(path, picture=portrait(330), gop=8))


def test_with_blur_off_every_frame_shows_the_face(server: Server, person: str) -> None:
    """So that the tests below can fail."""
    url = server.begin("cam-1", person, blur="off")["config"]["output_url"]

    assert all(count_faces(picture) for picture in read_at_once(url, FRAMES))


@pytest.mark.parametrize("blur", ["gaussian", "pixelate", "solid"])
def test_no_frame_shows_a_face(server: Server, person: str, blur: str) -> None:
    url = server.begin("cam-1", person, blur=blur)["config"]["output_url"]

    assert [count_faces(picture) for picture in read_at_once(url, FRAMES)] == [0] * FRAMES
    assert server.show("cam-1")["stats"]["faces"] >= 1


def test_blur_is_on_when_nobody_asks_for_it(server: Server, person: str) -> None:
    server.get("by-input", input_url=person)

    assert [count_faces(picture) for picture in read_at_once(f"{person}-blur", 5)] == [0] * 5


def test_a_small_face_in_a_large_picture_is_covered(
    server: Server, publish: Callable[[str, Callable[[Path], Path]], str]
) -> None:
    url = publish(
        "far-away",
        lambda path: make_video(
            path, (1280, 720), picture=portrait(200), gop=8, bit_rate=4_000_000
        ),
    )
    output = server.begin("cam-1", url)["config"]["output_url"]

    assert [count_faces(picture) for picture in read_at_once(output, FRAMES)] == [0] * FRAMES


def test_a_face_is_covered_as_it_comes_crosses_and_pops_up(
    server: Server, publish: Callable[[str, Callable[[Path], Path]], str]
) -> None:
    url = publish("crossing", make_crossing)
    output = server.begin("cam-1", url)["config"]["output_url"]

    bare = [
        number
        for number, picture in enumerate(read_at_once(output, CROSSING_FRAMES, 60))
        if count_faces(picture)
    ]

    assert bare == []


def test_a_face_that_fills_the_picture_is_covered(
    server: Server, publish: Callable[[str, Callable[[Path], Path]], str]
) -> None:
    url = publish("close", lambda path: make_video(path, (640, 360), picture=head(350), gop=8))
    output = server.begin("cam-1", url)["config"]["output_url"]

    assert [count_faces(picture) for picture in read_at_once(output, FRAMES)] == [0] * FRAMES


def test_a_face_is_covered_in_a_picture_that_is_scaled_down(server: Server, person: str) -> None:
    output = server.begin("cam-1", person, downscale=0.5)["config"]["output_url"]

    assert [count_faces(picture) for picture in read_at_once(output, FRAMES)] == [0] * FRAMES


# ── previews ─────────────────────────────────────────────────────────────────────────────────


def snapshots(server: Server, count: int) -> list[int]:
    """The number of faces in each of the next different snapshots."""
    seen: list[bytes] = []

    def take() -> int:
        response = server.get("cam-1/jpeg")
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "image/jpeg"
        if response.content not in seen:
            seen.append(response.content)
        return len(seen)

    eventually(take, lambda number: number >= count, 30, f"{count} different pictures")
    return [count_faces(decode_jpeg(data)) for data in seen]


def mjpeg_pictures(server: Server, count: int) -> list[int]:
    """The number of faces in each of the next frames of the MJPEG preview."""
    faces: list[int] = []
    with server.http.stream("GET", "/api/streams/cam-1/mjpeg") as response:
        assert response.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        waiting = b""
        for chunk in response.iter_bytes():
            *parts, waiting = (waiting + chunk).split(b"--frame\r\n")
            for part in filter(None, parts):
                head, _, body = part.partition(b"\r\n\r\n")
                length = int(head.rpartition(b": ")[2])
                assert b"Content-Type: image/jpeg" in head
                faces.append(count_faces(decode_jpeg(body[:length])))
            if len(faces) >= count:
                return faces
    raise AssertionError(f"the preview ended after {len(faces)} pictures")


def test_previews_show_the_face_with_blur_off(server: Server, person: str) -> None:
    """So that the tests below can fail."""
    server.begin("cam-1", person, blur="off")

    assert min(snapshots(server, 3)) == 1
    assert min(mjpeg_pictures(server, 3)) == 1


def test_snapshots_show_no_face(server: Server, person: str) -> None:
    server.begin("cam-1", person)

    assert max(snapshots(server, 5)) == 0


def test_the_mjpeg_preview_shows_no_face(server: Server, person: str) -> None:
    server.begin("cam-1", person)

    assert max(mjpeg_pictures(server, 8)) == 0
