"""The settings of the server: read once at the start, then passed down.

Each field can be set by an environment variable with the prefix ``WATCHPOST_`` (nested fields with
two underscores: ``WATCHPOST_STREAMS__OUTPUT_BASE``) or in a ``.env`` file, and some by a flag of
``watchpost serve``. A flag overrides the environment, and the environment overrides the file.
"""

from __future__ import annotations

import ipaddress
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
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app import urls
from app.errors import RequestError
from app.oidc_settings import OidcSettings


def _rtsp_url(url: str) -> str:
    try:
        return urls.check_rtsp(url)
    except RequestError as error:
        raise ValueError(str(error)) from None


def _folders(value: object) -> object:
    """``/a:/b`` as a list; other values stay as they are."""
    return [Path(part) for part in value.split(os.pathsep)] if isinstance(value, str) else value


DeviceName = Literal["auto", "cpu", "gpu", "npu", "cuda", "mps"]
Folders = Annotated[list[Path], NoDecode, BeforeValidator(_folders)]
RtspUrl = Annotated[str, AfterValidator(_rtsp_url)]


class AuthSettings(BaseModel):
    """Authentication."""

    token: SecretStr | None = Field(
        None, description="Token that callers must send. Default: generated at the first start."
    )
    require_token: bool = Field(
        False, description="Require the token from this machine, too, as behind a proxy."
    )
    disabled: bool = Field(False, description="Turn authentication off: anyone may do anything.")
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses or networks of reverse proxies whose `X-Forwarded-For` is "
        'believed, such as ["127.0.0.1", "10.0.0.0/24"]. Default: none.',
    )
    proxy_user_header: str | None = Field(
        None,
        description="Header in which a trusted proxy names the user that it has signed in, such as "
        "`Remote-User`. Default: no header is believed.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for network in given:
            ipaddress.ip_network(network, strict=False)  # raises ValueError
        return given


class AuditSettings(BaseModel):
    """The audit log: who did or saw what."""

    max_days: float | None = Field(
        365.0, gt=0, description="Age in days after which rows are removed."
    )


class TlsSettings(BaseModel):
    """HTTPS without a reverse proxy."""

    cert: Path | None = Field(
        None, description="Certificate chain, PEM. The server then speaks HTTPS only."
    )
    key: Path | None = Field(
        None, description="Key of the certificate, PEM. Renewed files are used within 10 s."
    )


class StreamSettings(BaseModel):
    """Start, stop and reconnection of streams."""

    output_base: RtspUrl | None = Field(
        None, description="RTSP server for all default outputs, rtsp://host:port/prefix."
    )
    start_timeout_s: float = Field(
        10.0, description="How long a start waits until the stream runs."
    )
    stop_timeout_s: float = Field(4.5, description="How long stop waits for a stream's threads.")
    open_timeout_s: float = Field(
        4.0,
        description="Time limit for opening an input. Keep it below stop_timeout_s, since opening "
        "cannot be interrupted.",
    )
    stall_timeout_s: float = Field(
        4.0, description="Seconds without a frame after which a source counts as lost."
    )
    idle_output_s: float = Field(
        10.0, description="Seconds without a frame after which an output is closed."
    )
    backoff_first_s: float = Field(
        0.5, description="Pause before the first attempt to reconnect; it doubles each time."
    )
    backoff_max_s: float = Field(30.0, description="Longest pause between two attempts.")
    max_pixels: int = Field(50_000_000, description="Largest frame, in pixels.")
    record_height: int = Field(
        720,
        ge=144,
        le=1080,
        description="Most pixels of the shorter side in clips and recordings of a stream that has "
        "no RTSP output; with one, its video is used.",
    )
    record_fps: float = Field(
        5.0,
        ge=1,
        le=30,
        description="Most frames per second in clips and recordings of a stream that has no RTSP "
        "output.",
    )
    decoder: Literal["auto", "cpu", "cuda", "videotoolbox", "d3d11va", "qsv", "amf", "v4l2m2m"] = (
        Field(
            "auto",
            description="Hardware that decodes video: `cuda` (NVIDIA), `qsv` (Intel), `amf` (AMD), "
            "`videotoolbox` (Apple), `v4l2m2m` (Raspberry Pi). `auto` takes the first that decodes "
            "a test frame, else the CPU.",
        )
    )


class FaceSettings(BaseModel):
    """Face detection, and how long a lost face stays covered."""

    width: int = Field(
        960,
        ge=160,
        le=3840,
        description="Longer side of the network's input, in pixels. It finds faces from about 12 "
        "pixels of it: with 960, from about 24 pixels of a 1080p frame. 640 halves the cost, 1280 "
        "doubles it.",
    )
    min_confidence: float = Field(
        0.15, gt=0, lt=1, description="Lowest confidence that starts a track."
    )
    keep_confidence: float = Field(
        0.1, gt=0, lt=1, description="Lowest confidence that continues a track."
    )
    hold_s: float = Field(1.0, ge=0, description="Seconds for which a lost face stays covered.")
    timeout_s: float = Field(
        2.0, gt=0, description="A frame whose faces are not known by then is withheld."
    )
    recheck_s: float = Field(
        1.0,
        ge=0,
        description="Seconds after which unchanged parts of the frame are searched again; 0 "
        "searches every frame completely.",
    )


class ObjectSettings(BaseModel):
    """Detection and tracking of people, bags, vehicles, plates and cigarettes."""

    weights: str | None = Field(
        None,
        description="File of another network: .xml and .onnx run on OpenVINO, .pt and .engine "
        "through Ultralytics. A bare name may also be a file in the data folder's `weights`. "
        "Default: the shipped network.",
    )
    width: int | None = Field(
        None,
        ge=160,
        le=1920,
        description="Longer side of the network's input, in pixels. Default: the network's own, "
        "640 for the shipped one.",
    )
    min_confidence: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Lowest confidence of a detection, for all classes. Default: the network's "
        "own for each.",
    )
    max_crops: int = Field(
        2,
        ge=0,
        le=32,
        description="How many people are examined again, enlarged, in each analysed frame; 0: "
        "none.",
    )
    timeout_s: float = Field(2.0, gt=0, description="Time limit of an inference.")
    max_fps: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Frames analysed per second and stream; between them objects are tracked.",
    )
    max_wait: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Fewer frames are analysed if frames wait for inference during more than this "
        "share of the time, as on a machine with too many streams. 1: never fewer.",
    )
    recheck_s: float = Field(
        1.0,
        ge=0,
        le=60,
        description="Objects are only searched for where a frame changed; after this many seconds "
        "in all of it, or after four times as many where nothing has changed for long. 0: always "
        "in all of it.",
    )
    start_confidence: float = Field(
        0.4, gt=0, lt=1, description="Lowest confidence that starts a track."
    )
    hold_s: float = Field(1.5, ge=0, description="Seconds for which a lost track is kept.")


