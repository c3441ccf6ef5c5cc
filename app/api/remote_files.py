"""Films that are on the nodes of a cluster: what there is, and downloads in bounded pieces."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.errors import BadRange, InvalidRequest, NodeGone
from app.footage import Footage, Period
from app.pipeline.directory import StreamDirectory
from app.pipeline.elsewhere import FilesOfNode
from app.recording.footage_export import pieces_of
from app.recording.footage_service import FootageService

PIECE = 512 * 1024
MOVES = "the recordings are on another node from {at} on; ask for them in two parts"


async def of_stream(
    footage: FootageService, streams: StreamDirectory, stream_id: str, period: Period
) -> list[Footage]:
    """What is recorded of a stream in a period, in order, with the segment that grows.

    Raises StoreError. A node that does not answer leaves out only the segment that grows.
    """
    found = await asyncio.to_thread(footage.of_stream, stream_id, period)
    node = streams.files.recording(stream_id)
    if node is None:
        return found
    try:
        known = {(one.node, one.path) for one in found}
        growing = await node.growing(stream_id, period)
        return [*found, *(one for one in growing if (one.node, one.path) not in known)]
    except NodeGone:
        return found


async def why_not_recorded(
    footage: FootageService, streams: StreamDirectory, stream_id: str
) -> str | None:
    """Why a stream that should be recorded is not; None if all is well."""
    node = streams.files.recording(stream_id)
    if node is not None:
        try:
            return await node.problem(stream_id)
        except NodeGone as error:
            return str(error)
    return await asyncio.to_thread(footage.problem, stream_id)


def only_node(found: Sequence[Footage], period: Period) -> str | None:
    """The node that has a period; None if it is on this machine.

    Raises:
        InvalidRequest: it is in two places, because the stream was moved.
    """
    pieces = pieces_of(found, period)
    first = pieces[0].footage.node
    for piece in pieces:
        if piece.footage.node != first:
            at = datetime.fromtimestamp(piece.period.begin_ts, UTC).isoformat(timespec="seconds")
            raise InvalidRequest(field="to", reason=MOVES.format(at=at))
    return first


class RemoteDownload(StreamingResponse):
    """A file of a node, or one part of it, passed on as it is there."""

    @classmethod
    async def open(
        cls,
        node: FilesOfNode,
        path: str,
        media_type: str,
        headers: Mapping[str, str],
        filename: str | None = None,
    ) -> RemoteDownload:
        """Begin a download. Raises NoFootage, NodeGone."""
        size = await node.size(path)
        named = dict(headers)
        if filename is not None:
            named["Content-Disposition"] = f"attachment; filename*=utf-8''{quote(filename)}"
        return cls(node, path, size, media_type, named)

    def __init__(
        self, node: FilesOfNode, path: str, size: int, media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(_nothing(), media_type=media_type, headers=headers)
        self._node, self._path, self._size = node, path, size
        self.headers["Accept-Ranges"] = "bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = dict(scope["headers"]).get(b"range", b"").decode("latin-1")
        begin, end = part_of(wanted, self._size) if wanted else (0, self._size)
        if wanted:
            self.status_code = 206
            self.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{self._size}"
        self.headers["Content-Length"] = str(end - begin)
        self.body_iterator = _nothing() if scope["method"] == "HEAD" else self._pieces(begin, end)
        await super().__call__(scope, receive, send)

    async def _pieces(self, begin: int, end: int) -> AsyncIterator[bytes]:
        while begin < end:
            piece = await self._node.piece(self._path, begin, min(PIECE, end - begin))
            if not piece:  # it was cut off: the length says so to the caller
                return
            begin += len(piece)
            yield piece


async def _nothing() -> AsyncIterator[bytes]:
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece


def part_of(wanted: str, size: int) -> tuple[int, int]:
    """The first byte of a ``Range`` header and the one after the last. Raises BadRange.

    Of several ranges the whole file is sent, as HTTP allows.
    """
    if "," in wanted:
        return 0, size
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted.strip(), re.ASCII)
    if found is None or not any(found.groups()):
        raise BadRange(bytes=size)
    first, last = found.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if begin >= end:
        raise BadRange(bytes=size)
    return begin, end
