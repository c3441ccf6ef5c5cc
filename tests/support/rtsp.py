"""A real RTSP server for tests, with publishers and readers.

The server (``rtsp_server.py`` beside this file) runs under the system Python, where GStreamer's
bindings are; everything here runs in the project's own environment. ``available()`` says why a
machine cannot run it, for a skip message.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import itertools
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self
from urllib.parse import quote, unquote, urlsplit

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

SERVER_SCRIPT = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = os.environ.get("RTSP_TEST_PYTHON", "/usr/bin/python3")
PROBE_GI = """
import gi
for name in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(name, "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
for name in ("rtph264depay", "rtph264pay", "h264parse", "appsrc", "appsink", "rtpbin"):
    assert Gst.ElementFactory.find(name), f"GStreamer has no {name}"
"""
STEP_S = 0.05
"""Pause between two looks while waiting for something."""


@functools.lru_cache(maxsize=1)
def available() -> str | None:
    """Why the server cannot run here, as text; None if it can."""
    for tool in ("ffmpeg", "ffprobe"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if shutil.which(SYSTEM_PYTHON) is None:
        return f"the system Python {SYSTEM_PYTHON} is not installed"
    done = subprocess.run(
        [SYSTEM_PYTHON, "-I", "-c", PROBE_GI], capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode == 0:
        return None
    why = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return f"the system Python cannot run GStreamer's RTSP server: {why[-1]}"


def with_login(url: str, user: str | None, password: str | None) -> str:
    """Put a user and password into an RTSP URL."""
    if user is None:
        return url
    login = f"{quote(user, safe='')}:{quote(password or '', safe='')}"
    return url.replace("rtsp://", f"rtsp://{login}@", 1)


def wait_until(true: Callable[[], bool], timeout: float, what: str) -> None:
    """Return once ``true()`` holds; raise TimeoutError with ``what`` if it does not in time."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout:g} s")
        time.sleep(STEP_S)


