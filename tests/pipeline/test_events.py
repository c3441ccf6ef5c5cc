"""Events of all streams, numbered, to everybody."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.pipeline.events import EventLog
from app.types import Event, Finding

pytestmark = pytest.mark.anyio
PATIENCE_S = 30.0


async def _next(events: object) -> Event:
    return await asyncio.wait_for(anext(events), PATIENCE_S)  # type: ignore[arg-type]


async def test_events_are_numbered_over_all_streams_and_reach_who_asked() -> None:
    log = EventLog(asyncio.get_running_loop(), first_id=41)
    with log.subscribed() as everything, log.subscribed(stream_id="b") as of_b:
        await asyncio.to_thread(log.tell, "a", Finding("smoking_started"), 1.0, None)
        await asyncio.to_thread(log.tell, "b", Finding("smoking_ended"), 2.0, None)
        first, second = await _next(everything), await _next(everything)
        assert [(e.event_id, e.stream_id, e.ts) for e in (first, second)] == [
            (41, "a", 1.0),
            (42, "b", 2.0),
        ]
        assert await _next(of_b) is second


async def test_numbers_are_in_order_for_everybody_however_many_threads_tell() -> None:
    log = EventLog(asyncio.get_running_loop())
    with log.subscribed(backlog=1000) as events:

        def tell() -> None:
            for _ in range(100):
                log.tell("a", Finding("x"), 0.0, None)

        threads = [threading.Thread(target=tell) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert [(await _next(events)).event_id for _ in range(400)] == list(range(1, 401))
        assert events.missed() == 0


async def test_who_is_slow_learns_how_many_of_its_own_were_lost() -> None:
    log = EventLog(asyncio.get_running_loop())
    with log.subscribed(backlog=2, stream_id="a") as events:
        for number in range(5):
            log.tell("a", Finding(f"a{number}"), 0.0, None)
            log.tell("b", Finding("b"), 0.0, None)
        assert (await _next(events)).finding.type == "a3"
        assert (events.missed(), events.missed()) == (3, 0)


async def test_the_end_comes_after_what_waits() -> None:
    log = EventLog(asyncio.get_running_loop())
    with log.subscribed() as events:
        log.tell("a", Finding("x"), 0.0, None)
        log.close()
        assert [event.finding.type async for event in events] == ["x"]
