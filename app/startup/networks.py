"""Loads the networks that all streams on one device share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.config import Settings
from app.models import weights_file
from app.models.batching import BatchingRunner
from app.models.faces import FaceDetector, load_faces
from app.models.objects import ObjectDetector, load_objects

logger = logging.getLogger(__name__)

CACHE = "cache"


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks that all streams on one device share.

    Attributes:
        objects: None if no network for analytics is installed.
    """

    face_runner: BatchingRunner
    faces: FaceDetector
    objects: ObjectDetector | None


@asynccontextmanager
async def open_networks(
    settings: Settings, device: str, data_dir: Path | None = None
) -> AsyncIterator[Networks]:
    """Load the networks for faces and for analytics.

    Args:
        data_dir: folder with compiled networks and the operator's own weights, if there is one.
    """
    cache = data_dir / CACHE if data_dir is not None else None
    async with AsyncExitStack() as stack:
        face_runner = await asyncio.to_thread(load_faces, device, cache)
        stack.push_async_callback(asyncio.to_thread, face_runner.close)
        faces = FaceDetector(
            face_runner,
            min_confidence=settings.faces.keep_confidence,
            longest=settings.faces.width,
        )
        objects = None
        if settings.objects.weights is not None or weights_file.SHIPPED.exists():
            objects = await asyncio.to_thread(load_objects, settings.objects, device, data_dir)
            stack.push_async_callback(asyncio.to_thread, objects.close)
        else:
            logger.warning("no analytics: %s is missing", weights_file.SHIPPED)
        yield Networks(face_runner, faces, objects)
