"""Every setting, from a flag, the environment or a .env file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from app import cli, config
from app.analytics.rules import read_rule_settings
from app.config import Settings, usable_cpus

# flag, its value, setting, value of the setting, environment name, environment value
WAYS = [
    ("--host", "127.0.0.9", "host", "127.0.0.9", "HOST"),
    ("--port", "9123", "port", 9123, "PORT"),
    ("--log-level", "warning", "log_level", "warning", "LOG_LEVEL"),
    ("--database-url", "sqlite:///x.db", "database_url", "sqlite:///x.db", "DATABASE_URL"),
    ("--claude-api-key", "sk-ant-1", "claude_api_key", "sk-ant-1", "CLAUDE_API_KEY"),
    ("--claude-model", "claude-x", "claude_model", "claude-x", "CLAUDE_MODEL"),
    ("--debug", None, "debug", True, "DEBUG"),
    ("--data-dir", "/tmp/elsewhere", "data_dir", Path("/tmp/elsewhere"), "DATA_DIR"),
    ("--media-dir", "/a", "media_dirs", [Path("/a")], "MEDIA_DIRS"),
    ("--device", "cpu", "device", "cpu", "DEVICE"),
    ("--weights", "yolo11m.pt", "objects.weights", "yolo11m.pt", "OBJECTS__WEIGHTS"),
    ("--demo", None, "demo", True, "DEMO"),
    ("--output-base", "rtsp://h/b", "streams.output_base", "rtsp://h/b", "STREAMS__OUTPUT_BASE"),
    ("--token", "t0ken", "auth.token", "t0ken", "AUTH__TOKEN"),
    ("--require-token", None, "auth.require_token", True, "AUTH__REQUIRE_TOKEN"),
    ("--cluster", "ray://h:1", "cluster.address", "ray://h:1", "CLUSTER__ADDRESS"),
    ("--workers", "3", "cluster.workers", 3, "CLUSTER__WORKERS"),
    ("--no-auth", None, "auth.disabled", True, "AUTH__DISABLED"),
    ("--tls-cert", "/c.pem", "tls.cert", Path("/c.pem"), "TLS__CERT"),
    ("--tls-key", "/k.pem", "tls.key", Path("/k.pem"), "TLS__KEY"),
]  # fmt: skip
NOT_SETTINGS = {"--help", "--reload"}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a .env, and an environment without settings."""
    import os

    for name in list(os.environ):
        if name.startswith("WATCHPOST_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def value_of(settings: Settings, path: str) -> object:
    value: object = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def environment_value(value: str | None) -> str:
    return "true" if value is None else value


def test_every_flag_is_tested_here(capsys: pytest.CaptureFixture[str]) -> None:
    import re

    with pytest.raises(SystemExit):
        cli.parse(["--help"])
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out.partition("options:")[2]))
    assert flags - NOT_SETTINGS == {way[0] for way in WAYS}


def test_there_may_be_several_folders_of_files() -> None:
    assert Settings().allowed_folders() == [Path("data"), Path.cwd()]
    cli.to_environment(cli.parse(["--media-dir", "/a", "--media-dir", "b c"]))
    assert Settings().allowed_folders() == [Path("/a"), Path("b c")]


def test_without_any_flag_the_defaults_stay() -> None:
    cli.to_environment(cli.parse([]))
    settings = Settings()
    assert settings == Settings(_env_file=None)
    assert (settings.host, settings.port, settings.data_dir) == ("0.0.0.0", 8000, Path("data"))
    assert (settings.demo, settings.debug, settings.device) == (False, False, "auto")
    assert (settings.auth.disabled, settings.auth.require_token) == (False, False)


@pytest.mark.parametrize(("flag", "given", "path", "expected", "name"), WAYS)
def test_a_flag_reaches_the_settings(
    flag: str, given: str | None, path: str, expected: object, name: str
) -> None:
    cli.to_environment(cli.parse([flag] if given is None else [flag, given]))
    assert value_of(Settings(), path) == expected


@pytest.mark.parametrize(("flag", "given", "path", "expected", "name"), WAYS)
def test_the_environment_reaches_the_settings(
    flag: str,
    given: str | None,
    path: str,
    expected: object,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"WATCHPOST_{name}", environment_value(given))
    assert value_of(Settings(), path) == expected


@pytest.mark.parametrize(("flag", "given", "path", "expected", "name"), WAYS)
def test_an_env_file_reaches_the_settings(
    flag: str, given: str | None, path: str, expected: object, name: str, nowhere: Path
) -> None:
    (nowhere / ".env").write_text(
        f"WATCHPOST_{name}={environment_value(given)}\n", encoding="utf-8"
    )
    assert value_of(Settings(), path) == expected


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nowhere / ".env").write_text(
        "WATCHPOST_PORT=1\nWATCHPOST_HOST=file\nWATCHPOST_DEVICE=cpu\n", encoding="utf-8"
    )
    monkeypatch.setenv("WATCHPOST_PORT", "2")
    monkeypatch.setenv("WATCHPOST_HOST", "environment")
    cli.to_environment(cli.parse(["--port", "3"]))
    settings = Settings()
    assert (settings.port, settings.host, settings.device) == (3, "environment", "cpu")


