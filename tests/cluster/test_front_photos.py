"""Uploads that nodes read: which node, and what happens when it does not answer."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ParamSpec, cast

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'watchpost[cluster]'")

from ray.exceptions import RayActorError
from support.local_ray import LocalRay, local_front
from support.plates import photo_jpeg

from app.anpr.files import PlateFiles
from app.anpr.photos import PhotoReader
from app.anpr.service import PlateService
from app.cluster import front_photos
from app.cluster.front_photos import FrontPhotos
from app.cluster.nodes import ClusterNodes
from app.cluster.remote_node import RemoteNode
from app.cluster.streams import ClusterStreams
from app.config import PlateSettings, Settings
from app.db.engine import open_database
from app.db.plates import PlateRepository
from app.errors import (
    BadUpload,
    DetectorError,
    NotAnImage,
    NotReady,
    TooManyUploads,
    WatchpostError,
)
from app.models.plates.reader import PlateReader, ReadPlate
from app.pipeline.node_load import NodeLoad
from app.plates import PlateRead
from app.types import Box

P = ParamSpec("P")
PATIENCE_S = 60.0
PHOTO = photo_jpeg("PJY5472")


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on an event loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


# ── which node ───────────────────────────────────────────────────────────────────────────────


class Node:
    """Stands in for a ``RemoteNode``: what it answers, and how often it was asked."""

    def __init__(self, name: str, cpus: int = 1, load_1m: float = 0.0) -> None:
        self.name = name
        self.report: object | None = object()
        self.load = NodeLoad(cpus, 0.0, load_1m, None, 0, 0, 0, 0, 0)
        self.asked = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.failure: WatchpostError | None = None

    async def send(self, method: str, photo: bytes, *, timeout_s: float) -> list[ReadPlate]:
        assert (method, photo) == ("read_photo", PHOTO)
        assert timeout_s > 0
        self.asked += 1
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        read = PlateRead(self.name, 0.9, Box(1, 2, 3, 4))
        return [ReadPlate(read, np.zeros((8, 16, 3), np.uint8))]


def photos_of(*nodes: Node, avoided: set[str] | None = None, coreless: str = "") -> FrontPhotos:
    known = SimpleNamespace(
        items=lambda: [(node.name, node) for node in nodes],
        avoided=avoided or set(),
        has_cores=lambda node_id: node_id != coreless,
    )

    def load(node: RemoteNode) -> NodeLoad:
        return cast(Node, node).load

    return FrontPhotos(cast(ClusterNodes, known), load)


async def reader_of(photos: FrontPhotos) -> str | None:
    """The name of the node that reads a photo."""
    plates = await photos.read(PHOTO)
    return None if plates is None else plates[0].read.text


@on_a_loop
async def test_nodes_get_as_many_photos_as_they_have_cores_and_the_front_the_rest() -> None:
    large, small = Node("large", cpus=4), Node("small")
    photos = photos_of(large, small)
    assert photos.at_once() == 5
    for node in (large, small):
        node.go_on.clear()
    reads = [asyncio.create_task(reader_of(photos)) for _ in range(6)]
    await asyncio.sleep(0.01)
    assert (large.asked, small.asked) == (4, 1)
    assert [await one for one in reads if one.done()] == [None]
    for node in (large, small):
        node.go_on.set()
    assert sorted(map(str, await asyncio.gather(*reads))) == ["None", *["large"] * 4, "small"]
    assert await reader_of(photos) == "large"  # all places are free again


@on_a_loop
async def test_the_machine_with_less_to_do_for_its_cores_reads_first() -> None:
    assert await reader_of(photos_of(Node("a", 2, load_1m=3.0), Node("b", 8, 4.0))) == "b"
    assert await reader_of(photos_of(Node("a", 2, load_1m=0.5), Node("b", 8, 4.0))) == "a"


@on_a_loop
async def test_nodes_that_are_emptied_have_no_cores_or_do_not_answer_read_nothing() -> None:
    emptied, coreless, silent = Node("emptied"), Node("coreless"), Node("silent")
    silent.report = None
    photos = photos_of(emptied, coreless, silent, avoided={"emptied"}, coreless="coreless")
    assert photos.at_once() == 0
    assert await reader_of(photos) is None
    assert (emptied.asked, coreless.asked, silent.asked) == (0, 0, 0)


@on_a_loop
@pytest.mark.parametrize(
    "failure",
    [
        NotReady(reason="Node a does not answer."),
        TooManyUploads(retry_after_s=1),
        DetectorError(network="plate_text", reason="invalid output"),
    ],
)
async def test_another_node_reads_what_one_does_not(failure: WatchpostError) -> None:
    failing, other, third = Node("failing"), Node("other", load_1m=1.0), Node("third", load_1m=2.0)
    failing.failure = failure
    photos = photos_of(failing, other, third)
    assert await reader_of(photos) == "other"
    other.failure = failure
    photos = photos_of(failing, other, third)
    assert await reader_of(photos) is None  # the front does it, instead of one node after the other
    assert third.asked == 0


@on_a_loop
async def test_a_node_that_did_not_answer_is_asked_again_once_it_has_reported() -> None:
    node = Node("a")
    node.failure = NotReady(reason="Node a does not answer.")
    photos = photos_of(node)
    assert await reader_of(photos) is None
    node.failure = None
    assert await reader_of(photos) is None
    assert (node.asked, photos.at_once()) == (1, 0)
    node.report = object()
    assert await reader_of(photos) == "a"


@on_a_loop
async def test_what_is_no_image_is_refused_at_once() -> None:
    first, second = Node("first"), Node("second", load_1m=1.0)
    first.failure = NotAnImage()
    photos = photos_of(first, second)
    with pytest.raises(NotAnImage):
        await photos.read(PHOTO)
    assert second.asked == 0
    assert photos.at_once() == 2


# ── with the actors of nodes ─────────────────────────────────────────────────────────────────


@pytest.fixture(autouse=True)
def data_of_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHPOST_DATA_DIR", str(tmp_path / "nodes"))


class Unused:
    """Stands in for the front's networks."""

    read_photos = 0

    def read(self, _: object) -> list[ReadPlate]:
        self.read_photos += 1
        return []


