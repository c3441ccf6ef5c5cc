"""The line in which uploads wait: its order, its limits, and what a refused one gets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from fixtures import running
from support.plates import photo_jpeg

from app.anpr.service import PlateService
from app.api.upload_queue import UploadQueue
from app.config import PlateSettings, Settings
from app.errors import DetectorError, DetectorLate, TooManyUploads
from app.main import create_app

pytestmark = pytest.mark.anyio


async def _upload(queue: UploadQueue, number: int, done: list[int], takes_s: float = 0.01) -> None:
    async with queue.place(), queue.turn():
        await asyncio.sleep(takes_s)
        done.append(number)


async def test_uploads_are_read_in_the_order_in_which_they_come() -> None:
    queue, done = UploadQueue(lambda: 2, 20, 5.0), list[int]()
    await asyncio.gather(*(_upload(queue, number, done) for number in range(20)))
    assert done == list(range(20))


async def test_an_upload_that_finds_too_many_is_refused_and_told_when_to_come_again() -> None:
    queue, done = UploadQueue(lambda: 1, 1, 5.0), list[int]()
    replies = await asyncio.gather(
        *(_upload(queue, number, done, 0.1) for number in range(4)), return_exceptions=True
    )
    refused = [reply for reply in replies if isinstance(reply, TooManyUploads)]
    assert done == [0, 1]
    assert len(refused) == 2
    assert all(int(str(error.details["retry_after_s"])) >= 1 for error in refused)
    await _upload(queue, 5, done)
    assert done == [0, 1, 5]


async def test_an_upload_does_not_wait_for_ever() -> None:
    queue, done = UploadQueue(lambda: 1, 5, 0.05), list[int]()
    replies = await asyncio.gather(
        _upload(queue, 0, done, 0.5), _upload(queue, 1, done), return_exceptions=True
    )
    assert done == [0]
    assert isinstance(replies[1], TooManyUploads)
    await _upload(queue, 2, done)
    assert done == [0, 2]


async def test_more_are_read_at_the_same_time_once_more_can_be() -> None:
    places, reading, most = 1, 0, 0
    queue = UploadQueue(lambda: places, 20, 5.0)

    async def upload() -> None:
        nonlocal reading, most
        async with queue.place(), queue.turn():
            reading += 1
            most = max(most, reading)
            await asyncio.sleep(0.01)
            reading -= 1

    await asyncio.gather(*(upload() for _ in range(3)))
    assert most == 1
    uploads = [asyncio.create_task(upload()) for _ in range(12)]
    await asyncio.sleep(0.03)
    places = 4
    await asyncio.gather(*uploads)
    assert most == 4
    places, most = 2, 0
    await asyncio.gather(*(upload() for _ in range(6)))
    assert most == 2


@pytest.mark.parametrize("has_come", [False, True])
async def test_the_turn_of_an_upload_that_is_cancelled_is_another_ones(has_come: bool) -> None:
    queue, done = UploadQueue(lambda: 1, 20, 5.0), list[int]()
    go_on = asyncio.Event()

    async def first() -> None:
        async with queue.turn():
            await go_on.wait()

    reads = asyncio.create_task(first())
    waits = asyncio.create_task(_upload(queue, 1, done))
    await asyncio.sleep(0.01)
    if has_come:
        go_on.set()
        await reads  # the other's turn has come, but it has not run yet
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    go_on.set()
    await reads
    await asyncio.wait_for(_upload(queue, 2, done), 1.0)
    assert done == [2]


async def test_the_longer_uploads_take_the_longer_others_wait() -> None:
    queue = UploadQueue(lambda: 1, 0, 5.0)
    waits = []
    for takes_s in (0.0, 6.0):
        queue._mean_s = takes_s
        async with queue.place():
            with pytest.raises(TooManyUploads) as refused:
                async with queue.place():
                    pass
        waits.append(refused.value.details["retry_after_s"])
    assert waits == [1, 6]


async def test_a_refused_upload_gets_429_with_retry_after(tmp_path: Path) -> None:
    plates = PlateSettings(max_waiting=0)
    settings = Settings(_env_file=None, data_dir=tmp_path, plates=plates)
    async with running(create_app(settings)) as served, served.client() as client:
        file = {"file": ("car.jpg", photo_jpeg("PJY5472"), "image/jpeg")}
        replies = await asyncio.gather(*(client.post("/api/upload", files=file) for _ in range(12)))
        statuses = {reply.status_code for reply in replies}
        assert statuses == {200, 429}
        for reply in replies:
            if reply.status_code == 429:
                assert reply.json()["code"] == "TOO_MANY_UPLOADS"
                assert int(reply.headers["Retry-After"]) >= 1
        assert (await client.post("/api/upload", files=file)).status_code == 200


@pytest.mark.parametrize(
    ("failure", "code", "retry"),
    [
        (DetectorLate("Plate reading"), "DETECTOR_LATE", "2"),
        (DetectorError(network="plate_text", reason="invalid output"), "DETECTOR_FAILED", None),
    ],
)
async def test_a_network_that_fails_or_is_late_is_a_503_and_in_the_log(
    failure: DetectorError,
    code: str,
    retry: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(PlateService, "upload", fail)
    settings = Settings(_env_file=None, data_dir=tmp_path)
    async with running(create_app(settings)) as served, served.client() as client:
        reply = await client.post("/api/upload", files={"file": ("car.jpg", photo_jpeg("A"))})
    assert (reply.status_code, reply.json()["code"]) == (503, code)
    assert reply.headers.get("Retry-After") == retry
    assert f"POST /api/upload: {failure}" in caplog.text
