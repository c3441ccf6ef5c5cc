"""Where frames come from. A new source is one file here and one line in ``SOURCES``."""

from __future__ import annotations

import math
from collections.abc import Callable

from app.config import StreamSettings
from app.errors import InvalidUrl
from app.pipeline.sources.av import AvSource
from app.pipeline.sources.base import Source
from app.pipeline.sources.decode_plan import Demand
from app.pipeline.sources.demo import DemoSource
from app.pipeline.sources.paired import PairedSource
from app.pipeline.sources.played import HttpSource, file_source
from app.pipeline.sources.push import PushSource
from app.pipeline.sources.webcam import WebcamSource
from app.types import StreamSpec
from app.urls import scheme_of

SourceFactory = Callable[[StreamSpec, StreamSettings], Source]

SOURCES: dict[str, SourceFactory] = {
    "rtsp": AvSource,
    "rtsps": AvSource,
    "http": HttpSource,
    "https": HttpSource,
    "file": file_source,
    "webcam": WebcamSource,
    "demo": DemoSource,
    "push": PushSource,
}


def make_source(
    spec: StreamSpec,
    settings: StreamSettings,
    is_watched: Callable[[], bool] = lambda: True,
    least_side: float = math.inf,
) -> Source:
    """The source that the scheme of ``spec.source`` names. Raises InvalidUrl for an unknown one.

    Args:
        is_watched: whether somebody gets the frames now; a camera that nobody watches decodes less.
        least_side: longer side, in pixels, of a substream that may be shown while nobody watches.
    """
    if spec.detect_url is not None:
        return PairedSource(spec, settings, is_watched, least_side)
    make = SOURCES.get(scheme_of(spec.source))
    if make is None:
        raise InvalidUrl(reason=f"nothing reads {scheme_of(spec.source)}:")
    source = make(spec, settings)
    if isinstance(source, AvSource):
        source.demand = lambda: Demand.VIEWERS if is_watched() else Demand.LOOKS
    return source


__all__ = ["SOURCES", "PairedSource", "Source", "make_source"]