class PlateSettings(BaseModel):
    """Number plates: uploads, reading, and Claude as the second reader."""

    max_bytes: int = Field(20 * 2**20, ge=1, description="Largest upload, in bytes.")
    max_pixels: int = Field(50_000_000, ge=1, description="Largest image, in pixels.")
    max_files: int = Field(32, ge=1, le=1000, description="Most images in one batch.")
    max_waiting: int = Field(
        32,
        ge=0,
        le=10_000,
        description="Uploads that may wait while others are read; more are answered with 429.",
    )
    max_wait_s: float = Field(
        20.0,
        gt=0,
        le=600,
        description="Seconds after which an upload that still waits is answered with 429.",
    )
    countries: tuple[str, ...] = Field(
        (),
        description='Countries whose formats are expected, such as ["RU", "KZ"]. Default: all '
        "known ones.",
    )
    claude_below: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Readings with a lower confidence are sent to Claude, if there is a key.",
    )
    claude_timeout_s: float = Field(
        10.0, gt=0, le=60, description="Time limit of Claude for all plates of an upload."
    )
    claude_daily: int = Field(200, ge=0, description="Most calls to Claude per day (UTC).")


class PushSettings(BaseModel):
    """Streams whose frames clients push over a WebSocket."""

    max_streams: int = Field(64, ge=1, description="Most push streams at the same time.")
    max_message: int = Field(16 * 2**20, ge=1, description="Largest message, in bytes.")
    send_timeout_s: float = Field(
        10.0,
        gt=0,
        le=3600,
        description="A client that reads nothing for this long is disconnected; its connection is "
        "closed after twice that.",
    )
    max_bad_frames: int = Field(
        20, ge=1, description="Bad frames in a row after which the socket is closed."
    )
    grace_s: float = Field(
        2.0, ge=0, description="Seconds in which a client may reconnect before the stream ends."
    )
    unused_s: float = Field(
        60.0, gt=0, description="Seconds after which a stream ends if no client ever connected."
    )


