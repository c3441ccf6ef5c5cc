"""Waiting for something without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.1


def eventually(look: Callable[[], T], until: Callable[[T], bool], within: float, what: str) -> T:
    """Look again and again; return what was seen once ``until`` holds, else fail with it."""
    deadline = time.monotonic() + within
    while not until(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within:g} s; last seen: {seen!r}")
        time.sleep(PAUSE_S)
    return seen
