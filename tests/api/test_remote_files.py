"""Downloads of files that are on nodes: ranges, bounded pieces, and what a lost node looks like."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api import errors
from app.api.remote_files import PIECE, RemoteDownload, only_node, part_of
from app.errors import BadRange, InvalidRequest, NodeGone
from app.footage import Footage, Period

pytestmark = pytest.mark.anyio
FILM = bytes(range(256)) * (PIECE // 100)


class Node:
    """One node's files; it dies after some pieces."""

    def __init__(self, pieces: int = 1000) -> None:
        self.left = pieces
        self.sizes: list[int] = []

    async def size(self, path: str) -> int:
        if self.left == 0:
            raise NodeGone(node="north-1")
        return len(FILM)

    async def piece(self, path: str, begin: int, size: int) -> bytes:
        if self.left == 0:
            raise NodeGone(node="north-1")
        self.left -= 1
        self.sizes.append(size)
        return FILM[begin : begin + size]


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def client(node: Node) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    errors.install(app)

    async def film() -> Any:
        files: Any = node
        return await RemoteDownload.open(files, "a.mp4", "video/mp4", {}, "gate 1.mp4")

    app.add_api_route("/film", film, methods=["GET", "HEAD"])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test"
    ) as client:
        yield client


async def test_a_film_is_passed_on_in_bounded_pieces(client: httpx.AsyncClient, node: Node) -> None:
    reply = await client.get("/film")
    assert (reply.status_code, reply.content) == (200, FILM)
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["content-disposition"] == "attachment; filename*=utf-8''gate%201.mp4"
    assert len(node.sizes) == -(-len(FILM) // PIECE)
    assert max(node.sizes) == PIECE


async def test_parts_and_headers_alone(client: httpx.AsyncClient, node: Node) -> None:
    reply = await client.get("/film", headers={"Range": "bytes=100-199"})
    assert (reply.status_code, reply.content) == (206, FILM[100:200])
    assert reply.headers["content-range"] == f"bytes 100-199/{len(FILM)}"
    reply = await client.head("/film")
    assert (reply.headers["content-length"], reply.content) == (str(len(FILM)), b"")
    assert node.sizes == [100]


async def test_a_wrong_range_says_how_long_the_file_is(client: httpx.AsyncClient) -> None:
    reply = await client.get("/film", headers={"Range": f"bytes={len(FILM)}-"})
    assert (reply.status_code, reply.json()["code"]) == (416, "BAD_RANGE")
    assert reply.headers["content-range"] == f"bytes */{len(FILM)}"


async def test_a_lost_node_is_said(client: httpx.AsyncClient, node: Node) -> None:
    node.left = 0
    reply = await client.get("/film")
    assert (reply.status_code, reply.json()["code"]) == (503, "NODE_GONE")
    assert "north-1" in reply.json()["message"]


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-", (0, 100)),
        ("bytes=90-200", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-200", (0, 100)),
        ("bytes=0-1,5-9", (0, 100)),
    ],
)
async def test_ranges(wanted: str, part: tuple[int, int]) -> None:
    assert part_of(wanted, 100) == part


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=9-2", "bytes=-", "bytes=-0", "lines=1-2"])
async def test_ranges_that_are_not_in_the_file(wanted: str) -> None:
    with pytest.raises(BadRange):
        part_of(wanted, 100)


async def test_recordings_on_two_nodes_are_asked_for_in_two_parts() -> None:
    def film(begin: float, node: str | None) -> Footage:
        return Footage("gate", "continuous", begin, begin + 10, f"{begin}.mp4", 1, node=node)

    period = Period(0, 100)
    assert only_node([film(0, "north"), film(10, "north")], period) == "north"
    assert only_node([film(0, None)], period) is None
    with pytest.raises(InvalidRequest, match="00:00:10"):
        only_node([film(0, "north"), film(10, "south")], period)