class CollectSettings(BaseModel):
    """Collection jobs."""

    max_jobs: int = Field(16, ge=1, description="Most jobs at the same time.")
    on_restart: Literal["resume", "interrupt"] = Field(
        "resume", description="What happens to jobs that were running when the server stopped."
    )
    gap_s: float = Field(3.0, gt=0, description="Seconds without a frame that count as a gap.")
    start_timeout_s: float = Field(
        10.0, gt=0, description="Time limit for the first frame of a source."
    )
    backoff_max_s: float = Field(60.0, gt=0, description="Longest pause between two attempts.")


class RecordingSettings(BaseModel):
    """Clips of events and continuous recordings of cameras: files, and how long they are kept."""

    segment_s: float = Field(
        300.0, ge=10, le=3600, description="Length of the files of a continuous recording."
    )
    continuous_days: float | None = Field(
        7.0, gt=0, description="Age in days after which continuous recordings are removed."
    )
    event_days: float | None = Field(
        30.0, gt=0, description="Age in days after which clips of events are removed."
    )
    flagged_days: float | None = Field(
        None,
        gt=0,
        description="Age in days after which flagged clips and recordings are removed. Default: "
        "they are kept, and are the last to be removed for space.",
    )


class SpaceSettings(BaseModel):
    """Retention: limits for recordings, snapshots and plate images together."""

    min_free: int = Field(2 * 2**30, ge=0, description="Bytes of the disk that must stay free.")
    max_bytes: int | None = Field(
        None, ge=0, description="Most bytes that are stored. Default: no limit."
    )
    max_days: float | None = Field(
        None, gt=0, description="Age in days after which files are removed. Default: no limit."
    )
    max_events: int = Field(
        1_000_000,
        ge=1,
        description="Most events that are stored; the oldest are removed with their snapshots.",
    )
    every_s: float = Field(60.0, gt=0, description="Seconds between two checks of the limits.")


class NotifySettings(BaseModel):
    """Notifications: webhooks, MQTT, messengers and the phone."""

    base_url: str | None = Field(
        None,
        max_length=500,
        pattern=r"^https?://[^\s/]+(/[^\s?#]*)?$",
        description="URL of this server as receivers reach it, such as https://cameras.example. "
        "Links in messages begin with it; without it they are paths.",
    )
    local_receivers: tuple[str, ...] = Field(
        (),
        description="Addresses or networks of receivers that are not public, such as "
        '["192.168.1.0/24", "127.0.0.1"]. Default: none may be used.',
    )
    timeout_s: float = Field(
        10.0, gt=0, le=60, description="How long a target may take for one message."
    )
    give_up_s: float = Field(
        86_400.0, gt=0, description="How long a message is tried before it counts as dead."
    )
    link_s: float = Field(
        86_400.0,
        gt=0,
        le=7 * 86_400,
        description="Seconds for which the link to a snapshot in a message to a phone is valid.",
    )
    contact: str | None = Field(
        None,
        max_length=200,
        pattern=r"^(mailto:[^\s@]+@[^\s@]+|https://\S+)$",
        description="`mailto:` or `https:` URL that push services get with messages to phones. "
        "Default: that of the project.",
    )
    keep_days: float = Field(
        7.0, gt=0, description="Days for which sent and dead messages are listed."
    )
    max_waiting: int = Field(
        10_000, ge=1, description="Most messages that wait for one target; the oldest are dropped."
    )

    @field_validator("local_receivers")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for network in given:
            ipaddress.ip_network(network, strict=False)  # raises ValueError
        return given


class _Sources(BaseSettings):
    """Reads settings from the environment, then from ``.env``."""

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
    """Read settings that are declared elsewhere, such as those of rules.

    They come from the same places as ``Settings``.

    Args:
        sections: classes by name; ``bags`` reads ``WATCHPOST_BAGS__DISTANCE``.

    Raises:
        ValidationError: a value is not valid.
    """
    fields: dict[str, Any] = {name: (model, model()) for name, model in sections.items()}
    read = create_model("Sections", __base__=_Sources, **fields)(_env_file=env_file)
    return {name: getattr(read, name) for name in sections}


