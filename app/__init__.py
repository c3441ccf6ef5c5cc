"""Watchpost: self-hosted video analytics. ``uvicorn app:app`` works; importing starts nothing."""

from typing import Any

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Build the ASGI app on the first access to ``app.app``."""
    if name != "app":
        raise AttributeError(name)
    from app.main import build_app

    return build_app()
