"""Calls in progress end with the rights of their caller."""

from __future__ import annotations

import asyncio

import pytest

from app.access.open_calls import CallEnded, OpenCalls
from app.rights import EVERYTHING, Caller

pytestmark = pytest.mark.anyio
KIM = Caller("user 1", EVERYTHING, user_id=1, session_id=5)


async def held(calls: OpenCalls, caller: Caller, seconds: float | None = None) -> str:
    try:
        async with calls.held(caller, seconds):
            await asyncio.sleep(30)
    except CallEnded:
        return "ended"
    return "went on"


@pytest.mark.parametrize("key", ["user 1", "session 5"])
async def test_a_call_ends_with_its_session_or_user(key: str) -> None:
    calls = OpenCalls()
    call = asyncio.create_task(held(calls, KIM))
    other = asyncio.create_task(held(calls, Caller("user 2", EVERYTHING, user_id=2)))
    await asyncio.sleep(0)
    calls.end(key)
    assert await call == "ended"
    assert not other.done()
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    assert calls._limits == {}


async def test_a_call_ends_when_its_token_expires() -> None:
    assert await held(OpenCalls(), Caller("token 3", EVERYTHING, token_id=3), 0.01) == "ended"


async def test_a_time_out_of_the_call_itself_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with OpenCalls().held(KIM, 30):
            raise TimeoutError
