"""Push a webcam, a video file or a folder of images to Watchpost, and print its detections.

    python examples/push_webcam.py                     # the first webcam
    python examples/push_webcam.py clip.mp4 --fps 10   # a file
    python examples/push_webcam.py images/ --loop      # a folder, again and again

It needs ``websockets`` and ``opencv-python``, and none of Watchpost's own code: use it as a start
for your own client. The next frame is sent after the answer to the last one, so the delay stays as
low as the server allows, whatever ``--fps`` says.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import cv2
import numpy as np
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
ANSWERS = ("ack", "dropped", "error")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
UNKNOWN_STREAM = 4404
BAR = 24


def main() -> None:
    options = parse()
    frames = Frames(options)
    try:
        push_forever(options, frames)
    except KeyboardInterrupt:
        print("\nstopped")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", nargs="?", default="0", help="webcam number, file or folder")
    parser.add_argument("--server", default="http://localhost:8000", help="(default: %(default)s)")
    parser.add_argument("--token", help="the server's token, needed from other machines")
    parser.add_argument("--name", help="display name of the stream")
    parser.add_argument("--blur", choices=["gaussian", "pixelate", "solid", "off"])
    parser.add_argument(
        "--fps", type=float, help="upper limit of the frame rate (default: the source's)"
    )
    parser.add_argument("--quality", type=int, default=80, help="JPEG quality, 1 to 100")
    parser.add_argument("--loop", action="store_true", help="start again at the end")
    options = parser.parse_args()
    if options.fps is not None and options.fps <= 0:
        parser.error("--fps must be above 0")
    if urlsplit(options.server).scheme not in ("http", "https"):
        parser.error("--server must begin with http:// or https://")
    return options


# ── frames ───────────────────────────────────────────────────────────────────────────────────


class Frames:
    """JPEGs of a webcam, a file or a folder, at the source's frame rate.

    Attributes:
        total: number of frames; None if it is unknown.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._source: str = options.source
        self._loop: bool = options.loop
        self._flags = [cv2.IMWRITE_JPEG_QUALITY, options.quality]
        self.total: int | None = None
        self._paths: list[Path] = []
        fps = 1.0  # of a folder
        if self._source.isdigit():
            self._capture = cv2.VideoCapture(int(self._source))
            fps = 30.0
        elif (path := Path(self._source)).is_dir():
            self._paths = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
            self.total = len(self._paths)
            if not self._paths:
                leave(f"There are no images in {path} ({', '.join(PICTURES)}).")
        elif path.is_file():
            self._capture = cv2.VideoCapture(str(path))
            fps = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
            self.total = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))) or None
        else:
            leave(f"{self._source} is neither a webcam's number nor a file nor a folder.")
        if not self._paths and not self._capture.isOpened():
            kind = "webcam" if self._source.isdigit() else "file"
            leave(f"The {kind} {self._source} cannot be opened. Is it used by another program?")
        self._interval_s = 1 / (options.fps or fps)

    def __iter__(self) -> Iterator[bytes]:
        due = time.monotonic()
        for picture in self._read():
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic() - 1) + self._interval_s
            done, jpeg = cv2.imencode(".jpg", picture, self._flags)
            if done:
                yield jpeg.tobytes()

    def _read(self) -> Iterator[np.ndarray[Any, Any]]:
        while True:
            if self._paths:
                for path in self._paths:
                    picture = cv2.imread(str(path))
                    if picture is None:
                        print(f"\n{path} is not an image: skipped", file=sys.stderr)
                    else:
                        yield picture
            else:
                while (read := self._capture.read())[0]:
                    yield read[1]
                if self._source.isdigit():
                    leave("\nThe webcam delivers no more frames.")
                self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            if not self._loop:
                return


# ── the server ───────────────────────────────────────────────────────────────────────────────


def push_forever(options: argparse.Namespace, frames: Frames) -> None:
    """Push until the frames end; reconnect when the connection is lost."""
    pictures = iter(frames)
    progress = Progress(frames.total)
    stream_id: str | None = None
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            if stream_id is None:
                stream_id = request_stream(options)
                show_addresses(options, stream_id)
            with connect_to(options, stream_id) as socket:
                pause_s = FIRST_PAUSE_S
                if push(socket, pictures, progress):
                    print("\nthe last frame was sent")
                    return
                stream_id = None  # the stream has ended: ask for another
        except ConnectionClosed as closed:
            why = closed.rcvd.reason or closed.rcvd.code if closed.rcvd else "connection lost"
            if closed.rcvd is not None and closed.rcvd.code == UNKNOWN_STREAM:
                stream_id = None
        except InvalidStatus as refused:
            if refused.response.status_code == 401:
                leave("The server requires its token: --token … (it is in data/token).")
            why = f"HTTP {refused.response.status_code}"
        except (OSError, TimeoutError, WebSocketException) as error:
            why = str(error) or type(error).__name__
        else:
            why = "the stream has ended"
        print(f"\n{why}; trying again in {pause_s:.0f} s", file=sys.stderr)
        time.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