class ClusterSettings(BaseModel):
    """Streams on the machines of a Ray cluster."""

    address: str | None = Field(
        None,
        description="The Ray cluster that streams run on: `auto` (the one of this machine), "
        "`ray://host:10001`, or `local` (one that ends with this process). Default: none, and "
        "streams run in this process.",
    )
    cpu_per_stream: float | None = Field(
        None,
        gt=0,
        description="Cores that each stream reserves. Ray places no more streams on a machine than "
        "its cores allow. Default: what follows from a stream's options and what was measured on "
        "the machines.",
    )
    sites: dict[str, str] = Field(
        {},
        description="Sites of streams, by patterns of their ids, and of jobs, by their names: with "
        '`{"yard-*": "north"}`, '
        "those run only on nodes that were started with `ray start "
        "--resources='{\"site:north\": 1}'`.",
    )
    lease_s: float = Field(
        6.0,
        ge=3,
        le=60,
        description="Seconds for which a machine may publish to RTSP outputs after it has renewed "
        "its leases in the database. A cut-off machine has stopped, and another one may publish, "
        "after this time.",
    )

    workers: int = Field(
        1,
        ge=1,
        le=99,
        description="Processes that run streams on this machine, each with some of its cores: for "
        "machines with more cores than one process can use. Above 1, streams run in a "
        "cluster of this machine alone, as with the address `local`.",
    )

    @model_validator(mode="after")
    def _several_workers_are_a_cluster(self) -> ClusterSettings:
        if self.workers > 1:
            if self.address not in (None, "local"):
                raise ValueError(
                    f"workers of a cluster's machines are set where Ray is started: ray start "
                    f"--resources '{{\"workers\": {self.workers}}}'"
                )
            self.address = "local"
        return self

    @field_validator("address")
    @classmethod
    def _known_address(cls, address: str | None) -> str | None:
        if address is None or address in ("auto", "local") or address.startswith("ray://"):
            return address
        raise ValueError("use auto, local or ray://host:port")


class Settings(_Sources):
    """The settings of the server; rules declare their own."""

    host: str = Field("0.0.0.0", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0: any free one.")
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="Lowest level of messages that are logged."
    )
    debug: bool = Field(False, description="The same as the log level debug.")
    data_dir: Path = Field(Path("data"), description="Folder for everything that is written.")
    database_url: SecretStr | None = Field(
        None, description="URL of the database. Default: SQLite in the data folder."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Key that encrypts stored credentials. Default: the file secret.key in the "
        "data folder.",
    )
    device: DeviceName = Field(
        "auto",
        description="Device that networks run on: `cpu`, `gpu` (Intel), `npu` (Intel), `cuda` "
        "(NVIDIA), `mps` (Apple). `auto` takes an accelerator that computes the same as the CPU, "
        "else the CPU.",
    )
    media_dirs: Folders = Field(
        [],
        description="Folders with video files that callers may open, separated by colons. "
        "Default: the data folder and the working directory.",
    )
    demo: bool = Field(False, description="Run a stream of bundled photographs.")
    claude_api_key: SecretStr | None = Field(
        None,
        description="Key for Claude as the second reader of plates; without it nothing is sent.",
    )
    claude_model: str = Field("claude-opus-4-5", description="Claude model for the second reading.")

    auth: AuthSettings = AuthSettings()
    oidc: OidcSettings = OidcSettings()
    tls: TlsSettings = TlsSettings()
    audit: AuditSettings = AuditSettings()
    streams: StreamSettings = StreamSettings()
    faces: FaceSettings = FaceSettings()
    objects: ObjectSettings = ObjectSettings()
    plates: PlateSettings = PlateSettings()
    push: PushSettings = PushSettings()
    collect: CollectSettings = CollectSettings()
    recording: RecordingSettings = RecordingSettings()
    space: SpaceSettings = SpaceSettings()
    notify: NotifySettings = NotifySettings()
    cluster: ClusterSettings = ClusterSettings()

    def allowed_folders(self) -> list[Path]:
        """Folders with files that callers may open."""
        return self.media_dirs or [self.data_dir, Path.cwd()]

    def writable_data_dir(self) -> Path | None:
        """The data folder; None if it is not there, or belongs to somebody else."""
        return self.data_dir if os.access(self.data_dir, os.W_OK | os.X_OK) else None

    def recordings_dir(self) -> Path:
        """The folder of recordings, with one folder for each job."""
        return self.data_dir / "recordings"

    def footage_dir(self) -> Path:
        """The folder of clips and continuous recordings."""
        return self.data_dir / "footage"

    def resolved_database_url(self) -> str:
        """The URL of the database, with the default filled in."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'watchpost.db'}"


def usable_cpus() -> int:
    """The number of CPUs that this process may use, by its affinity and its cgroup's quota.

    A container with ``--cpus 2`` on a large host sees all cores; a thread for each of them would
    only compete for two. Source: Linux cgroup v2 ``cpu.max``, cgroup v1 ``cpu.cfs_*``.
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
