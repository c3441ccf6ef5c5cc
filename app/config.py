"""The settings of the server: built once by whoever starts it, then passed down.

Each field can be set by a flag of ``watchpost serve``, by an environment variable with the prefix
``WATCHPOST_`` (nested fields with two underscores: ``WATCHPOST_STREAMS__OUTPUT_BASE``) or in
a ``.env`` file; the first of these that names a field wins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    create_model,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app import urls
from app.errors import RequestError


def _rtsp_url(url: str) -> str:
    try:
        return urls.check_rtsp(url)
    except RequestError as error:
        raise ValueError(str(error)) from None


def _folders(value: object) -> object:
    """``/a:/b`` as a list; what is one already stays."""
    return [Path(part) for part in value.split(os.pathsep)] if isinstance(value, str) else value


Folders = Annotated[list[Path], NoDecode, BeforeValidator(_folders)]
RtspUrl = Annotated[str, AfterValidator(_rtsp_url)]


class AuthSettings(BaseModel):
    """Who may call."""

    token: SecretStr | None = Field(None, description="Made at the first start if not given.")
    require_token: bool = Field(False, description="No free pass for loopback clients.")
    disabled: bool = Field(False, description="Everybody may do everything.")


class StreamSettings(BaseModel):
    """Life of a stream."""

    output_base: RtspUrl | None = Field(
        None, description="RTSP server that takes all default outputs, rtsp://host:port/prefix."
    )
    start_timeout_s: float = Field(
        10.0, description="How long a start waits for the stream to run."
    )
    stop_timeout_s: float = Field(4.5, description="How long stop waits for a stream's threads.")
    open_timeout_s: float = Field(
        4.0,
        description="Opening an input; below stop_timeout_s, since opening cannot be cut short.",
    )
    stall_timeout_s: float = Field(
        4.0, description="Seconds without a frame after which the stream counts as lost."
    )
    idle_output_s: float = Field(
        10.0, description="An output is closed after this long without frames."
    )
    backoff_first_s: float = Field(0.5, description="First pause before a lost end is tried again.")
    backoff_max_s: float = Field(30.0, description="Longest pause before it is tried again.")
    max_pixels: int = Field(50_000_000, description="Larger frames are refused.")


class FaceSettings(BaseModel):
    """How faces are found, and how long one stays covered after it was last seen."""

    width: int = Field(
        960,
        ge=160,
        le=3840,
        description="Longer side of what the network sees. It finds faces from about 16 pixels "
        "of that on: with 960 from 32 pixels of a 1080p picture. 640 halves the cost, 1280 "
        "doubles it.",
    )
    min_confidence: float = Field(0.15, gt=0, lt=1, description="Starts a new track.")
    keep_confidence: float = Field(0.1, gt=0, lt=1, description="Continues a known track.")
    hold_s: float = Field(1.0, ge=0, description="A lost face stays covered for this long.")
    timeout_s: float = Field(2.0, gt=0, description="A later answer withholds the frame.")
    recheck_s: float = Field(
        1.0,
        ge=0,
        description="Where nothing changed, faces are looked for this often; 0: in every frame.",
    )


class ObjectSettings(BaseModel):
    """How people, bags, vehicles, plates and cigarettes are found and followed."""

    weights: str | None = Field(
        None,
        description="Default: the shipped network. Else a file: .xml or .onnx runs on OpenVINO, "
        ".pt or .engine through Ultralytics. A bare name is also looked for in the data folder's "
        "weights.",
    )
    width: int | None = Field(
        None,
        ge=160,
        le=1920,
        description="Longer side of what the network sees. Default: its own, 640 as shipped.",
    )
    min_confidence: float | None = Field(
        None, gt=0, lt=1, description="For all classes. Default: the network's own for each."
    )
    max_crops: int = Field(
        2, ge=0, le=32, description="People looked at again, enlarged, in one frame; 0: none."
    )
    timeout_s: float = Field(2.0, gt=0, description="A later answer counts as none.")
    max_fps: float = Field(
        5.0, gt=0, le=60, description="Looks a second and stream; tracks fill what is between."
    )
    max_wait: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Where frames wait for looks during more than this share of the time, as on a "
        "machine with too many streams, there are fewer looks; 1: always as many.",
    )
    start_confidence: float = Field(0.4, gt=0, lt=1, description="Starts a new track.")
    hold_s: float = Field(1.5, ge=0, description="A track that was lost lives on for this long.")


class PlateSettings(BaseModel):
    """Number plates: uploads, reading, and Claude as the second reader."""

    max_bytes: int = Field(20 * 2**20, ge=1, description="Larger uploads are refused.")
    max_pixels: int = Field(50_000_000, ge=1, description="Larger pictures are refused.")
    max_files: int = Field(32, ge=1, le=1000, description="Pictures in one batch.")
    countries: tuple[str, ...] = Field(
        (), description='Formats of these only, such as ["RU", "KZ"]. Default: all known ones.'
    )
    claude_below: float = Field(
        0.7, ge=0, le=1, description="Readings less sure than this go to Claude, if there is a key."
    )
    claude_timeout_s: float = Field(10.0, gt=0, le=60, description="For all plates of an upload.")
    claude_daily: int = Field(200, ge=0, description="Most calls a day (UTC).")


class PushSettings(BaseModel):
    """Streams whose frames clients push over a WebSocket."""

    max_streams: int = Field(64, ge=1, description="More at once are refused.")
    max_message: int = Field(16 * 2**20, ge=1, description="Bytes of one message.")
    send_timeout_s: float = Field(
        10.0, gt=0, description="A client that takes nothing for this long is disconnected."
    )
    max_bad_frames: int = Field(20, ge=1, description="In a row; then the socket is closed.")
    grace_s: float = Field(2.0, ge=0, description="For reconnects, after the last socket left.")
    unused_s: float = Field(60.0, gt=0, description="A stream nobody ever connected to ends.")


class CollectSettings(BaseModel):
    """Collection jobs."""

    max_jobs: int = Field(16, ge=1, description="More at once are refused.")
    on_restart: Literal["resume", "interrupt"] = Field(
        "resume", description="What becomes of jobs that ran when the server ended."
    )
    gap_s: float = Field(3.0, gt=0, description="Seconds without a frame that make a gap.")
    start_timeout_s: float = Field(
        10.0, gt=0, description="How long a source may take for its first frame."
    )
    backoff_max_s: float = Field(60.0, gt=0, description="Longest pause between attempts.")


class SpaceSettings(BaseModel):
    """How much may be kept: recordings, snapshots and plate images together."""

    min_free: int = Field(2 * 2**30, ge=0, description="Bytes of the disk that stay free.")
    max_bytes: int | None = Field(None, ge=0, description="Of all that is kept; default: no limit.")
    max_days: float | None = Field(
        None, gt=0, description="What is older is removed; default: no limit."
    )
    max_events: int = Field(
        1_000_000,
        ge=1,
        description="Number of events; beyond it the oldest are removed with their snapshots.",
    )
    every_s: float = Field(60.0, gt=0, description="Pause between two sweeps.")


class _Sources(BaseSettings):
    """Where settings come from: the environment, then ``.env``."""

    model_config = SettingsConfigDict(
        env_prefix="WATCHPOST_",
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )


def read_sections(
    sections: Mapping[str, type[BaseModel]], env_file: str | None = ".env"
) -> dict[str, BaseModel]:
    """Settings of parts that declare their own, such as rules, from where ``Settings`` has its.

    Args:
        sections: by name: what is called ``bags`` reads ``WATCHPOST_BAGS__DISTANCE``.

    Raises:
        ValidationError: a value that a section does not take.
    """
    fields: dict[str, Any] = {name: (model, model()) for name, model in sections.items()}
    read = create_model("Sections", __base__=_Sources, **fields)(_env_file=env_file)
    return {name: getattr(read, name) for name in sections}


class Settings(_Sources):
    """What the server is run with; rules have settings of their own."""

    host: str = Field("0.0.0.0", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0: any free one.")
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="The least severe lines that are logged."
    )
    debug: bool = Field(False, description="Logs as much as the log level debug.")
    data_dir: Path = Field(Path("data"), description="Everything that is written lives here.")
    database_url: SecretStr | None = Field(None, description="Default: SQLite in the data folder.")
    secret_key: SecretStr | None = Field(
        None, description="Key that stored credentials are encrypted with; default: a key file."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="What networks run on, where it is there."
    )
    media_dirs: Folders = Field(
        [],
        description="Folders whose video files callers may watch as cameras, with colons between "
        "them. Default: the data folder and the working directory.",
    )
    demo: bool = Field(False, description="Run a stream over bundled photographs.")
    claude_api_key: SecretStr | None = Field(
        None,
        description="Key for Claude as the second reader of plates; without it nothing is sent.",
    )
    claude_model: str = Field("claude-opus-4-5", description="Model for the second reading.")

    auth: AuthSettings = AuthSettings()
    streams: StreamSettings = StreamSettings()
    faces: FaceSettings = FaceSettings()
    objects: ObjectSettings = ObjectSettings()
    plates: PlateSettings = PlateSettings()
    push: PushSettings = PushSettings()
    collect: CollectSettings = CollectSettings()
    space: SpaceSettings = SpaceSettings()

    def allowed_folders(self) -> list[Path]:
        """Folders that files may come from when a caller names them."""
        return self.media_dirs or [self.data_dir, Path.cwd()]

    def recordings_dir(self) -> Path:
        """Where collection jobs keep their files, a folder a job."""
        return self.data_dir / "recordings"

    def resolved_database_url(self) -> str:
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'watchpost.db'}"


def usable_cpus() -> int:
    """CPUs that this process may really use: affinity, and the quota of its control group.

    A container with ``--cpus 2`` on a large host sees all cores; threads for each of them
    would only fight. Source: Linux cgroup v2 ``cpu.max``, cgroup v1 ``cpu.cfs_*``.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _cgroup_cpus()
    return max(1, min(count, quota) if quota else count)


def _cgroup_cpus() -> int | None:
    candidates = (
        ("/sys/fs/cgroup/cpu.max",),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    )
    for files in candidates:
        try:
            quota, period = " ".join(
                Path(file).read_text(encoding="utf-8").strip() for file in files
            ).split()
        except (OSError, ValueError):
            continue
        if quota.lstrip("-").isdigit() and int(quota) > 0:
            return max(1, round(int(quota) / int(period)))
    return None
