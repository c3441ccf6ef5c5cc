"""Waiting for a condition without a fixed delay."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.1


def eventually(read: Callable[[], T], until: Callable[[T], bool], within: float, what: str) -> T:
    """Read a value repeatedly; return it once ``until`` holds, else fail with the last one."""
    deadline = time.monotonic() + within
    while not until(value := read()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within:g} s; last value: {value!r}")
        time.sleep(PAUSE_S)
    return value
