"""The doctor: its checks, what costs mean in cameras, its command and its exit codes."""

from __future__ import annotations

import json
import os
import platform
import resource
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures import python

from app.audit import AuditEntry
from app.config import Settings
from app.data_folder import locked
from app.db.audit import AuditRepository
from app.db.engine import open_database
from app.db.vault import open_vault
from app.doctor import __main__ as command
from app.doctor import capacity, machine, report, surroundings
from app.doctor.__main__ import main
from app.doctor.accelerators import accelerators, advised
from app.doctor.findings import Finding, Phrase, Status
from app.doctor.measure import Costs
from app.doctor.ray_nodes import ray_nodes
from app.models import devices
from app.models.devices import DEVICES

COSTS = Costs(
    decode=6,
    resize=2,
    faces=8,
    blur=1,
    encode=10,
    whole_face=20,
    objects=80,
    crop=40,
    cores=4,
    face_device="CPU, OpenVINO 2026.4",
    object_device="CPU, OpenVINO 2026.4",
    device_ms=(0.0, 0.0),
    encoder="libx264",
    seconds=9.0,
)
BLUR, _, ANALYTICS, _ = capacity.LOADS
GPU = Phrase("a GPU")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, port=0)


# ── checks ───────────────────────────────────────────────────────────────────────────────────


def test_a_data_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = surroundings.data_folder(tmp_path / "file" / "data")
    assert found.status is Status.PROBLEM
    assert "--data-dir" in found.advice


def test_a_data_folder_that_is_not_there_yet_is_fine(tmp_path: Path) -> None:
    assert surroundings.data_folder(tmp_path / "a" / "b").status is Status.OK
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("mode", "status"), [(0o600, Status.OK), (0o644, Status.WARNING)])
def test_secrets_that_others_can_read_are_named(mode: int, status: Status, tmp_path: Path) -> None:
    (tmp_path / "secret.key").touch(mode)
    (tmp_path / "secret.key").chmod(mode)
    found = surroundings.data_folder(tmp_path)
    assert found.status is status
    assert ("secret.key" in found.text) == (status is Status.WARNING)


def test_a_full_disk_is_a_problem(settings: Settings) -> None:
    assert surroundings.disk(settings).status is Status.OK
    settings.space.min_free = 10**18
    assert surroundings.disk(settings).status is Status.PROBLEM


def test_a_port_in_use_is_a_problem_unless_watchpost_itself_runs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = Settings(data_dir=tmp_path, host="127.0.0.1", port=port)
        assert surroundings.port(settings).status is Status.PROBLEM
        with locked(tmp_path):
            assert surroundings.port(settings).status is Status.OK
    assert surroundings.port(settings).status is Status.OK


def test_looking_for_a_running_server_creates_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        used = Settings(data_dir=tmp_path / "data", host="127.0.0.1", port=port)
        assert surroundings.port(used).status is Status.PROBLEM
        used.data_dir.mkdir()
        assert surroundings.port(used).status is Status.PROBLEM
    assert list(used.data_dir.iterdir()) == []


