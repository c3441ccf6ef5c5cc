"""Where frames come from. A new source is one file here and one line in ``SOURCES``."""

from __future__ import annotations

from collections.abc import Callable

from app.config import StreamSettings
from app.pipeline.sources.av import AvSource
from app.pipeline.sources.base import Source
from app.pipeline.sources.demo import DemoSource
from app.types import StreamSpec

SourceFactory = Callable[[StreamSpec, StreamSettings], Source]

SOURCES: dict[str, SourceFactory] = {
    "rtsp": AvSource,
    "rtsps": AvSource,
    "file": AvSource,
    "demo": DemoSource,
}


def make_source(spec: StreamSpec, settings: StreamSettings) -> Source:
    """The source that the scheme of ``spec.source`` names. Raises KeyError for an unknown one."""
    return SOURCES[spec.source.partition(":")[0].lower()](spec, settings)


__all__ = ["SOURCES", "Source", "make_source"]
