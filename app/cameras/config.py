"""The configuration of a camera in a script, checked before the camera starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from app import urls
from app.errors import CameraFailed, in_words
from app.footage import KEEP_DAYS
from app.stream_options import DEFAULTS, CameraOptions, RuleSettings
from app.types import Analytics, BlurStyle, Line, Record, Rotation, StreamSpec, Transport, Zone


@dataclass(frozen=True)
class CameraConfig:
    """The source and the options of a camera.

    Attributes:
        camera_id: unique among the cameras of a service.
        source: index of a webcam, path of a file, or RTSP or HTTP URL.
        db_path: SQLite file for events and sessions; cameras may share one. Snapshots of events
            are in the folder ``snapshots`` beside it.
        device: ``cuda``, ``mps``, ``gpu``, ``npu``, ``cpu`` or ``auto``; what else the machine
            has, at last the CPU, if the device is not available.
        preview_port: port on 127.0.0.1 that serves the frames as MJPEG.
        render_enabled: show the frames in a window, if there is a display.
        loop: restart a file when it ends.
        rotate: degrees to turn the frames clockwise: 0, 90, 180 or 270.
        analytics: rules to run, as names or with settings; default: ``bags``, if the network for
            it is installed.
        zones: parts of the frame to watch, to ignore, or to count objects in.
        lines: lines in the frame that the rule ``objects`` counts crossings of.
        stall_timeout_s: seconds without a frame after which a slow camera counts as lost.
        start_timeout_s: seconds to wait for the first frame of a slow camera.
        interval: seconds between two requests to a URL of a single image.
        detect_url: RTSP URL of the camera's second, smaller stream, in which objects are detected.
        record: ``off``, ``events`` for a clip of each event, or ``continuous`` for everything and
            the clips. The files are in the folder ``footage`` beside ``db_path``.
        clip_before_s, clip_after_s: what a clip shows before and after its event.
        continuous_days, event_days, flagged_days: how long they are kept; default: as the settings
            say.
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
    rotate: Rotation = DEFAULTS.rotate
    transport: Transport = DEFAULTS.transport
    analytics: Analytics | Sequence[str] | None = None
    zones: Sequence[Zone] = ()
    lines: Sequence[Line] = ()
    stall_timeout_s: float | None = DEFAULTS.stall_timeout_s
    start_timeout_s: float | None = DEFAULTS.start_timeout_s
    interval: float | None = DEFAULTS.interval
    detect_url: str | None = field(default=DEFAULTS.detect_url, repr=False)
    record: Record = "off"
    clip_before_s: float = DEFAULTS.clip_before_s
    clip_after_s: float = DEFAULTS.clip_after_s
    continuous_days: float | None = DEFAULTS.continuous_days
    event_days: float | None = DEFAULTS.event_days
    flagged_days: float | None = DEFAULTS.flagged_days

    def check(self) -> None:
        """Check all fields. Raises CameraFailed with the camera and everything that is wrong."""
        try:
            _Limits.model_validate(vars(self))
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False)
            first = {one["loc"][0]: in_words(one["msg"]) for one in reversed(problems)}
            wrong = "; ".join(f"{name}: {first[name]}" for name in reversed(first))
            raise CameraFailed(camera_id=str(self.camera_id)[:MAX_ID], reason=wrong) from None

    def to_spec(self, url: str, *, has_objects: bool) -> StreamSpec:
        """The stream for this camera; ``url`` is that of its source."""
        rules = self.analytics
        if rules is None:
            rules = ["bags"] if has_objects else []
        analytics = rules if isinstance(rules, Mapping) else {name: {} for name in rules}
        same = (
            *("name", "loop", "max_fps", "downscale"),
            *("blur", "blur_margin", "rotate", "transport"),
            *("stall_timeout_s", "start_timeout_s", "interval"),
            *("record", "clip_before_s", "clip_after_s", *KEEP_DAYS),
        )
        return StreamSpec(
            self.camera_id,
            url,
            paced=True,
            analytics=analytics,
            zones=tuple(self.zones),
            lines=tuple(self.lines),
            detect_url=urls.check_substream(self.detect_url),
            **{name: getattr(self, name) for name in same},
        )


MAX_ID = 200


def _readable(camera_id: str) -> str:
    if not camera_id or len(camera_id) > MAX_ID or not camera_id.isprintable():
        raise ValueError(f"1 to {MAX_ID} printable characters")
    return camera_id


class _Limits(CameraOptions):
    """The limits of a ``CameraConfig``; those of its options are the same as over HTTP."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, strict=True)

    camera_id: Annotated[str, AfterValidator(_readable)]
    source: str | int
    db_path: Annotated[str, Field(min_length=1)] | Path
    device: str
    preview_port: Annotated[int, Field(ge=1, le=65535)] | None
    render_enabled: bool
    analytics: RuleSettings | None  # type: ignore[assignment]
    zones: Sequence[Zone]  # type: ignore[assignment]
    lines: Sequence[Line]  # type: ignore[assignment]
