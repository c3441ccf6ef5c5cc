"""A normal client of a stream's WebSocket, and raw ones that misbehave."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
from contextlib import ExitStack
from typing import Any, Self

import cv2
import numpy as np
from websockets.sync.client import ClientConnection, connect

from app.api.ws_messages import LiveMessage
from support.rtsp import Picture
from support.watchpost import Server, clear_view

PATIENCE_S = 30.0


def encode(picture: Picture, kind: str = "jpg", quality: int = 85) -> bytes:
    """An image encoded as jpg, png or webp."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == "jpg" else []
    done, data = cv2.imencode(f".{kind}", picture, flags)
    assert done
    return data.tobytes()


def data_url(data: bytes, media_type: str = "image/jpeg") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def plain(width: int = 320, height: int = 240, shade: int = 90) -> bytes:
    """A small empty JPEG."""
    return encode(np.full((height, width, 3), shade, np.uint8))


def request(server: Server, **body: object) -> str:
    """A new push stream's id."""
    if body.get("blur") == "off":
        body |= clear_view()
    reply = server.http.post("/stream/request", json=body or None)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["stream_id"])


class Live:
    """A client that checks every message against the documented schema."""

    def __init__(self, server: Server, stream_id: str, query: str = "", **options: Any) -> None:
        self.stream_id = stream_id
        url = f"ws://127.0.0.1:{server.port}/ws/stream/{stream_id}{query}"
        headers = {"Accept-Language": "en"}
        given = {"additional_headers": headers, "compression": None, "proxy": None, **options}
        self._open = ExitStack()
        self.socket: ClientConnection = self._open.enter_context(connect(url, **given))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def send(self, message: str | bytes) -> None:
        self.socket.send(message)

    def next(self, within: float = PATIENCE_S) -> dict[str, Any]:
        """The next JSON message."""
        text = self.socket.recv(timeout=within)
        assert isinstance(text, str), f"a binary message of {len(text)} bytes"
        LiveMessage.model_validate_json(text)
        message: dict[str, Any] = json.loads(text)
        assert message["version"] == 1
        return message

    def until(self, *types: str, within: float = PATIENCE_S) -> dict[str, Any]:
        """The next message of one of these types; others are skipped."""
        deadline = time.monotonic() + within  # others may come for ever
        while (message := self.next(max(0, deadline - time.monotonic())))["type"] not in types:
            pass
        return message

    def picture(self) -> bytes:
        """The next message, which must be binary."""
        data = self.socket.recv(timeout=PATIENCE_S)
        assert isinstance(data, bytes), data
        return data

    def push(self, message: str | bytes) -> dict[str, Any]:
        """Send a frame and wait for its answer."""
        self.send(message)
        return self.until("ack", "error", "dropped")


def raw(server: Server, stream_id: str, query: str = "", receive_buffer: int = 0) -> socket.socket:
    """A TCP connection after the WebSocket handshake."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(("127.0.0.1", server.port))
    connection.settimeout(PATIENCE_S)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET /ws/stream/{stream_id}{query} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    reply = b""
    while not reply.endswith(b"\r\n\r\n"):
        more = connection.recv(1)
        assert more, f"closed after {reply!r}"
        reply += more
    assert reply.startswith(b"HTTP/1.1 101"), reply
    return connection


def frame_start(length: int) -> bytes:
    """The head of a masked binary message of that length (RFC 6455, 5.2); the mask is zero."""
    return struct.pack(">BBQ", 0x82, 0x80 | 127, length) + bytes(4)


def reset(connection: socket.socket) -> None:
    """Reset the connection (TCP RST)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
