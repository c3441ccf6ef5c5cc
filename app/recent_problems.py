"""The last warnings and errors of the log, kept in memory for those who cannot read its file."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from app.urls import scrub

MAX_PROBLEMS = 200
MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """A message of the log.

    Attributes:
        first_ts, last_ts: when it was logged for the first and the last time, Unix seconds.
        count: how often that was.
        level: ``warning``, ``error`` or ``critical``.
        source: the logger, such as ``app.notify.worker``.
    """

    first_ts: float
    last_ts: float
    count: int
    level: str
    source: str
    text: str


class RecentProblems(logging.Handler):
    """Keeps the newest different messages, without secrets; repeats are counted."""

    def __init__(self, limit: int = MAX_PROBLEMS) -> None:
        super().__init__(logging.WARNING)
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str, str], Problem] = OrderedDict()
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = _text(record)
        except (TypeError, ValueError):  # arguments that do not fit the message
            text = str(record.msg)
        text = scrub(text)[:MAX_TEXT]
        level, now = record.levelname.lower(), record.created
        key = (level, record.name, text)
        with self._guard:
            known = self._kept.pop(key, None) or Problem(now, now, 0, *key)
            self._kept[key] = replace(known, last_ts=now, count=known.count + 1)
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)

    def newest(self) -> list[Problem]:
        """What was logged, newest first."""
        with self._guard:
            return list(reversed(self._kept.values()))

    def clear(self) -> None:
        """Forget all."""
        with self._guard:
            self._kept.clear()


def _text(record: logging.LogRecord) -> str:
    """The message on one line, with the exception but without its traceback."""
    text = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        text = f"{text}: {type(error).__name__}: {error}"
    return " ".join(text.split())


RECENT = RecentProblems()
"""Of this process; ``app.logs`` installs it."""
