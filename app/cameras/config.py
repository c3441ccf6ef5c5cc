"""What a camera of a script is, checked before anything of it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from app.errors import CameraFailed, in_words
from app.stream_options import DEFAULTS, CameraOptions, RuleSettings
from app.types import Analytics, BlurStyle, StreamSpec, Transport, Zone


@dataclass(frozen=True)
class CameraConfig:
    """What to watch, and how.

    Attributes:
        camera_id: unique among the cameras of a service.
        source: index of a webcam, path of a file, or RTSP or HTTP URL.
        db_path: SQLite file for events and session numbers; cameras may share one. Pictures of
            events lie in the folder ``snapshots`` beside it.
        device: ``cuda``, ``mps`` or ``cpu``; the CPU where the device is not there.
        preview_port: port of 127.0.0.1 with the pictures as MJPEG.
        render_enabled: show a window, where there is a display.
        loop: a file begins anew at its end.
        analytics: rules to run, as names or with settings; default: ``bags``, where this
            installation has the network for it.
        zones: parts of the picture to watch or to ignore.
        stall_timeout_s, start_timeout_s: seconds that a slow camera may take for a frame, and for
            the first one.
        interval: seconds between two requests, where a URL has a single picture.
    """

    camera_id: str
    source: str | int = field(repr=False)  # it may hold a password
    db_path: str = "antiterror.db"
    device: str = "cuda"
    preview_port: int | None = None
    render_enabled: bool = False
    _: KW_ONLY
    name: str | None = None
    loop: bool = DEFAULTS.loop
    max_fps: float = DEFAULTS.max_fps
    downscale: float = DEFAULTS.downscale
    blur: BlurStyle = DEFAULTS.blur
    blur_margin: float = DEFAULTS.blur_margin
    transport: Transport = DEFAULTS.transport
    analytics: Analytics | Sequence[str] | None = None
    zones: Sequence[Zone] = ()
    stall_timeout_s: float | None = DEFAULTS.stall_timeout_s
    start_timeout_s: float | None = DEFAULTS.start_timeout_s
    interval: float | None = DEFAULTS.interval

    def check(self) -> None:
        """Raises CameraFailed that names the camera and what is wrong, all of it."""
        try:
            _Limits.model_validate(vars(self))
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False)
            first = {one["loc"][0]: in_words(one["msg"]) for one in reversed(problems)}
            wrong = "; ".join(f"{name}: {first[name]}" for name in reversed(first))
            raise CameraFailed(camera_id=str(self.camera_id)[:MAX_ID], reason=wrong) from None

    def to_spec(self, url: str, *, has_objects: bool) -> StreamSpec:
        """The stream that it asks for; ``url`` is what its source means."""
        asked = self.analytics
        if asked is None:
            asked = ["bags"] if has_objects else []
        analytics = asked if isinstance(asked, Mapping) else {name: {} for name in asked}
        same = ("name", "loop", "max_fps", "downscale", "blur", "blur_margin", "transport")
        limits = ("stall_timeout_s", "start_timeout_s", "interval")
        return StreamSpec(
            self.camera_id,
            url,
            paced=True,
            analytics=analytics,
            zones=tuple(self.zones),
            **{name: getattr(self, name) for name in (*same, *limits)},
        )


MAX_ID = 200


def _readable(camera_id: str) -> str:
    if not camera_id or len(camera_id) > MAX_ID or not camera_id.isprintable():
        raise ValueError(f"1 to {MAX_ID} printable characters")
    return camera_id


class _Limits(CameraOptions):
    """The limits of a ``CameraConfig``: of its options, the same as over HTTP."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, strict=True)

    camera_id: Annotated[str, AfterValidator(_readable)]
    source: str | int
    db_path: Annotated[str, Field(min_length=1)] | Path
    device: str
    preview_port: Annotated[int, Field(ge=1, le=65535)] | None
    render_enabled: bool
    analytics: RuleSettings | None  # type: ignore[assignment]
    zones: Sequence[Zone]  # type: ignore[assignment]
