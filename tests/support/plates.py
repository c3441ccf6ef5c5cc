"""Drawn plates, and a server with Claude's Messages API."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import numpy.typing as npt

from app.models.plates.photo import to_jpeg

Image = npt.NDArray[np.uint8]


def plate(text: str, *lines: str, height: int = 70) -> Image:
    """A white plate with black letters; further texts are below the first."""
    rows = []
    for line in (text, *lines):
        (width, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 1.8, 5)
        row = np.full((height, width + 40, 3), 245, np.uint8)
        cv2.putText(row, line, (20, height - 15), cv2.FONT_HERSHEY_SIMPLEX, 1.8, (10, 10, 10), 5)
        rows.append(row)
    widest = max(row.shape[1] for row in rows)
    whole = [
        cv2.copyMakeBorder(
            row, 0, 0, 0, widest - row.shape[1], cv2.BORDER_CONSTANT, value=(245, 245, 245)
        )
        for row in rows
    ]
    framed = cv2.copyMakeBorder(
        np.vstack(whole), 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=(20, 20, 20)
    )
    return np.asarray(framed, np.uint8)


def photo(*plates: Image, size: tuple[int, int] = (960, 540), turn: float = 0.0) -> Image:
    """A grey scene with plates side by side, rotated by an angle in degrees."""
    scene = np.full((size[1], size[0], 3), 110, np.uint8)
    scene += np.random.default_rng(0).integers(0, 12, scene.shape, np.uint8)
    left = 80
    for each in plates:
        height, width = each.shape[:2]
        scene[200 : 200 + height, left : left + width] = each
        left += width + 100
    middle = size[0] / 2, size[1] / 2
    matrix = cv2.getRotationMatrix2D(middle, turn, 1.0)
    return np.asarray(cv2.warpAffine(scene, matrix, size, borderValue=(110, 110, 110)), np.uint8)


def photo_jpeg(*texts: str) -> bytes:
    return to_jpeg(photo(*(plate(text) for text in texts)))


@dataclass
class Messages:
    """The scripted replies of the service, and the requests that it got.

    Attributes:
        answers: (status, body) in order; the last one is repeated.
        asked: bodies and headers of the requests.
    """

    url: str
    answers: list[tuple[int, object]]
    delay_s: float = 0.0
    asked: list[tuple[dict[str, object], dict[str, str]]] = field(default_factory=list)

    def says(self, number: str, *, readable: bool = True) -> None:
        self.answers = [(200, message(number, readable=readable))]


def message(number: str, *, readable: bool = True) -> dict[str, object]:
    report = {"readable": readable, "number": number}
    block = {"type": "tool_use", "id": "toolu_1", "name": "report_plate", "input": report}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [block],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 321, "output_tokens": 12},
    }


@contextmanager
def messages_api() -> Iterator[Messages]:
    """A server on this machine; point ``ANTHROPIC_BASE_URL`` at its ``url``."""
    service: Messages

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            service.asked.append((body, {k.lower(): v for k, v in self.headers.items()}))
            time.sleep(service.delay_s)
            answers = service.answers
            status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            with suppress(BrokenPipeError):  # do not wait for slow requests
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = Messages(f"http://127.0.0.1:{server.server_port}", [(200, message("A123BC"))])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
