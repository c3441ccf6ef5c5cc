"""Events to all subscribers: in order, without frames, with past events."""

from __future__ import annotations

import ast
import asyncio
import gc
import inspect
import re

import pytest
from support.doubles import noise
from support.metrics import counts

from app.analytics.rules import bags, event_types, objects, plates, smoking
from app.events import EventFilter, EventRow, RuleEvent
from app.pipeline.blur import conceal
from app.pipeline.event_log import CLIENT_BACKLOG, MAX_FRAMES, EventLog, MissedEvents, follow
from app.types import BlurredFrame, Box, Track

TYPE = (
    r"(bag|plate)_(placed|unattended|abandoned|reclaimed|taken|seen|match)|camera_moved|smoking_\w+"
    r"|object_(appeared|left)|zone_(entered|left|loitering)|line_crossed"
)

pytestmark = pytest.mark.anyio
ALL = EventFilter()
PLACED = RuleEvent(
    "bag_placed",
    (Track(7, "suitcase", 0.9, Box(1, 2, 3, 4)), Track(3, "person", 0.8, Box(0, 0, 9, 9))),
    0.7,
)


def picture() -> BlurredFrame:
    return conceal(noise(), [], "off", 0)


class Kept:
    """What the database has, and what is on its way there."""

    def __init__(self, kept: list[EventRow], coming: list[EventRow] | None = None) -> None:
        self.kept, self.coming, self.asked = kept, coming or [], 0

    def unwritten(self) -> list[EventRow]:
        return self.coming

    def after(self, event_id: int, wanted: EventFilter, limit: int) -> list[EventRow]:
        self.asked += 1
        found = [r for r in self.kept if r.event_id > event_id and wanted.takes_record(r)]
        return found[:limit]


def record(number: int, stream_id: str = "a") -> EventRow:
    return EventRow(number, stream_id, "bag_placed", 0.0)


def test_a_record_says_who_and_what() -> None:
    loop = asyncio.new_event_loop()
    log = EventLog(loop, 5)
    with log.subscribed() as events:
        log.report("a", PLACED, 12.0, None, "S_2026_02_03_0001")
        kept = EventRow.of(events.waiting()[0])
    loop.close()
    assert (kept.event_id, kept.track_id, kept.person_id, kept.bag_id) == (5, 7, 3, 7)
    assert (kept.box, kept.snapshot, kept.session_id) == (
        Box(1, 2, 3, 4),
        False,
        "S_2026_02_03_0001",
    )


def test_a_rule_may_name_identities_itself() -> None:
    loop = asyncio.new_event_loop()
    log = EventLog(loop)
    with log.subscribed() as events:
        log.report(
            "a",
            RuleEvent("bag_taken", PLACED.tracks, details={"person_id": None, "bag_id": 2}),
            0,
            None,
        )
        kept = EventRow.of(events.waiting()[0])
    loop.close()
    assert (kept.track_id, kept.person_id, kept.bag_id) == (7, None, 2)


async def test_only_the_keeper_gets_frames() -> None:
    log = EventLog(asyncio.get_running_loop())
    with log.with_frames() as keeper, log.subscribed() as client:
        log.report("a", PLACED, 0, picture())
        log.report("a", PLACED, 0, None)
        kept, events = keeper.waiting(), client.waiting()
    assert [event.frame is not None for event in kept] == [True, False]
    assert [event.frame for event in events] == [None, None]
    assert [event.has_snapshot for event in events] == [True, False]


async def test_no_more_frames_wait_than_memory_can_hold() -> None:
    log = EventLog(asyncio.get_running_loop())
    with log.with_frames() as keeper:
        for _ in range(MAX_FRAMES + 5):
            log.report("a", PLACED, 0, picture())
        waiting = keeper.waiting()
        assert sum(event.has_snapshot for event in waiting) == MAX_FRAMES
        assert len(waiting) == MAX_FRAMES + 5
        del waiting
        for _ in range(MAX_FRAMES + 5):
            await anext(keeper)
        gc.collect()
        log.report("a", PLACED, 0, picture())
        assert keeper.waiting()[0].has_snapshot


