"""Where processed frames go. A new sink is one file here and one line in ``SINKS``."""

from __future__ import annotations

from collections.abc import Callable

from app.config import StreamSettings
from app.errors import InvalidUrl
from app.pipeline.sinks.base import Delivered, Sink
from app.pipeline.sinks.preview import Preview
from app.pipeline.sinks.rtsp import RtspSink
from app.types import StreamSpec
from app.urls import scheme_of

SinkFactory = Callable[[StreamSpec, StreamSettings, Delivered], Sink]
Output = Callable[[StreamSpec, StreamSettings, Delivered], Sink | None]

SINKS: dict[str, SinkFactory] = {
    "rtsp": RtspSink,
    "rtsps": RtspSink,
}


def make_output(spec: StreamSpec, settings: StreamSettings, delivered: Delivered) -> Sink | None:
    """The sink for ``spec.output``, by its scheme; None for a stream that is only previewed.

    Raises InvalidUrl for an unknown scheme.
    """
    if spec.output is None:
        return None
    make = SINKS.get(scheme_of(spec.output))
    if make is None:
        raise InvalidUrl(reason=f"nothing writes {scheme_of(spec.output)}:")
    return make(spec, settings, delivered)


__all__ = ["SINKS", "Output", "Preview", "Sink", "make_output"]
