"""Pauses after wrong attempts: they grow, end, and hit only who made the attempts."""

from __future__ import annotations

import pytest

from app.access.throttle import Throttle, ThrottleTuning, address_key, user_key
from app.errors import TooManyAttempts


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def pauses(throttle: Throttle, key: str) -> int:
    try:
        throttle.check(key)
    except TooManyAttempts as error:
        return int(str(error.details["retry_after_s"]))
    return 0


def test_pauses_double_up_to_a_limit_and_end() -> None:
    clock = Clock()
    throttle = Throttle(ThrottleTuning(free=2, first_s=1, longest_s=8), clock)
    seen = []
    for _ in range(8):
        throttle.failed("a")
        seen.append(pauses(throttle, "a"))
    assert seen == [0, 0, 1, 2, 4, 8, 8, 8]
    assert pauses(throttle, "b") == 0
    clock.now += 8
    assert pauses(throttle, "a") == 0


def test_success_and_time_forget() -> None:
    clock = Clock()
    throttle = Throttle(ThrottleTuning(free=0, forget_s=60), clock)
    throttle.failed("a", "b")
    throttle.succeeded("a")
    assert pauses(throttle, "a") == 0
    clock.now += 61
    throttle.failed("b")
    assert pauses(throttle, "b") == 1


def test_the_same_wrong_value_is_no_guess() -> None:
    throttle = Throttle(ThrottleTuning(free=1))
    for _ in range(9):
        throttle.failed("a", guess="old")
    assert pauses(throttle, "a") == 0
    throttle.failed("a", guess="new")
    assert pauses(throttle, "a") == 1


def test_memory_is_bounded() -> None:
    throttle = Throttle(ThrottleTuning(keys=100))
    for number in range(1000):
        throttle.failed(f"address {number}")
    assert len(throttle._records) == 100


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("", "not an address", True),
    ],
)
def test_addresses_of_one_subscriber_are_one(one: str, other: str, same: bool) -> None:
    assert (address_key(one) == address_key(other)) is same


def test_names_are_compared_as_when_signing_in() -> None:
    assert user_key("Kim") == user_key("kIM")
