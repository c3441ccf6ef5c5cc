"""``uvicorn main:app``: the same app as ``app:app``, built on first access."""

from typing import Any

import app as package


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    return package.app