class Front:
    """A front that stores uploads in a database."""

    def __init__(self, folder: Path, streams: ClusterStreams, ray: LocalRay) -> None:
        self.streams = streams
        self.ray = ray
        self.own = Unused()
        self.rows = PlateRepository(
            open_database(Settings(data_dir=folder).resolved_database_url())
        )
        own = PhotoReader(cast(PlateReader, self.own), 50_000_000, 2)
        self.plates = PlateService(PlateSettings(), own, None, self.rows, PlateFiles(folder))
        self.plates.elsewhere = streams.photos

    async def rounds(self, until: Callable[[], bool]) -> None:
        async def look() -> None:
            while not until():
                await self.streams.rounds.step()
                await asyncio.sleep(0.05)

        await asyncio.wait_for(look(), PATIENCE_S)

    async def joined(self) -> None:
        await self.rounds(lambda: len(self.streams.photos._usable()) == len(self.ray.alive))

    async def upload(self) -> list[str]:
        return [one.plate_number for one in (await self.plates.upload("car.jpg", PHOTO)).plates]

    def stored(self) -> int:
        return self.rows.sessions(0, 100)[1]

    def photos_of(self, node_id: str) -> PhotoReader:
        opening = self.ray.actor_of(node_id)._opening
        assert opening is not None
        photos = opening.result().photos
        assert photos is not None
        return photos

    def read_by(self, node_id: str) -> int:
        return self.photos_of(node_id).read_photos