def test_a_data_folder_of_somebody_else_is_said_and_not_used(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> bool:
        raise PermissionError(13, "Permission denied")

    assert settings.writable_data_dir() == settings.data_dir
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert settings.writable_data_dir() is None
    monkeypatch.setattr(tempfile, "TemporaryFile", refuses)
    monkeypatch.setattr(Path, "exists", refuses)
    assert surroundings.data_folder(settings.data_dir).status is Status.PROBLEM
    assert surroundings.audit_log(settings).status is Status.WARNING
    assert surroundings.database(settings).status is Status.PROBLEM


def test_an_rtsp_output_that_cannot_be_reached_is_a_problem(settings: Settings) -> None:
    assert surroundings.rtsp_output(settings).status is Status.OK
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"rtsp://me:hidden@127.0.0.1:{listener.getsockname()[1]}/out"
        settings.streams.output_base = url
        assert surroundings.rtsp_output(settings).status is Status.OK
    found = surroundings.rtsp_output(settings)
    assert found.status is Status.PROBLEM
    assert "hidden" not in str(found)


def test_a_database_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me:hidden@127.0.0.1:1/watchpost"
    found = surroundings.database(Settings(data_dir=tmp_path, database_url=url))
    assert found.status is Status.PROBLEM
    assert "hidden" not in str(found)


def test_a_new_database_is_not_created(settings: Settings) -> None:
    assert "not created yet" in surroundings.database(settings).text
    assert not list(settings.data_dir.iterdir())


def test_a_broken_audit_log_is_a_problem(settings: Settings) -> None:
    assert surroundings.audit_log(settings).status is Status.OK
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    vault = open_vault(settings.data_dir, None)
    engine = open_database(settings.resolved_database_url(), vault)
    log = AuditRepository(engine, vault)
    for _ in range(3):
        log.append(AuditEntry("user 1", "", "POST /collect"))
    assert surroundings.audit_log(settings).status is Status.OK
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM audit WHERE audit_id = 2")
    engine.dispose()
    found = surroundings.audit_log(settings)
    assert found.status is Status.PROBLEM
    assert "row 2 is missing" in found.text


def test_few_open_files_and_little_memory_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    assert machine.open_files().status is Status.WARNING
    monkeypatch.setattr(machine, "_memory", lambda: (2**30, 2**29))
    assert machine.memory().status is Status.WARNING


def test_a_cpu_without_avx2_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(machine, "usable_cpus", lambda: 2)
    monkeypatch.setattr(machine, "_cpu_info", lambda: ("old", {"sse4_1", "avx"}))
    assert machine.cpu().status is Status.WARNING
    monkeypatch.setattr(machine, "_cpu_info", lambda: ("new", {"sse4_1", "avx2"}))
    assert machine.cpu().status is Status.OK


def test_hardware_that_lacks_its_package_gets_the_advice_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(devices.HARDWARE, "cuda", lambda: True)
    monkeypatch.setattr(devices, "_onnx_providers", list)
    warnings = [one for one in accelerators("auto") if one.status is Status.WARNING]
    assert [one.advice for one in warnings if one.name == "device cuda"] == [DEVICES[0].packages]
    assert DEVICES[0].packages in advised()


# ── capacity ─────────────────────────────────────────────────────────────────────────────────


def test_more_cores_and_lower_costs_mean_more_cameras() -> None:
    now = BLUR.cameras(COSTS)
    assert BLUR.cameras(replace(COSTS, cores=8)) == pytest.approx(2 * now)
    assert BLUR.cameras(replace(COSTS, encode=1)) > now
    assert ANALYTICS.cameras(COSTS) < now


def test_a_camera_that_is_processed_at_fewer_frames_is_decoded_as_before() -> None:
    fewer = capacity.LOADS[1]
    decoding = fewer.cpu_ms(COSTS) - fewer.cpu_ms(replace(COSTS, decode=0))
    assert decoding == pytest.approx(BLUR.cpu_ms(COSTS) - BLUR.cpu_ms(replace(COSTS, decode=0)))
    assert fewer.cameras(COSTS) > BLUR.cameras(COSTS)


def test_an_accelerator_limits_the_cameras_too() -> None:
    on_gpu = replace(COSTS, faces=0.5, objects=1, crop=1, device_ms=(1.0, 5.0))
    assert BLUR.cameras(on_gpu) > BLUR.cameras(COSTS)
    slow = replace(on_gpu, device_ms=(30.0, 5.0))
    assert BLUR.cameras(slow) == pytest.approx(0.93 * 1000 / (15 * 30))


def test_the_demo_is_fluent_on_four_cores_and_not_on_a_slow_one() -> None:
    assert capacity.demo_fps(COSTS) == 15
    assert capacity.is_fluent(capacity.demo_fps(COSTS))
    slow = replace(COSTS, cores=1, whole_face=60, objects=300, crop=200)
    assert capacity.demo_fps(slow) < 6
    assert not capacity.is_fluent(capacity.demo_fps(slow))


def test_suggestions_are_the_most_effective_first_and_all_help() -> None:
    found = capacity.suggestions(COSTS, 960, GPU)
    cameras = [one.cameras for one in found]
    assert cameras == sorted(cameras, reverse=True)
    assert min(cameras) > BLUR.cameras(COSTS)
    assert any("FACES__WIDTH" in one.text for one in found)
    assert not any("FACES__WIDTH" in one.text for one in capacity.suggestions(COSTS, 640, GPU))


# ── the command ──────────────────────────────────────────────────────────────────────────────


def test_the_exit_code_says_whether_the_server_can_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_node = ray_nodes(tmp_path / "proc")  # tests of clusters run some on this machine
    monkeypatch.setattr(surroundings, "ray_nodes", lambda: no_node)
    arguments = ["--quick", "--json", "--port", "0", "--data-dir"]
    assert main([*arguments, str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["healthy"] is True
    (tmp_path / "file").touch()
    assert main([*arguments, str(tmp_path / "file" / "data")]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["healthy"] is False
    assert "data folder" in [one["name"] for one in told["findings"] if one["status"] == "problem"]


def test_flags_are_settings_and_leave_the_others_of_their_group(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    seen: list[Settings] = []

    def examine(given: Settings, **_: object) -> report.Report:
        seen.append(given)
        return report.Report((), None, 960)

    monkeypatch.setattr(command, "examine", examine)
    monkeypatch.setenv("WATCHPOST_STREAMS__STOP_TIMEOUT_S", "7")
    flags = ("--output-base", "rtsp://127.0.0.1:8554", "--weights", "own.xml")
    assert main([*flags, "--database-url", "sqlite:///a.db", "--data-dir", str(tmp_path)]) == 0
    (given,) = seen
    assert given.streams.output_base == "rtsp://127.0.0.1:8554"
    assert given.streams.stop_timeout_s == 7
    assert given.objects.weights == "own.xml"
    assert given.resolved_database_url() == "sqlite:///a.db"


def test_invalid_settings_are_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--port", "99999999", "--data-dir", str(tmp_path)]) == 2
    assert "port" in capsys.readouterr().err


@pytest.mark.parametrize(("rate", "warns"), [(7.0, True), (14.0, False), (None, False)])
def test_a_demo_that_will_not_be_fluent_is_a_warning(
    rate: float | None, warns: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"demo_fps": rate}), encoding="utf-8")
    assert main(["--demo-from", str(file)]) == 0
    assert ("not look fluent" in capsys.readouterr().err) == warns
    assert main(["--demo-from", str(tmp_path / "missing.json")]) == 0


def test_the_report_as_text_says_what_the_costs_mean() -> None:
    found = report.Report((Finding("disk", Status.OK, Phrase("9 GiB free")),), COSTS, 960)
    text = "\n".join(found.lines())
    assert f"{BLUR.cameras(COSTS):.1f} cameras of {BLUR.name}" in text
    assert "encode H.264" in text


@pytest.mark.long
def test_measuring_gives_a_cost_for_every_part(settings: Settings) -> None:
    costs = report.measured_costs(settings)
    assert isinstance(costs, Costs), costs
    assert all(getattr(costs, part) > 0 for part in report.TITLES)
    assert costs.whole_face > costs.faces  # a camera that does not move is searched in part
    assert costs.objects > costs.crop
    assert costs.device_ms == (0.0, 0.0)


def test_a_network_that_cannot_be_loaded_is_a_problem(settings: Settings) -> None:
    settings.objects.weights = "missing.onnx"
    found = report.measured_costs(settings)
    assert isinstance(found, Finding)
    assert found.status is Status.PROBLEM
    assert "missing.onnx" in found.text


def test_the_module_is_a_command(tmp_path: Path) -> None:
    done = python(tmp_path, "from app.doctor.__main__ import main; main(['--quick'])")
    assert done.returncode == 0, done.stderr
    assert "disk" in done.stdout
