"""``from anti_terror.service import MultiCameraService, CameraConfig`` still works."""

from app.cameras import CameraConfig, MultiCameraService

__all__ = ["CameraConfig", "MultiCameraService"]