def first_asked(front: Front, answers: Callable[[], Awaitable[object]]) -> list[str]:
    """Let the node that is asked first wait for something before it answers; returns its id."""
    found: list[str] = []

    async def late(node_id: str, working: Any, photo: bytes) -> object:
        if not found:
            found.append(node_id)
        if found == [node_id]:
            await answers()
        return await working(photo)

    for node_id in front.ray.alive:
        actor: Any = front.ray.actor_of(node_id)
        actor.read_photo = functools.partial(late, node_id, actor.read_photo)
    return found


@on_a_loop
async def test_a_node_reads_what_the_server_itself_would(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"a": 1}) as (streams, ray):
        front = Front(tmp_path, streams, ray)
        await front.joined()
        assert await front.upload() == ["PJY5472"]
        own = await front.photos_of("a").read(PHOTO, 0.0)
        (here,), (there,) = own, await streams.photos.read(PHOTO) or []
        assert here.read == there.read
        assert np.array_equal(here.crop, there.crop)
        assert (front.own.read_photos, front.stored()) == (0, 1)
        for data, error in ((b"", BadUpload), (b"GIF89a", NotAnImage), (PHOTO[:900], BadUpload)):
            with pytest.raises(error) as refused:
                await front.plates.upload("car.jpg", data)
            assert type(refused.value) is error
        assert (front.own.read_photos, front.stored()) == (0, 1)
        await front.rounds(lambda: [one.load and one.load.photos for one in streams.nodes()] == [3])


@on_a_loop
async def test_a_photo_that_is_answered_too_late_is_read_elsewhere_and_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_photos, "READ_TIMEOUT_S", 5.0)
    async with local_front(tmp_path, {"a": 1, "b": 1}) as (streams, ray):
        front = Front(tmp_path, streams, ray)
        await front.joined()
        for node_id in ("a", "b"):  # the first one takes longer
            await front.photos_of(node_id).read(PHOTO, 0.0)
        go_on = asyncio.Event()
        hangs = first_asked(front, go_on.wait)
        for _ in range(4):  # after the first one, it is not asked before it has reported
            assert await front.upload() == ["PJY5472"]
        go_on.set()
        reads = ({"a", "b"} - set(hangs)).pop()
        assert (front.stored(), front.own.read_photos, front.read_by(reads)) == (4, 0, 5)
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while front.read_by(hangs[0]) < 2:  # it answers after all, to nobody
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)
        assert front.stored() == 4


@on_a_loop
async def test_a_photo_of_a_node_that_is_lost_is_read_on_another_and_stored_once(
    tmp_path: Path,
) -> None:
    async with local_front(tmp_path, {"a": 1, "b": 1}) as (streams, ray):
        front = Front(tmp_path, streams, ray)
        await front.joined()
        began, lost = asyncio.Event(), asyncio.Event()

        async def until_lost() -> None:
            began.set()
            await lost.wait()
            raise RayActorError

        dead = first_asked(front, until_lost)
        upload = asyncio.create_task(front.upload())
        await began.wait()
        lost.set()
        assert await upload == ["PJY5472"]
        assert (front.stored(), front.own.read_photos) == (1, 0)
        assert front.read_by(dead[0]) == 0
        assert await front.upload() == ["PJY5472"]
        del ray.alive["a"], ray.alive["b"]
        await streams.rounds.step()
        await front.upload()
        assert (front.stored(), front.own.read_photos) == (3, 1)


@on_a_loop
async def test_a_node_that_is_emptied_reads_no_photo(tmp_path: Path) -> None:
    async with local_front(tmp_path, {"a": 1, "b": 1}) as (streams, ray):
        front = Front(tmp_path, streams, ray)
        await front.joined()
        await streams.drain("a", drain=True)
        for _ in range(4):
            assert await front.upload() == ["PJY5472"]
        assert (front.read_by("a"), front.read_by("b")) == (0, 4)
        emptied = streams._nodes.get("a")
        assert emptied is not None
        with pytest.raises(NotReady):  # also for a front that does not know
            await emptied.send("read_photo", PHOTO, timeout_s=PATIENCE_S)
        assert front.stored() == 4
