"""The files in deploy/, the Dockerfile and the workflow, without containers."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures import ROOT

from app import cli
from app.config import Settings

DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose"


def tool(name: str, *arguments: str) -> str:
    """The output of a program that must succeed."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([name, *arguments], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# ── Prometheus ───────────────────────────────────────────────────────────────────────────────


def test_prometheus_takes_configuration_and_rules() -> None:
    said = tool("promtool", "check", "config", str(DEPLOY / "prometheus.yml"))
    assert "rules found" in said
    tool("promtool", "check", "rules", str(DEPLOY / "alerts.yml"))


def test_the_configuration_of_compose_is_one_too(tmp_path: Path) -> None:
    shutil.copy(COMPOSE / "prometheus.yml", tmp_path)
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    (tmp_path / "prometheus.yml").write_text(
        (COMPOSE / "prometheus.yml")
        .read_text(encoding="utf-8")
        .replace("/run/secrets/", f"{tmp_path}/"),
        encoding="utf-8",
    )
    (tmp_path / "watchpost_token").write_text("x", encoding="utf-8")
    tool("promtool", "check", "config", str(tmp_path / "prometheus.yml"))


def test_alerts_fire_when_they_should_and_only_then() -> None:
    tool("promtool", "test", "rules", str(ROOT / "tests" / "alerts_test.yml"))


def test_the_documentation_names_every_alert_and_its_severity() -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"][0][
        "rules"
    ]
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| (\w+) \| (critical|warning|info) \|", page, re.MULTILINE)
    assert named == [(rule["alert"], rule["labels"]["severity"]) for rule in rules]


# ── Grafana ──────────────────────────────────────────────────────────────────────────────────


def dashboard() -> dict[str, Any]:
    return dict(json.loads((DEPLOY / "dashboard.json").read_text(encoding="utf-8")))


