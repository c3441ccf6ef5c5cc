"""Logging without secrets: credentials are removed from every formatted line."""

from __future__ import annotations

import logging
import re

from app.recent_problems import RECENT
from app.urls import masked_path, scrub

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_QUERY = re.compile(r"\?\S*(?= HTTP/|\" |$)")
LOGGERS = ("", "uvicorn", "uvicorn.error", "uvicorn.access")


class ScrubbingFormatter(logging.Formatter):
    """Formats with the handler's own formatter, then removes secrets, also from tracebacks."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return scrub(self._inner.format(record))


def _without_query(record: logging.LogRecord) -> bool:
    """A filter that cuts what may carry tokens and camera URLs: queries, and parts of paths."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            masked_path(_QUERY.sub("", arg))
            if isinstance(arg, str) and arg.startswith("/")
            else arg
            for arg in record.args
        )
    return True


def install(level: str) -> None:
    """Set up logging; loggers that are set up already, such as uvicorn's, are scrubbed, too."""
    if not logging.getLogger().handlers:
        logging.basicConfig(format=FORMAT)
    logging.getLogger("app").setLevel(level.upper())
    logging.getLogger("alembic").setLevel("WARNING")
    access = logging.getLogger("uvicorn.access")
    if _without_query not in access.filters:
        access.addFilter(_without_query)
    for name in LOGGERS:
        for handler in logging.getLogger(name).handlers:
            inner = handler.formatter or logging.Formatter(FORMAT)
            if not isinstance(inner, ScrubbingFormatter):
                handler.setFormatter(ScrubbingFormatter(inner))
    for name in ("", "uvicorn"):  # uvicorn's messages do not reach the root
        if RECENT not in logging.getLogger(name).handlers:
            logging.getLogger(name).addHandler(RECENT)
