"""All WebSockets: a client that does not read is disconnected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures import Running, running
from support.raw_socket import PATIENCE_S, RawSocket

from app.api.websockets import MAX_REASON, ClientGone, ClientSocket
from app.config import AuthSettings, PushSettings, Settings
from app.events import RuleEvent
from app.jobs import JobSpec
from app.main import create_app

pytestmark = pytest.mark.anyio
TIMEOUT_S = 0.3
LOGGER = "app.api.websockets"


@pytest.fixture(scope="module")
async def app(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("data"),
        auth=AuthSettings(disabled=True),
        push=PushSettings(send_timeout_s=TIMEOUT_S),
    )
    async with running(create_app(settings)) as started:
        yield started


async def path_of(app: Running, kind: str) -> str:
    """A socket of that kind that sends a message at once."""
    if kind == "job":
        job = await app.state["job_manager"].start(JobSpec(duration_s=1))
        return f"/ws/{job.job_id}"
    if kind == "events":
        return "/ws/events"
    stream_id = app.state["push_streams"].open(name=None, analytics={}, blur="off")
    return f"/ws/{kind}/{stream_id}"


@pytest.mark.parametrize("kind", ["stream", "camera", "events", "job"])
async def test_a_client_that_never_reads_is_disconnected(
    app: Running, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = await path_of(app, kind)
    with caplog.at_level(logging.INFO, LOGGER):
        async with RawSocket(app, path, deaf=True) as deaf, RawSocket(app, path) as other:
            while kind == "events" and not deaf.served.done():  # it gets the events from now on
                app.state["event_log"].report("gate", RuleEvent("bag_placed"), 1000.0, None)
                await asyncio.sleep(0.05)
            done, _ = await asyncio.wait([deaf.served], timeout=PATIENCE_S)
            assert done, "it is still served"
            assert deaf.to_client.empty()
            assert (await other.raw())["type"] == "websocket.send", "another client gets it"
    said = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert said == [f"{path}: disconnected a client that read nothing for 0.3 s"]


class _Sink:
    """A socket that stores sent messages, or blocks every send."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.deaf, self.got = deaf, list[Any]()

    class url:
        path = "/ws/x"

    async def send_text(self, text: str) -> None:
        if self.deaf:
            await asyncio.Event().wait()
        self.got.append(text)

    send_bytes = send_text

    async def close(self, code: int, reason: str) -> None:
        self.got.append((code, reason))


async def test_messages_of_one_call_stay_together() -> None:
    sink = _Sink()
    client = ClientSocket(sink, 5)  # type: ignore[arg-type]
    await asyncio.gather(*(client.send(f"{n}", f"{n}".encode()) for n in range(3)))
    assert sink.got == ["0", b"0", "1", b"1", "2", b"2"]


async def test_nothing_is_sent_to_a_client_that_was_given_up() -> None:
    sink = _Sink(deaf=True)
    client = ClientSocket(sink, 0.05)  # type: ignore[arg-type]
    with pytest.raises(ClientGone):
        await client.send("a")
    sink.deaf = False
    with pytest.raises(ClientGone):
        await client.send("b")
    await client.close(1000, "over")
    assert sink.got == []


async def test_a_reason_fits_into_a_close_frame() -> None:
    sink = _Sink()
    await ClientSocket(sink, 5).close(4404, "작업" * 99)  # type: ignore[arg-type]
    [(code, reason)] = sink.got
    assert code == 4404
    assert 100 < len(reason.encode()) <= MAX_REASON