class Publisher:
    """An ffmpeg process that publishes a file in real time, without re-encoding."""

    def __init__(self, url: str, file: Path, *, loop: bool = True, transport: str = "tcp") -> None:
        """Start to publish ``file`` at ``url``, over and over unless ``loop`` is off."""
        self.url = url
        self._log = _new_log()
        weakref.finalize(self, self._log.close)  # it is read after the end of the process, too
        self.process = subprocess.Popen(
            [
                *("ffmpeg", "-nostdin", "-loglevel", "warning", "-re"),
                *(("-stream_loop", "-1") if loop else ()),
                *("-i", str(file), "-map", "0:v:0", "-c", "copy"),
                *("-f", "rtsp", "-rtsp_transport", transport, url),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )

    @property
    def running(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def log(self) -> str:
        """Return what ffmpeg has written so far."""
        return _content(self._log)

    def stop(self, timeout: float = 5) -> None:
        """End the process as a user would (SIGTERM, so that it tears its session down)."""
        self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """End the process without a goodbye (SIGKILL)."""
        self._end(signal.SIGKILL, 5)

    def _end(self, number: signal.Signals, timeout: float) -> None:
        if self.running:
            self.process.send_signal(number)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Self:
        """Use the publisher for the length of a ``with`` block."""
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """End the process."""
        self.stop()


class RtspServer:
    """An RTSP server process on a port that it keeps over restarts."""

    def __init__(
        self,
        *,
        user: str | None = None,
        password: str | None = None,
        auth: Literal["basic", "digest"] = "basic",
        serve: dict[str, Path] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Describe a server: its login if it asks for one, and the files it serves by path."""
        self.user = user
        self.password = password
        self.auth = auth
        self.serve = dict(serve or {})
        self.host = host
        self.port = port
        self.process: subprocess.Popen[str] | None = None
        self._log = _new_log()
        weakref.finalize(self, self._log.close)  # it is read after the end of the process, too
        self._publishers: list[Publisher] = []

    def start(self, timeout: float = 15) -> Self:
        """Start the server (again), wait until it accepts, and until it serves its files."""
        if self.running:
            return self
        self.process = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            encoding="utf-8",
            start_new_session=True,
        )
        deadline = time.monotonic() + timeout
        self.port = self._announced_port()
        for path in self.serve:
            self.wait_published(path, max(0.0, deadline - time.monotonic()))
        return self

    def stop(self, timeout: float = 5) -> int:
        """Stop the server and its publishers; return the server's exit status."""
        for publisher in self._publishers:
            publisher.stop()
        self._publishers.clear()
        if self.process is None:
            return 0
        if self.running:
            self._signal(signal.SIGCONT)
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
        return self._reap()

    def kill(self) -> None:
        """Kill the server at once (SIGKILL); ``start()`` brings it back on the same port."""
        self._reap()

    def pause(self) -> None:
        """Freeze the server: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether the process runs, frozen or not."""
        return self.process is not None and self.process.poll() is None

    def url(self, path: str, user: str | None = None, password: str | None = None) -> str:
        """Return the URL of a path, with a login only if one is given."""
        return with_login(f"rtsp://{self.host}:{self.port}/{path.lstrip('/')}", user, password)

    def own_url(self, path: str) -> str:
        """Return the URL of a path, with the login that this server asks for, if any."""
        return self.url(path, self.user, self.password)

    def publish_file(
        self, path: str, file: Path, *, loop: bool = True, transport: str = "tcp"
    ) -> Publisher:
        """Publish a file at a path and wait until it can be read; ``stop()`` ends it too."""
        before = self._times_published(path)
        publisher = Publisher(self.own_url(path), file, loop=loop, transport=transport)
        self._publishers.append(publisher)
        try:
            wait_until(lambda: self._times_published(path) > before, 10, f"publishing {path}")
        except TimeoutError as error:
            publisher.kill()
            raise TimeoutError(f"{error}; ffmpeg says: {publisher.log()!r}") from None
        return publisher

    def wait_published(self, path: str, timeout: float = 10) -> None:
        """Wait until somebody publishes a path."""
        wait_until(lambda: self._status(path) == 200, timeout, f"publishing {path}")

    def wait_gone(self, path: str, timeout: float = 10) -> None:
        """Wait until nobody publishes a path."""
        wait_until(lambda: self._status(path) == 404, timeout, f"the end of {path}")

    def log(self) -> str:
        """Return what the server has written to stderr over all its starts."""
        return _content(self._log)

    def _times_published(self, path: str) -> int:
        """Count how often a path came to life, to tell a new publisher from one just ended."""
        line = f"published /{path.partition('?')[0].strip('/')}"
        return self.log().splitlines().count(line)

    def _status(self, path: str) -> int:
        return describe_status(self.own_url(path))

    def _command(self) -> list[str]:
        command = [SYSTEM_PYTHON, "-I", str(SERVER_SCRIPT)]
        command += ["--host", self.host, "--port", str(self.port), "--die-with-parent"]
        if self.user is not None:
            command += ["--user", self.user, "--password", self.password or ""]
            command += ["--auth", self.auth]
        for path, file in self.serve.items():
            command += ["--serve", f"{path}={file}"]
        return command

    def _announced_port(self) -> int:
        """Read the port from the server's first line; it ends its output if it cannot listen."""
        assert self.process is not None and self.process.stdout is not None
        line = self.process.stdout.readline()
        word, _, port = line.strip().partition(" ")
        if word != "listening":
            self._reap()
            raise RuntimeError(f"the RTSP server did not start: {self.log().strip()}")
        return int(port)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and to its own children."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def _reap(self) -> int:
        """Kill what is left of the process group and return the server's exit status."""
        if self.process is None:
            return 0
        self._signal(signal.SIGKILL)
        status = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        return status

    def __enter__(self) -> Self:
        """Start the server for the length of a ``with`` block."""
        return self.start()

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()


def _new_log() -> IO[bytes]:
    """Make an unnamed file for a child process to write to."""
    return tempfile.TemporaryFile()


def _content(file: IO[bytes]) -> str:
    """Read all of a file that a child process writes to, and leave its position alone."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")


def describe_status(url: str, timeout: float = 2) -> int:
    """Ask an RTSP server to describe a URL and return its status code; 0 if nothing answers."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    try:
        address = (parts.hostname or "127.0.0.1", parts.port or 554)
        with socket.create_connection(address, timeout) as connection:
            status, challenge = _describe(connection, bare, "")
            if status == 401 and parts.username is not None:
                login = (unquote(parts.username), unquote(parts.password or ""))
                status, _ = _describe(connection, bare, _authorization(challenge, bare, *login))
    except OSError:
        return 0
    return status


def _describe(connection: socket.socket, url: str, authorization: str) -> tuple[int, str]:
    """Send one DESCRIBE; return the status and the login challenge of the answer's head."""
    lines = [f"DESCRIBE {url} RTSP/1.0", "CSeq: 1", "Accept: application/sdp"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    reply = connection.makefile("rb")
    _, status, *_ = reply.readline().split() or (b"", b"0")
    challenge = ""
    while line := reply.readline().decode(errors="replace").strip():
        name, _, value = line.partition(":")
        if name.lower() == "www-authenticate":
            challenge = value.strip()
    return int(status), challenge


def _authorization(challenge: str, url: str, user: str, password: str) -> str:
    """Answer a Basic or Digest challenge for a DESCRIBE of ``url``."""
    if not challenge.lower().startswith("digest"):
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm, nonce = given.get("realm", ""), given.get("nonce", "")

    def md5(*words: str) -> str:
        return hashlib.md5(":".join(words).encode(), usedforsecurity=False).hexdigest()

    response = md5(md5(user, realm, password), nonce, md5("DESCRIBE", url))
    fields = {"username": user, **given, "uri": url, "response": response}
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in fields.items())


def probe(url: str, timeout: float = 15) -> dict[str, Any]:
    """Describe a stream or file through ffprobe: ``streams`` and ``format``.

    Raises RuntimeError with ffprobe's message (``... 404 Not Found``) when it cannot be read.
    """
    transport = ["-rtsp_transport", "tcp"] if url.startswith("rtsp:") else []
    done = subprocess.run(
        [
            *("ffprobe", "-loglevel", "error", *transport),
            *("-show_streams", "-show_format", "-of", "json", url),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"ffprobe exit status {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def read_frames(url: str, count: int, timeout: float = 15, transport: str = "tcp") -> list[Picture]:
    """Read ``count`` decoded frames from an RTSP URL as BGR pictures.

    Raises TimeoutError if they do not come in time, and PyAV's own errors (av.FFmpegError) if the
    stream cannot be opened or breaks off; EOFError if it ends early.
    """
    deadline = time.monotonic() + timeout
    frames: list[Picture] = []
    for frame in iter_frames(url, timeout, transport):
        frames.append(frame)
        if len(frames) == count:
            return frames
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(frames)} of {count} frames within {timeout:g} s")
    raise EOFError(f"the stream ended after {len(frames)} of {count} frames")


def iter_frames(url: str, timeout: float = 15, transport: str = "tcp") -> Iterator[Picture]:
    """Read frames as BGR pictures until the stream ends; ``timeout`` bounds every single wait."""
    options = {"rtsp_transport": transport} if url.startswith("rtsp:") else {}
    with av.open(url, options=options, timeout=timeout) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)


def pattern(size: tuple[int, int], phase: float) -> Picture:
    """Draw the moving test pattern of ``size`` (width, height) at ``phase`` (0 to 1, periodic)."""
    width, height = size
    x = np.arange(width)[None, :]
    y = np.arange(height)[:, None]
    shift = phase * 256
    blue = (x * 256 // width + shift) % 256
    green = (y * 256 // height + shift) % 256
    red = ((x // 32 + y // 32) % 2) * 96 + 64
    image = np.stack(np.broadcast_arrays(blue, green, red), axis=-1).astype(np.uint8)
    bar = int(phase * width)
    image[:, bar : bar + max(2, width // 40)] = 255
    return image


def paste_moving(image: Picture, picture: Picture, phase: float) -> tuple[int, int]:
    """Paste ``picture`` where it is at ``phase`` of its slow round; return its left and top."""
    spare_y = image.shape[0] - picture.shape[0]
    spare_x = image.shape[1] - picture.shape[1]
    if spare_x < 0 or spare_y < 0:
        raise ValueError(f"a picture of {picture.shape[:2]} does not fit {image.shape[:2]}")
    left = round(spare_x * (1 + math.cos(2 * math.pi * phase)) / 2)
    top = round(spare_y * (1 + math.sin(2 * math.pi * phase)) / 2)
    image[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return left, top


def make_video(
    path: Path,
    size: tuple[int, int] = (640, 360),
    fps: int = 15,
    seconds: float = 4,
    picture: Picture | None = None,
    *,
    gop: int | None = None,
    bit_rate: int = 2_000_000,
    encoder: str = "libx264",
) -> Path:
    """Make an H.264 file of a moving pattern that loops smoothly, and return its path.

    ``picture`` (BGR) moves slowly over the pattern, as ``paste_moving`` places it. A keyframe
    comes every ``gop`` frames, every second unless told. There are no B-frames, as from a camera.
    """
    count = round(fps * seconds)

    def draw(index: int) -> Picture:
        image = pattern(size, index / count)
        if picture is not None:
            paste_moving(image, picture, index / count)
        return image

    images = (draw(index) for index in range(count))
    with av.open(str(path), "w") as container:
        write_frames(
            container, images, size, fps, gop=gop or fps, bit_rate=bit_rate, encoder=encoder
        )
    return path


def write_frames(
    container: av.container.OutputContainer,
    images: Iterator[Picture],
    size: tuple[int, int],
    fps: int,
    *,
    gop: int,
    bit_rate: int = 2_000_000,
    realtime: bool = False,
    encoder: str = "libx264",
) -> None:
    """Encode BGR pictures into an open file or RTSP publication, at most in real time if asked."""
    stream = container.add_stream(encoder, rate=fps)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
    stream.bit_rate = bit_rate
    stream.gop_size = gop
    stream.options = {"preset": "veryfast", "tune": "zerolatency", "bf": "0", "sc_threshold": "0"}
    if encoder == "libx265":
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
    start = time.monotonic()
    for index in itertools.count():
        if realtime:
            time.sleep(max(0.0, start + index / fps - time.monotonic()))
        image = next(images, None)
        if image is None:
            break
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts = index
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
