"""Fixtures for streams without a network."""

from support.stream_fixtures import *  # noqa: F403
