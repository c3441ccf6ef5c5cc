"""``from anti_terror.service import MultiCameraService, CameraConfig`` works as it always did."""

from app.cameras import CameraConfig, MultiCameraService

__all__ = ["CameraConfig", "MultiCameraService"]
