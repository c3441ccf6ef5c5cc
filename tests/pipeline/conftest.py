"""Fixtures for streams without a network."""

from support.stream_fixtures import (  # noqa: F401
    anyio_backend,
    camera,
    face_settings,
    faces,
    far_end,
    network,
    runner,
    settings,
    start,
    video,
)
