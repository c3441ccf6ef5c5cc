"""Whether a source has sound. Streams themselves only ask for the video."""

from __future__ import annotations

from av.error import FFmpegError

from app import urls
from app.config import StreamSettings
from app.errors import WatchpostError
from app.failure_reason import PARSER_ERRORS
from app.pipeline.sources.av import AvSource
from app.types import StreamSpec

HAVE_SOUND = (*urls.RTSP, "file")


def sound_of(spec: StreamSpec, settings: StreamSettings) -> str | None:
    """The codec of the sound of an RTSP camera or a file, by a connection of its own. Blocks.

    None if there is none, if FFmpeg does not know it, or if the connection fails.
    """
    if urls.scheme_of(spec.source) not in HAVE_SOUND:
        return None
    source = AvSource(spec, settings)
    source.media = "audio+video"
    try:
        with source.connect() as container:
            contexts = [stream.codec_context for stream in container.streams.audio]
            return next((context.name for context in contexts if context is not None), None)
    except (FFmpegError, WatchpostError, *PARSER_ERRORS):
        return None
