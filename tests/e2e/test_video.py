"""Live video in a real browser: H.264 where it plays, MJPEG elsewhere, boxes on their frame."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from support import browser as chrome
from support.faces import count_faces, head, paste_cut
from support.live import Live, encode, request
from support.poll import eventually
from support.rtsp import Picture, RtspServer, pattern
from support.watchpost import Server
from websockets.sync.client import connect

pytestmark = pytest.mark.skipif(bool(chrome.available()), reason=chrome.available())

SIZE = (640, 360)
BITS, BLOCK = 12, 24
FACE, STEP = 140, 12
FACE_BGR = (255, 212, 217)
SLOW_MS = 60_000
WITHIN_S = 60.0
NO_MEDIA_SOURCE = "delete window.MediaSource; delete window.ManagedMediaSource;"
LIKE_IOS = "window.ManagedMediaSource = window.MediaSource; delete window.MediaSource;"
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
SHOWN = """() => {
  const canvas = document.querySelector(".video-player canvas");
  return { frame: Number(canvas.dataset.frame ?? 0), png: canvas.toDataURL("image/png") };
}"""


@dataclass
class Pusher:
    """Pushes numbered pictures with a moving face, and notes where the server saw it.

    The numbers are those of the stream, which go on after ``pushed`` frames of another client.
    """

    stream_id: str
    size: tuple[int, int] = SIZE
    pushed: int = 0
    boxes: dict[int, list[Any]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self, server: Server) -> None:
        with Live(server, self.stream_id) as live:
            number = self.pushed
            while not self.over.wait(0.1):
                number += 1
                answer = live.push(encode(picture(number, self.size)))
                assert answer["type"] == "ack", answer
                faces = [one for one in answer["detections"] if one["label"] == "face"]
                self.boxes[number] = [one["box"] for one in faces]


def picture(number: int, size: tuple[int, int]) -> Picture:
    """A face whose place follows from the number, which is also painted as blocks."""
    image = pattern(SIZE, 0.0)
    room = SIZE[0] - FACE
    way = number * STEP % (2 * room)
    paste_cut(image, head(FACE), min(way, 2 * room - way), 120)
    for bit in range(BITS):
        lit = number >> (BITS - 1 - bit) & 1
        image[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * lit
    return np.asarray(cv2.resize(image, size), np.uint8)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("watchpost")
    with Server(
        folder,
        faces__width=640,
        faces__timeout_s=20,
        push__grace_s=20,
        streams__start_timeout_s=60,
    ) as server:
        yield server


@pytest.fixture
def pusher(server: Server) -> Iterator[Pusher]:
    with pushing(server) as pusher:
        yield pusher


@contextmanager
def pushing(server: Server, pusher: Pusher | None = None) -> Iterator[Pusher]:
    pusher = pusher or Pusher(request(server, analytics=[]))
    thread = threading.Thread(target=pusher.run, args=(server,), daemon=True)
    thread.start()
    try:
        yield pusher
    finally:
        pusher.over.set()
        thread.join(WITHIN_S)


OpenPage = Callable[..., Page]


@pytest.fixture
def watch(browser: Browser, server: Server) -> Iterator[OpenPage]:
    """Opens the live view of a stream; errors of its scripts fail the test."""
    errors: list[str] = []
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SLOW_MS)
    expect.set_options(timeout=SLOW_MS)

    def watch(stream_id: str, script: str = "") -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto(f"http://127.0.0.1:{server.port}/#/live/{stream_id}")
        page.wait_for_selector(".video-player canvas[data-frame]")
        return page

    yield watch
    context.close()
    assert not errors


def shown(page: Page) -> tuple[int, Picture]:
    """The number of the frame whose boxes are on the canvas, and the canvas, BGR."""
    found = page.evaluate(SHOWN)
    data = base64.b64decode(found["png"].partition(",")[2])
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return found["frame"], np.asarray(image, np.uint8)


def area_of(image: Picture) -> tuple[float, float, float]:
    """Left and top of the video on the canvas, and its scale."""
    height, width = image.shape[:2]
    scale = min(width / SIZE[0], height / SIZE[1])
    return (width - SIZE[0] * scale) / 2, (height - SIZE[1] * scale) / 2, scale


def painted_number(image: Picture) -> int:
    left, top, scale = area_of(image)
    number = 0
    for bit in range(BITS):
        x, y = left + (bit + 0.5) * BLOCK * scale, top + BLOCK / 2 * scale
        number = number * 2 + int(image[int(y), int(x)].mean() > 127)
    return number


def left_of_box(image: Picture) -> float | None:
    """Where the box of the face begins, in pixels of the frame; None without a box."""
    left, _, scale = area_of(image)
    alike = np.abs(image.astype(int) - FACE_BGR).max(axis=2) < 12
    columns = np.flatnonzero(alike.sum(axis=0) > 30 * scale)
    return None if columns.size == 0 else (float(columns[0]) - left) / scale


def check_frames(page: Page, pusher: Pusher) -> None:
    """Compare what is on the screen with what was pushed and detected."""
    checked, last = set[int](), 0
    deadline = time.monotonic() + WITHIN_S
    while len(checked) < 12:
        assert time.monotonic() < deadline, f"only {sorted(checked)} had a box"
        frame, image = shown(page)
        if frame == last:
            continue
        last = frame
        assert painted_number(image) == frame
        begins, boxes = left_of_box(image), pusher.boxes.get(frame, [])
        if begins is None or len(boxes) != 1:
            continue
        left = boxes[0][0] * SIZE[0] / pusher.size[0]
        assert begins == pytest.approx(left, abs=STEP / 2 - 1), f"frame {frame}"
        checked.add(frame)


@pytest.mark.parametrize(
    ("script", "shown_as"), [("", "H.264"), (LIKE_IOS, "H.264"), (NO_MEDIA_SOURCE, "MJPEG")]
)
def test_each_frame_has_its_own_boxes(
    watch: OpenPage, pusher: Pusher, script: str, shown_as: str
) -> None:
    page = watch(pusher.stream_id, script)
    expect(page.locator(".stage-facts")).to_contain_text(shown_as)
    check_frames(page, pusher)
    plays = page.locator("video").evaluate("(video) => video.currentTime > 0 && !video.paused")
    assert plays is (shown_as == "H.264")
    why = page.get_by_text("cannot play live H.264 video")
    expect(why).to_have_count(int(shown_as == "MJPEG"))
    _, image = shown(page)
    assert count_faces(image) == 0  # and the picture that was pushed has one
    assert count_faces(picture(1, SIZE)) == 1


def test_a_new_size_and_a_break_need_no_reload(watch: OpenPage, server: Server) -> None:
    with pushing(server) as first:
        page = watch(first.stream_id)
        check_frames(page, first)
    time.sleep(2)
    smaller = Pusher(first.stream_id, (480, 270), pushed=len(first.boxes))
    with pushing(server, smaller) as second:
        expect(page.locator(".stage-facts")).to_contain_text("480 × 270")
        check_frames(page, second)
        assert page.locator("video").evaluate("(video) => video.videoWidth") == 480


def test_a_hidden_page_watches_nothing_and_comes_back(
    watch: OpenPage, server: Server, pusher: Pusher
) -> None:
    page = watch(pusher.stream_id)
    check_frames(page, pusher)
    assert viewers(server) == 1
    page.evaluate(HIDE, True)
    eventually(lambda: viewers(server), lambda n: n == 0, WITHIN_S, "the page stops watching")
    page.evaluate(HIDE, False)
    eventually(lambda: viewers(server), lambda n: n == 1, WITHIN_S, "the page watches again")
    check_frames(page, pusher)


def test_the_video_plays_elsewhere(server: Server, pusher: Pusher, tmp_path: Path) -> None:
    """What a plain client writes to a file is a video."""
    url = f"ws://127.0.0.1:{server.port}/api/streams/{pusher.stream_id}/video"
    data = b""
    said: list[dict[str, Any]] = []
    with connect(url, proxy=None) as socket:
        while len(said) < 12:
            said.append(json.loads(socket.recv(timeout=WITHIN_S)))
            segment = socket.recv(timeout=WITHIN_S)
            assert isinstance(segment, bytes)
            data += segment
    file = tmp_path / "live.mp4"
    file.write_bytes(data)
    reader = cv2.VideoCapture(str(file))
    pictures = []
    while (read := reader.read())[0]:
        pictures.append(painted_number(np.asarray(read[1], np.uint8)))
    assert pictures == [message["frame"] for message in said[1:]]


def test_the_output_is_encoded_for_viewers_too(
    server: Server, relay: RtspServer, camera: str
) -> None:
    server.begin("shared", camera, output_url=relay.url("shared"))
    url = f"ws://127.0.0.1:{server.port}/api/streams/shared/video"
    with connect(url, proxy=None) as socket:
        kind = json.loads(socket.recv(timeout=WITHIN_S))
        socket.recv(timeout=WITHIN_S)
        frame = json.loads(socket.recv(timeout=WITHIN_S))
    assert (kind["width"], kind["height"], kind["encoded_for"]) == (640, 360, "output")
    assert frame["keyframe"]
    server.post("shared/disconnect")


def test_the_page_goes_on_after_a_restart_of_the_stream(
    watch: OpenPage, server: Server, relay: RtspServer, camera: str
) -> None:
    server.begin("again", camera, output_url=relay.url("again"))
    page = watch("again")
    assert shown(page)[0] > 0
    server.post("again/restart")
    before = shown(page)[0]
    expect(page.locator(".stage-cover")).to_have_count(0)
    eventually(
        lambda: shown(page)[0], lambda n: 0 < n != before, WITHIN_S, "frames of the next run"
    )
    server.post("again/disconnect")


def viewers(server: Server) -> float:
    text = server.http.get("/metrics").text
    (line,) = [one for one in text.splitlines() if one.startswith("watchpost_video_viewers ")]
    return float(line.split()[1])
