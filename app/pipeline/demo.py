"""The demo: a stream of bundled photographs, for looking around without a camera."""

from __future__ import annotations

from app.pipeline.directory import StreamDirectory
from app.types import Analytics, StreamSpec

DEMO_ID = "demo"
MAX_FPS = 15
CERTAIN = 0.6
"""In one of the photographs a man points with his finger, which the network takes for a cigarette
with a confidence of up to 0.5: an alarm every few seconds."""


def start_demo(manager: StreamDirectory) -> None:
    """Start the demo unless it is there; it ends with this process. Raises ShuttingDown."""
    analytics: Analytics = {"smoking": {"min_confidence": CERTAIN}} if manager.has_analytics else {}
    manager.start_ephemeral(StreamSpec(DEMO_ID, "demo:", max_fps=MAX_FPS, analytics=analytics))
