"""The outbox: what is put into it with an event, and in which order it comes out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from app.db.deliveries import DeliveryRepository
from app.db.engine import open_database
from app.db.events import EventRepository
from app.db.routes import RouteRepository
from app.db.snapshots import SnapshotFolder
from app.db.targets import TargetRepository
from app.db.vault import Vault
from app.errors import TargetNotFound
from app.events import EventRow
from app.local_time import Hours
from app.notifications import PASSED_AFTER, Delivery, DeliveryFilter, Route, Target

ALL = DeliveryFilter()
EVENT = EventRow(1, "gate", "zone_entered", 1_793_500_000.0, details={"label": "car"})
IN_TWO_ZONES = {"label": "person", "zone": "dock", "zones": ["dock", "yard"]}


class Outbox:
    def __init__(self, engine: Engine, folder: Path) -> None:
        self.events = EventRepository(engine, SnapshotFolder(folder))
        self.targets = TargetRepository(engine, Vault(b"a secret of these tests"))
        self.routes = RouteRepository(engine)
        self.deliveries = DeliveryRepository(engine)

    def target(self) -> Target:
        return self.targets.add("webhook", "a target", {"url": "https://example.com"}, 0.0)

    def route(self, *targets: Target, **selection: Any) -> Route:
        ids = tuple(target.target_id for target in targets)
        return self.routes.add(Route(0, "a route", True, ids, **selection))

    def add(self, number: int, stream_id: str = "gate", **more: Any) -> None:
        event = replace(EVENT, event_id=number, stream_id=stream_id, **more)
        assert self.events.add([event]) == 0

    def all(self) -> list[Delivery]:
        return self.deliveries.page(ALL, 100)[::-1]

    def due(self, target: Target, in_s: float = 1.0) -> list[int]:
        found = self.deliveries.due(target.target_id, time.time() + in_s, 100)
        return [one.event_ids[0] for one in found]


@pytest.fixture
def outbox(database_url: str, tmp_path: Path) -> Iterator[Outbox]:
    engine = open_database(database_url)
    yield Outbox(engine, tmp_path)
    engine.dispose()


def test_without_routes_nothing_is_put_in(outbox: Outbox) -> None:
    outbox.target()
    outbox.add(1)
    assert outbox.all() == []


def test_an_event_is_told_to_each_target_once(outbox: Outbox) -> None:
    one, two = outbox.target(), outbox.target()
    first, _ = outbox.route(one), outbox.route(one, two)
    outbox.add(1)
    outbox.add(1)  # the same again: an attempt whose end was not seen
    found = outbox.all()
    assert [(each.target_id, each.event_ids) for each in found] == [
        (one.target_id, (1,)),
        (two.target_id, (1,)),
    ]
    assert found[0].route_id == first.route_id
    assert len({each.message_id for each in found}) == 2


def test_a_number_that_was_taken_is_told_as_it_is_stored(outbox: Outbox) -> None:
    outbox.add(1)
    outbox.route(outbox.target())
    outbox.add(1, stream_id="yard")
    (delivery,) = outbox.all()
    assert delivery.event_ids == (3,)
    assert outbox.events.get(3).stream_id == "yard"


def test_a_target_that_is_off_gets_nothing(outbox: Outbox) -> None:
    target = outbox.target()
    outbox.route(target)
    outbox.targets.save(replace(target, enabled=False))
    outbox.add(1)
    assert outbox.all() == []


@pytest.mark.parametrize(
    ("selection", "event", "taken"),
    [
        ({}, {}, True),
        ({"cameras": ("gate", "yard")}, {}, True),
        ({"cameras": ("yard",)}, {}, False),
        ({"types": ("zone_entered",)}, {}, True),
        ({"types": ("zone_left",)}, {}, False),
        ({"labels": ("car", "bus")}, {}, True),
        ({"labels": ("person",)}, {}, False),
        ({"labels": ("car",)}, {"details": {}}, False),
        ({"zones": ("yard",)}, {"details": IN_TWO_ZONES}, True),
        ({"zones": ("dock",)}, {"details": IN_TWO_ZONES}, True),
        ({"zones": ("gate",)}, {"details": IN_TWO_ZONES}, False),
        ({"zones": ("dock",)}, {}, False),
        ({"zones": ("dock",)}, {"details": {"zones": 7}}, False),
        ({"enabled": False}, {}, False),
    ],
)
def test_a_route_takes_what_it_selects(
    selection: dict[str, Any], event: dict[str, Any], taken: bool
) -> None:
    route = replace(Route(1, "a route", True, (1,)), **selection)
    assert route.takes(replace(EVENT, **event)) == taken


@pytest.mark.parametrize(
    ("timezone", "taken"), [("Europe/Paris", False), ("Asia/Seoul", True), ("UTC", False)]
)
def test_hours_are_read_in_the_time_zone_of_the_route(timezone: str, taken: bool) -> None:
    """2026-11-01T02:26:40Z is 03:26 in Paris and 11:26 in Seoul, a Sunday."""
    hours = (Hours(**{"days": ["sun"], "from": "09:00", "to": "18:00"}),)
    route = Route(1, "a route", True, (1,), hours=hours, timezone=timezone)
    assert route.takes(EVENT) == taken


def test_a_route_is_stored_as_it_is(outbox: Outbox) -> None:
    hours = (Hours(**{"from": "22:00", "to": "06:00"}),)
    route = outbox.route(
        outbox.target(),
        cameras=("gate",),
        types=("zone_entered",),
        labels=("car",),
        zones=("dock",),
        hours=hours,
        timezone="Asia/Seoul",
        max_per_minute=5,
        group_s=2.5,
    )
    assert outbox.routes.get(route.route_id) == route
    assert outbox.routes.all() == [route]
    with pytest.raises(TargetNotFound):
        outbox.routes.save(replace(route, target_ids=(99,)))


def test_more_than_the_limit_a_minute_are_counted_and_not_sent(outbox: Outbox) -> None:
    one, two = outbox.target(), outbox.target()
    route = outbox.route(one, two, max_per_minute=2)
    for number in range(1, 6):
        outbox.add(number)
    assert [each.event_ids for each in outbox.all()] == [(1,), (1,), (2,), (2,)]
    assert outbox.routes.get(route.route_id).suppressed == 6


def test_events_of_a_camera_are_grouped_until_the_message_is_due(outbox: Outbox) -> None:
    target = outbox.target()
    outbox.route(target, group_s=30.0, max_per_minute=2)
    outbox.add(1)
    outbox.add(2, stream_id="yard")
    outbox.add(3)
    outbox.add(4)
    assert [each.event_ids for each in outbox.all()] == [(1, 3, 4), (2,)]
    assert outbox.due(target) == []
    assert outbox.due(target, 31.0) == [1, 2]


def test_an_urgent_route_does_not_wait_for_the_group_of_another(outbox: Outbox) -> None:
    target = outbox.target()
    outbox.route(target, group_s=30.0)
    outbox.add(1)
    outbox.route(target, types=(EVENT.type,))
    outbox.add(2)
    assert [each.event_ids for each in outbox.all()] == [(1,), (2,)]
    assert outbox.due(target) == [2]
    assert outbox.due(target, 31.0) == [1]  # the older one, and the other after it


def test_a_group_has_a_limit(outbox: Outbox) -> None:
    outbox.route(outbox.target(), group_s=30.0)
    for number in range(1, 53):
        outbox.add(number)
    assert [len(each.event_ids) for each in outbox.all()] == [50, 2]


def test_only_the_oldest_message_of_each_camera_is_due(outbox: Outbox) -> None:
    target = outbox.target()
    outbox.route(target)
    for number, camera in enumerate(("gate", "gate", "yard", "yard"), 1):
        outbox.add(number, stream_id=camera)
    assert outbox.due(target) == [1, 3]
    first = outbox.all()[0].delivery_id
    for failures in range(PASSED_AFTER):
        assert outbox.due(target) == ([1, 3] if failures == 0 else [3])
        outbox.deliveries.failed(first, time.time() + 60, "500")
    assert outbox.due(target) == [2, 3]  # passed by the next one
    assert outbox.due(target, 61.0) == [1, 2, 3]
    next_due = outbox.deliveries.next_due(target.target_id, time.time() + 1)
    assert next_due is not None
    assert next_due > time.time() + 30
    outbox.deliveries.wake(target.target_id, time.time())
    assert outbox.due(target) == [1, 2, 3]


def test_a_removed_target_takes_its_messages_with_it(outbox: Outbox) -> None:
    one, two = outbox.target(), outbox.target()
    route = outbox.route(one, two)
    outbox.add(1)
    outbox.targets.delete(one.target_id)
    assert outbox.routes.get(route.route_id).target_ids == (two.target_id,)
    assert [each.target_id for each in outbox.all()] == [two.target_id]
    outbox.routes.delete(route.route_id)
    assert [each.route_id for each in outbox.all()] == [None]  # still on its way


def test_backlogs_are_counted_by_kind(outbox: Outbox) -> None:
    outbox.route(outbox.target())
    for number in range(1, 4):
        outbox.add(number)
    outbox.deliveries.give_up(outbox.all()[0].delivery_id, time.time(), "410")
    (backlog,) = outbox.deliveries.backlog(time.time() + 10)
    assert (backlog.kind, backlog.waiting, backlog.dead) == ("webhook", 2, 1)
    assert backlog.oldest_s >= 10


def test_options_that_another_key_has_encrypted_are_an_error(
    outbox: Outbox, database_url: str
) -> None:
    outbox.target()
    engine = open_database(database_url)
    (target,) = TargetRepository(engine, Vault(b"another secret, too long")).all()
    engine.dispose()
    assert target.error
    assert target.options == {}