async def collect(
    log: EventLog, past: Kept, wanted: EventFilter, after: int | None
) -> list[object]:
    found: list[object] = []
    async for item in follow(log, past, wanted, after):
        found.append(item.event_id if isinstance(item, EventRow) else item)
    return found


async def follower(
    log: EventLog, past: Kept, after: int | None, wanted: EventFilter = ALL
) -> asyncio.Task[list[object]]:
    task = asyncio.create_task(collect(log, past, wanted, after))
    await asyncio.sleep(0.05)
    return task


async def test_new_followers_get_what_happens_from_now_on() -> None:
    log, past = EventLog(asyncio.get_running_loop(), 3), Kept([record(1), record(2)])
    task = await follower(log, past, None)
    log.report("a", PLACED, 0, None)
    log.close_clients()
    assert await task == [3]
    assert past.asked == 0


async def test_a_client_that_comes_back_gets_past_then_new_events_each_once() -> None:
    kept = [record(number) for number in range(1, 500)]
    log = EventLog(asyncio.get_running_loop(), 501)
    past = Kept(kept, [record(499), record(500)])
    task = await follower(log, past, 3)
    past.kept += [record(500), record(501)]  # written while the client still reads
    log.report("a", PLACED, 0, None)
    log.report("a", PLACED, 0, None)
    log.close_clients()
    assert await task == [*range(4, 503)]


async def test_filters_hold_for_past_and_present() -> None:
    log = EventLog(asyncio.get_running_loop(), 5)
    past = Kept([record(1, "a"), record(2, "b")], [record(3, "a"), record(4, "b")])
    task = await follower(log, past, 0, EventFilter("b"))
    log.report("a", PLACED, 0, None)
    log.report("b", PLACED, 0, None)
    log.close_clients()
    assert await task == [2, 4, 6]


async def test_a_client_that_names_a_future_event_gets_new_ones() -> None:
    log, past = EventLog(asyncio.get_running_loop(), 3), Kept([record(1), record(2)])
    task = await follower(log, past, 5000)
    log.report("a", PLACED, 0, None)
    log.close_clients()
    assert await task == [3]


async def test_a_slow_follower_learns_how_many_it_missed() -> None:
    log = EventLog(asyncio.get_running_loop())
    events = follow(log, Kept([]), EventFilter("a"), None)
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.01)
    log.report("a", PLACED, 0, None)
    assert isinstance(await first, EventRow)
    for _ in range(CLIENT_BACKLOG + 3):
        log.report("b", PLACED, 0, None)  # not for this one: nothing is missed by these
        log.report("a", PLACED, 0, None)
    assert await anext(events) == MissedEvents(3)
    after = await anext(events)
    assert isinstance(after, EventRow)
    assert after.stream_id == "a"
    await events.aclose()  # type: ignore[attr-defined]


async def test_the_keeper_gets_the_last_events_after_clients_are_closed() -> None:
    log = EventLog(asyncio.get_running_loop())
    with log.with_frames() as keeper:
        log.close_clients()
        log.report("a", PLACED, 0, None)
        log.close()
        assert [event.event_id async for event in keeper] == [1]


async def test_events_are_counted_by_type_whether_or_not_somebody_listens() -> None:
    log = EventLog(asyncio.get_running_loop())
    assert set(counts(log.counts)) == set(event_types())
    assert set(counts(log.counts).values()) == {0}
    log.report("a", PLACED, 0, None)
    log.report("b", PLACED, 0, None)
    assert {kind: count for kind, count in counts(log.counts).items() if count} == {PLACED.type: 2}


def test_every_type_that_a_rule_reports_is_in_its_entry() -> None:
    """A word of the form ``thing_happened`` in a rule, outside of its entry."""
    reported: set[str] = set()
    for module in (bags, objects, plates, smoking):
        tree = ast.parse(inspect.getsource(module))
        tree.body = [node for node in tree.body if not ast.unparse(node).startswith("ENTRY =")]
        words = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
        reported |= {str(word) for word in words if re.fullmatch(TYPE, str(word))}
    assert reported == set(event_types())