RULE_SETTINGS = [
    ("smoking", "confirm", "SMOKING__CONFIRM", "5", 5),
    ("bags", "unattended_s", "BAGS__UNATTENDED_S", "30", 30.0),
    ("plates", "gap_s", "PLATE_RULE__GAP_S", "7", 7.0),
]


@pytest.mark.parametrize(("rule", "field", "name", "value", "expected"), RULE_SETTINGS)
def test_rules_have_their_settings_from_the_environment_and_else_from_the_file(
    rule: str,
    field: str,
    name: str,
    value: str,
    expected: object,
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    default = getattr(read_rule_settings()[rule], field)
    assert default != expected
    (nowhere / ".env").write_text(f"WATCHPOST_{name}={value}\n", encoding="utf-8")
    assert getattr(read_rule_settings()[rule], field) == expected
    assert getattr(read_rule_settings(env_file=None)[rule], field) == default
    (nowhere / ".env").write_text(f"WATCHPOST_{name}=99\n", encoding="utf-8")
    monkeypatch.setenv(f"WATCHPOST_{name}", value)
    assert getattr(read_rule_settings()[rule], field) == expected
    monkeypatch.setenv(f"WATCHPOST_{name}", "")
    (nowhere / ".env").write_text("", encoding="utf-8")
    assert getattr(read_rule_settings()[rule], field) == default


def test_a_rules_settings_from_two_places_do_not_undo_each_other(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nowhere / ".env").write_text("WATCHPOST_BAGS__DISTANCE=9\n", encoding="utf-8")
    monkeypatch.setenv("WATCHPOST_BAGS__SETTLE_S", "8")
    bags = read_rule_settings()["bags"]
    assert bags.model_dump(include={"distance", "settle_s"}) == {"distance": 9, "settle_s": 8}


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("BAGS__DISTANCE", "-1", "bags.distance: Input should be greater than 0"),
        ("PLATE_RULE__MIN_WIDTH", "x", "plate_rule.min_width: Input should be a valid integer"),
        ("SMOKING__CONFIRM", "9", "smoking: Value error, confirm cannot be above window"),
        ("BAGS__COLOUR", "red", "bags.colour: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_setting_of_a_rule_ends_the_start_in_words(
    name: str, value: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"WATCHPOST_{name}", value)
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve"])
    assert str(ended.value).startswith(complaint)


def test_two_nested_settings_from_two_places_do_not_undo_each_other(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nowhere / ".env").write_text("WATCHPOST_AUTH__TOKEN=from-file\n", encoding="utf-8")
    monkeypatch.setenv("WATCHPOST_AUTH__REQUIRE_TOKEN", "true")
    settings = Settings()
    assert value_of(settings, "auth.token") == "from-file"
    assert settings.auth.require_token


@pytest.mark.parametrize(("flag", "given", "path", "expected", "name"), WAYS)
def test_an_empty_value_is_as_if_it_were_not_there(
    flag: str, given: str | None, path: str, expected: object, name: str, nowhere: Path
) -> None:
    """A .env copied from .env.example has empty lines."""
    (nowhere / ".env").write_text(f"WATCHPOST_{name}=\n", encoding="utf-8")
    assert value_of(Settings(), path) == value_of(Settings(_env_file=None), path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("PORT", "-1"),
        ("PORT", "http"),
        ("LOG_LEVEL", "loud"),
        ("DEVICE", "tpu"),
        ("STREAMS__OUTPUT_BASE", "http://192.0.2.1/x"),
        ("FACES__WIDTH", "10"),
        ("FACES__TIMEOUT_S", "0"),
        ("OBJECTS__WIDTH", "10"),
        ("OBJECTS__MIN_CONFIDENCE", "1"),
        ("OBJECTS__MAX_CROPS", "-1"),
    ],
)
def test_nonsense_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"WATCHPOST_{name}", value)
    with pytest.raises((ValidationError, ValueError)):
        Settings()


def test_no_secret_is_in_what_settings_print(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTH__TOKEN", "CLAUDE_API_KEY", "SECRET_KEY"):
        monkeypatch.setenv(f"WATCHPOST_{name}", "hidden-value")
    monkeypatch.setenv("WATCHPOST_DATABASE_URL", "postgresql://u:hidden-value@h/db")
    assert "hidden-value" not in repr(Settings()) + str(Settings())


def test_no_secret_is_in_the_complaint_about_wrong_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATCHPOST_STREAMS__OUTPUT_BASE", "http://u:hidden-value@192.0.2.1/")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "hidden-value" not in str(caught.value)


def test_the_database_lies_in_the_data_folder_unless_told_otherwise(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).resolved_database_url() == (
        f"sqlite:///{tmp_path}/watchpost.db"
    )
    other = Settings(database_url=SecretStr("sqlite:///elsewhere.db"))
    assert other.resolved_database_url() == "sqlite:///elsewhere.db"


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, None),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_the_quota_of_a_container_is_read(
    files: dict[str, str], cpus: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    real = Path

    def moved(path: str) -> Path:
        return real(str(path).replace("/sys/fs/cgroup", str(tmp_path)))

    monkeypatch.setattr(config, "Path", moved)
    assert config._cgroup_cpus() == cpus
    assert usable_cpus() >= 1
    if cpus:
        assert usable_cpus() <= cpus