def request_stream(options: argparse.Namespace) -> str:
    """Request a stream; return its id."""
    wanted = {"name": options.name, "blur": options.blur}
    body = json.dumps({name: value for name, value in wanted.items() if value is not None})
    request = urllib.request.Request(
        f"{options.server.rstrip('/')}/stream/request",
        data=body.encode(),
        headers={"Content-Type": "application/json", **headers_of(options)},
    )
    try:
        with urllib.request.urlopen(request, timeout=15) as reply:
            return str(json.load(reply)["stream_id"])
    except urllib.error.HTTPError as error:
        if error.code == 401:
            leave("The server requires its token: --token … (it is in data/token).")
        try:
            said = json.load(error)["message"]
        except (ValueError, KeyError, TypeError):
            leave(f"{options.server} answers HTTP {error.code}: is that a Watchpost?")
        if error.code < 500:
            leave(said)
        raise ConnectionError(said) from None
    except urllib.error.URLError as error:
        raise ConnectionError(f"{options.server} does not answer ({error.reason})") from None
    except (ValueError, KeyError, TypeError):
        leave(f"{options.server} answers something else: is that a Watchpost?")


def connect_to(options: argparse.Namespace, stream_id: str) -> ClientConnection:
    address = options.server.rstrip("/").replace("http", "ws", 1)
    return connect(
        f"{address}/ws/stream/{stream_id}",
        additional_headers=headers_of(options),
        compression=None,  # JPEGs are compressed already
        max_size=16 * 2**20,
    )


def push(socket: ClientConnection, pictures: Iterator[bytes], progress: Progress) -> bool:
    """Send the frames one by one; False if the stream ended before they did."""
    for jpeg in pictures:
        socket.send(jpeg)
        while True:
            message = json.loads(socket.recv(timeout=60))
            if message["type"] == "end":
                return False
            progress.take(message, len(jpeg))
            if message["type"] in ANSWERS:
                break
    return True


def headers_of(options: argparse.Namespace) -> dict[str, str]:
    token = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    return {"Accept-Language": "en", **token}


def show_addresses(options: argparse.Namespace, stream_id: str) -> None:
    base = options.server.rstrip("/")
    token = f"?token={quote(options.token)}" if options.token else ""
    print(f"stream:  {stream_id}")
    print(f"video:   {base}/stream/video/{stream_id}{token}   (browser, VLC, ffplay)")
    print(f"page:    {base}/viewer{token}")


class Progress:
    """A status line with progress, frame rate and detections; events stay above it."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._done = 0
        self._bytes = 0
        self._times: list[float] = []

    def take(self, message: dict[str, Any], size: int) -> None:
        if message["type"] == "event":
            who = f" person {message['track_id']}" if message["track_id"] is not None else ""
            self._above(f"{time.strftime('%H:%M:%S')} {message['event']}{who}")
        elif message["type"] == "error":
            self._above(f"frame {message['frame']}: {message['message']}")
            self._done += 1
        elif message["type"] == "ack":
            self._done += 1
            self._bytes += size
            self._show(message)

    def _above(self, line: str) -> None:
        print(f"\r\033[K{line}" if sys.stdout.isatty() else line, flush=True)

    def _show(self, ack: dict[str, Any]) -> None:
        self._times = [*self._times[-30:], time.monotonic()]
        seconds = self._times[-1] - self._times[0]
        fps = (len(self._times) - 1) / seconds if seconds else 0.0
        labels = [seen["label"] for seen in ack["detections"]]
        seen = ", ".join(f"{labels.count(label)} {label}" for label in sorted(set(labels)))
        line = (
            f"{self._bar()} {fps:4.1f}/s {ack['timing']['total_ms']:5.0f} ms  {seen or 'nothing'}"
        )
        if sys.stdout.isatty():
            print(f"\r\033[K{line}", end="", flush=True)
        elif self._done % 50 == 1 or self._done == self._total:
            print(line, flush=True)

    def _bar(self) -> str:
        if not self._total:
            return f"{self._done} frames, {self._bytes / 2**20:.1f} MiB"
        share = (self._done - 1) % self._total + 1
        full = round(BAR * share / self._total)
        return f"[{'█' * full}{'·' * (BAR - full)}] {share}/{self._total}"


def leave(why: str) -> NoReturn:
    sys.exit(why)


if __name__ == "__main__":
    main()
