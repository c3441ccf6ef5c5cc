"""Sessions: their cookies are replaced, a lost reply signs nobody out, and copies end them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.access.secrets import digest
from app.access.sessions import Sessions, SessionTuning
from app.accounts import User
from app.db.engine import open_database
from app.db.user_sessions import UserSessionRepository
from app.db.users import UserRepository
from app.rights import Grant, Role

pytestmark = pytest.mark.anyio
TUNING = SessionTuning(rotate_s=100, grace_s=10, touch_s=5, idle_s=1000, longest_s=5000)


class Clock:
    """Seconds that a test moves."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class House:
    """Sessions of one user, with a clock."""

    def __init__(self, folder: Path) -> None:
        engine = open_database(f"sqlite:///{folder / 'x.db'}")
        self.users = UserRepository(engine)
        self.rows = UserSessionRepository(engine)
        self.clock = Clock()
        self.sessions = Sessions(self.users, self.rows, TUNING, self.clock)
        self.user: User = self.users.add("kim", (Grant(Role.VIEWER),))

    async def begin(self) -> str:
        return await self.sessions.begin(self.user, "192.0.2.1", "a browser")

    async def use(self, cookie: str, *, rotate: bool = True) -> str | None:
        """The cookie that the browser has afterwards; None if it was refused."""
        found = await self.sessions.find(cookie, rotate=rotate)
        return None if found is None else found.cookie or cookie


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_a_cookie_is_replaced_after_a_while(house: House) -> None:
    first = await house.begin()
    assert await house.use(first) == first
    house.clock.now += 101
    assert await house.use(first, rotate=False) == first
    second = await house.use(first)
    assert second not in (None, first)
    assert await house.use(str(second)) == second


async def test_requests_on_their_way_may_use_the_old_cookie(house: House) -> None:
    first = await house.begin()
    house.clock.now += 101
    second = str(await house.use(first))
    assert await house.use(second) == second
    house.clock.now += 9
    assert await house.use(first) == first


async def test_a_copied_cookie_ends_the_session(house: House) -> None:
    first = await house.begin()
    house.clock.now += 101
    second = str(await house.use(first))
    await house.use(second)
    house.clock.now += 11
    assert await house.use(first) is None
    assert await house.use(second) is None


async def test_a_lost_reply_signs_nobody_out(house: House) -> None:
    first = await house.begin()
    house.clock.now += 101
    await house.use(first)  # the browser never gets the second cookie
    house.clock.now += 50
    third = await house.use(first)
    assert third not in (None, first)
    assert await house.use(str(third)) == third


async def test_two_requests_at_once_do_not_both_replace_the_cookie(house: House) -> None:
    first = await house.begin()
    house.clock.now += 101
    found = house.rows.find(digest(first))
    assert found is not None
    second = await house.use(first)
    assert house.rows.rotate(found.session, "x" * 64, "y" * 64, house.clock.now) is False
    assert await house.use(str(second)) == second


async def test_sessions_end_by_themselves(house: House) -> None:
    idle = await house.begin()
    house.clock.now += 1001
    assert await house.use(idle) is None
    old = await house.begin()
    for _ in range(6):
        house.clock.now += 900
        old = await house.use(old) or ""
    assert old == ""


async def test_the_database_has_no_cookie(house: House) -> None:
    cookie = await house.begin()
    with house.rows._engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM user_sessions").all()
    assert len(rows) == 1
    assert cookie not in str(rows)