def test_panels_have_each_an_id_and_a_place_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_panels_ask_the_prometheus_that_is_chosen_and_only_known_variables() -> None:
    names = {variable["name"] for variable in dashboard()["templating"]["list"]}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            used = set(re.findall(r"\$\{?(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= names, panel["title"]


def test_it_shows_all_that_an_operator_asks_for() -> None:
    text = (DEPLOY / "dashboard.json").read_text(encoding="utf-8")
    for shown in ("job_progress", "stream_state", "network_batch", "plates_total", "disk_free"):
        assert f"watchpost_{shown}" in text


# ── compose ──────────────────────────────────────────────────────────────────────────────────


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8")))


def test_compose_has_all_that_watchpost_works_with() -> None:
    services = compose()["services"]
    assert set(services) == {"watchpost", "mediamtx", "postgres", "prometheus", "grafana"}
    assert (COMPOSE / services["watchpost"]["build"] / "Dockerfile").resolve().exists()
    for name, service in services.items():
        for port in service.get("ports", []):
            assert name == "watchpost" or port.startswith("127.0.0.1:"), f"{name} is open to all"
        for volume in service.get("volumes", []):
            source, _, target = volume.partition(":")
            if source.startswith("."):
                assert (COMPOSE / source).exists(), volume
                assert target.endswith(":ro"), volume
            else:
                assert source in compose()["volumes"]
        for secret in service.get("secrets", []):
            assert secret in compose()["secrets"]
    assert "latest" not in "".join(service.get("image", "") for service in services.values())


def test_compose_gives_settings_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    given = compose()["services"]["watchpost"]["environment"]
    for name, value in given.items():
        plain = re.sub(r"\$\{(\w+):\?[^}]*\}", r"\1-word", value)
        monkeypatch.setenv(name, plain)
    settings = Settings(_env_file=None)
    assert settings.auth.token is not None
    assert settings.auth.token.get_secret_value() == "WATCHPOST_TOKEN-word"
    there = "postgresql+psycopg://watchpost:POSTGRES_PASSWORD-word@postgres/watchpost"
    assert settings.resolved_database_url() == there
    assert settings.streams.output_base == "rtsp://mediamtx:8554"


# ── a cluster in compose ─────────────────────────────────────────────────────────────────────


def cluster() -> dict[str, Any]:
    """As compose reads it: anchors and merges are YAML's own."""
    return dict(yaml.safe_load((COMPOSE / "cluster.yaml").read_text(encoding="utf-8")))


def test_only_the_front_of_a_cluster_has_an_open_port() -> None:
    services = cluster()["services"]
    assert set(services) == {"front", "north", "south", "postgres"}
    assert [name for name, service in services.items() if "ports" in service] == ["front"]
    assert services["front"]["ports"] == ["8000:8000"]
    for name in ("front", "north", "south"):
        for volume in services[name]["volumes"]:
            source, _, target = volume.partition(":")
            assert source in cluster()["volumes"] or target.endswith(":ro"), volume


def test_each_node_asks_for_the_token_and_encrypts() -> None:
    for name in ("front", "north", "south"):
        given = cluster()["services"][name]["environment"]
        assert given["RAY_AUTH_MODE"] == "token"
        assert given["RAY_AUTH_TOKEN"].startswith("${RAY_TOKEN:?")
        assert given["RAY_USE_TLS"] == "1"
        for part in ("SERVER_CERT", "SERVER_KEY", "CA_CERT"):
            assert given[f"RAY_TLS_{part}"].startswith("/run/tls/")
        assert "./tls:/run/tls:ro" in cluster()["services"][name]["volumes"]


def test_the_nodes_join_the_front_with_addresses_of_the_network() -> None:
    services = cluster()["services"]
    front = " ".join(services["front"]["command"])
    address = services["front"]["networks"]["cluster"]["ipv4_address"]
    assert f"--node-ip-address={address} --port=6379" in front
    assert "--num-cpus=0" in front  # no stream runs there
    (flags,) = re.findall(r"run\.py (.+)$", front)
    assert cli.parse(shlex.split(flags)).cluster == "auto"
    for name in ("north", "south"):
        command = shlex.split(services[name]["command"])
        assert command[:2] == ["ray", "start"]
        assert f"--address={address}:6379" in command
        own = services[name]["networks"]["cluster"]["ipv4_address"]
        assert f"--node-ip-address={own}" in command
        (resources,) = [one for one in command if one.startswith("--resources=")]
        assert json.loads(resources.partition("=")[2]) == {f"site:{name}": 1}


def test_a_cluster_in_compose_gets_settings_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("front", "north"):
        given = cluster()["services"][name]["environment"]
        for variable, value in given.items():
            if variable.startswith("WATCHPOST_"):
                monkeypatch.setenv(variable, re.sub(r"\$\{(\w+):\?[^}]*\}", r"\1-word", value))
        settings = Settings(_env_file=None)
        assert name != "north" or settings.data_dir == Path("/data")
    assert settings.auth.token is not None
    assert settings.resolved_database_url().startswith("postgresql+psycopg://watchpost:")
    assert 'args: {CLUSTER: "yes"}' in (COMPOSE / "cluster.yaml").read_text(encoding="utf-8")


def test_the_certificates_of_a_cluster_are_for_its_addresses(tmp_path: Path) -> None:
    script = tmp_path / "cluster-certificates.sh"
    shutil.copy(COMPOSE / script.name, script)
    tool("sh", str(script), "192.0.2.7")
    tls = tmp_path / "tls"
    tool("openssl", "verify", "-CAfile", str(tls / "ca.crt"), str(tls / "node.crt"))
    shown = tool(
        "openssl", "x509", "-in", str(tls / "node.crt"), "-noout", "-ext", "subjectAltName"
    )
    assert "IP Address:192.0.2.7" in shown
    assert (tls / "node.key").stat().st_mode & 0o077 == 0
    default = re.findall(r"set -- ([\d. ]+)", script.read_text(encoding="utf-8"))[0].split()
    nodes = [cluster()["services"][name] for name in ("front", "north", "south")]
    assert default == [node["networks"]["cluster"]["ipv4_address"] for node in nodes]


def test_no_secret_stands_in_a_file() -> None:
    for path in COMPOSE.rglob("*.y*ml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.search(r"(PASSWORD|TOKEN)\w*:", line) and not line.lstrip().startswith("#"):
                assert "${" in line, line


def test_grafana_finds_the_dashboard_where_compose_puts_it() -> None:
    provider = yaml.safe_load(
        (COMPOSE / "grafana/dashboards/watchpost.yaml").read_text(encoding="utf-8")
    )
    folder = provider["providers"][0]["options"]["path"]
    mounted = compose()["services"]["grafana"]["volumes"]
    assert any(volume.startswith(f"../dashboard.json:{folder}/") for volume in mounted)
    sources = yaml.safe_load(
        (COMPOSE / "grafana/datasources/prometheus.yaml").read_text(encoding="utf-8")
    )
    assert sources["datasources"][0]["url"] == "http://prometheus:9090"


# ── systemd ──────────────────────────────────────────────────────────────────────────────────


def unit() -> str:
    return (DEPLOY / "watchpost.service").read_text(encoding="utf-8")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    installed = tmp_path / "watchpost.service"
    installed.write_text(
        unit().replace("/opt/watchpost/.venv/bin/python", "/bin/true"), encoding="utf-8"
    )
    assert "watchpost" not in tool("systemd-analyze", "verify", str(installed)).lower()


def test_the_unit_starts_run_with_flags_that_exist() -> None:
    (line,) = re.findall(r"^ExecStart=(.+)$", unit(), re.M)
    _, program, *flags = shlex.split(line)
    assert program.endswith("/run.py")
    assert cli.parse(flags).data_dir == "/var/lib/watchpost"


# ── the image ────────────────────────────────────────────────────────────────────────────────


def dockerfile() -> list[tuple[str, str]]:
    """Instructions, with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_has_all_that_the_app_imports_and_opens() -> None:
    copied: set[str] = set()
    for word, rest in dockerfile():
        if word == "COPY":
            copied |= set(rest.split()[:-1])
    ignored = set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())
    assert {"run.py", "main.py", "app", "anti_terror", "static", "LICENSE"} <= copied
    for name in copied:
        assert (ROOT / name).exists()
        assert name not in ignored
    for inside in ("app/db/migrations/env.py", "app/models/weights/watchpost.xml"):
        assert (ROOT / inside).exists()
    assert any("requirements-lean.txt" in name for name in copied)


def test_the_image_runs_as_nobody_special_and_says_how_it_is() -> None:
    steps = dockerfile()
    words = [word for word, _ in steps]
    assert [rest for word, rest in steps if word == "USER"] == ["watchpost"]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word in ("RUN", "COPY"))
    (health,) = [rest for word, rest in steps if word == "HEALTHCHECK"]
    assert "/healthz" in health
    assert steps[-1] == ("CMD", '["python", "run.py", "--data-dir", "/data"]')


def test_the_cpu_image_leaves_out_what_only_gpus_need() -> None:
    (install,) = [rest for word, rest in dockerfile() if word == "RUN" and "TORCH" in rest]
    (pattern,) = re.findall(r"grep -vE '([^']+)'", install)
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    left = [line for line in lines if not re.match(pattern, line)]
    assert any(line.startswith("torch==") for line in left)
    assert any(line.startswith("openvino==") for line in left)
    assert not any("nvidia" in line or "triton" in line for line in left)


# ── the workflow ─────────────────────────────────────────────────────────────────────────────

LIST = r"requirements[\w-]*\.txt"
WORKFLOWS = sorted((ROOT / ".github").rglob("*.yml"))


def test_the_workflow_has_the_packages_that_all_tests_need() -> None:
    """Without one of them, its tests are skipped."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (needed,) = re.findall(r"^test:(.*?)##", makefile, re.M)
    lists = {"requirements.txt", *re.findall(rf"\.({LIST})\.installed", needed)}
    assert len(lists) > 2
    action = (ROOT / ".github/actions/environment/action.yml").read_text(encoding="utf-8")
    assert set(re.findall(rf"\.({LIST})\.installed", action)) == lists
    assert {name for name in lists if re.search(rf"-r \S*{re.escape(name)}", action)} == lists


def test_files_that_the_workflow_names_are_there() -> None:
    assert len(WORKFLOWS) == 2
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        yaml.safe_load(text)
        named = re.findall(rf"(?<![\w./]){LIST}|(?<!\S)(?:tests|static)/[\w/.]+", text)
        assert [name for name in named if not (ROOT / name).exists()] == []
        for target in re.findall(r"^ *(?:- )?(?:run: )?make ([a-z-]+)", text, re.M):
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.M), target
