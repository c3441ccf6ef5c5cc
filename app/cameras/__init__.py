"""Many cameras from a script or a notebook, without the web server.

    svc = MultiCameraService()
    svc.set_event_callback(lambda camera_id, events: print(camera_id, events))
    svc.start_camera(CameraConfig("CAM_01", 0))
    svc.get_latest_jpeg("CAM_01"), svc.get_latest_stats("CAM_01")
    svc.stop_all()

The streams, rules and events are those of the server. They run on an event loop in a background
thread; every method may be called from any thread.
"""

from app.cameras.config import CameraConfig
from app.cameras.service import EventCallback, MultiCameraService

__all__ = ["CameraConfig", "EventCallback", "MultiCameraService"]
