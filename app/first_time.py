"""What is said once, also when several threads want to say it at the same time."""

from __future__ import annotations

import threading
from collections.abc import Hashable


class FirstTime:
    """Remembers what it was called with: True for the first call with a value, else False."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[Hashable] = set()

    def __call__(self, value: Hashable) -> bool:
        """Whether nobody has called with this value before."""
        with self._lock:
            is_first = value not in self._seen
            self._seen.add(value)
        return is_first

    def __contains__(self, value: Hashable) -> bool:
        return value in self._seen
