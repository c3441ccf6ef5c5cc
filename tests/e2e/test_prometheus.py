"""A real Prometheus scrapes a real server, and every series in deploy/ exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml
from support.collect import collect
from support.plates import photo_jpeg
from support.poll import eventually
from support.prometheus import DEPLOY, Prometheus, available
from support.watchpost import Server

TOKEN = "hidden-word-of-this-test"
NAME = re.compile(r"\b(?:watchpost|process)_[a-z_]+\b|\bup\b")


def shown() -> dict[str, str]:
    """Every PromQL expression of the dashboard, by its panel."""
    dashboard = json.loads((DEPLOY / "dashboard.json").read_text(encoding="utf-8"))
    return {
        f"{panel['title']}, {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    }


def alerts() -> dict[str, str]:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory, video: Path) -> Iterator[Prometheus]:
    """A server on which everything has happened once, scraped as in compose/prometheus.yml."""
    if reason := available():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("scraped")
    server = Server(
        folder,
        demo=True,
        auth__token=TOKEN,
        auth__require_token=True,
        media_dirs=str(video.parent),
        faces__width=640,
    )
    server.http.headers["Authorization"] = f"Bearer {TOKEN}"
    config = DEPLOY / "compose" / "prometheus.yml"
    with server, Prometheus(folder, config, server.port, TOKEN) as prometheus:
        files = {"file": ("car.jpg", photo_jpeg("PJY5472"), "image/jpeg")}
        assert server.http.post("/api/upload", files=files).status_code == 200
        done = collect(server, sources=[video.name], duration=1)
        eventually(
            lambda: server.http.get(f"/collect/jobs/{done}").json()["state"],
            lambda state: state == "completed",
            60,
            "the job ends",
        )
        server.wait_status("demo", "running", 60)
        collect(server, sources=["demo"], duration=600)
        recorded = "watchpost_job_written_bytes > 0"
        eventually(lambda: prometheus.query(recorded), bool, 60, "the second job is scraped")
        yield prometheus
        server.http.delete(f"/collect/jobs/{done}")


def test_it_is_scraped_with_the_token(scraped: Prometheus) -> None:
    (found,) = scraped.query('up{job="watchpost"}')
    assert found["value"][1] == "1"
    (target,) = scraped.http.get("/api/v1/targets").json()["data"]["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")


def test_every_series_that_is_named_exists(scraped: Prometheus) -> None:
    named = {n for e in (*shown().values(), *alerts().values()) for n in NAME.findall(e)}
    assert len(named) > 30
    assert [name for name in sorted(named) if not scraped.query(name)] == []


@pytest.mark.parametrize("where", shown())
def test_every_panel_has_something_to_show(scraped: Prometheus, where: str) -> None:
    expr = shown()[where].replace("$__rate_interval", "20s").replace("$stream", ".*")
    expr = expr.removesuffix(" > 0")  # shown only when it happens
    assert "$" not in expr
    eventually(lambda: scraped.query(expr), bool, 30, where)


def test_every_alert_is_evaluated_and_none_fires_on_a_healthy_server(scraped: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        (group,) = scraped.http.get("/api/v1/rules").json()["data"]["groups"]
        return list(group["rules"])

    found = eventually(
        rules, lambda rules: all(r["health"] == "ok" for r in rules), 20, "the rules are evaluated"
    )
    assert {rule["name"] for rule in found} == set(alerts())
    firing = [a for rule in found for a in rule["alerts"] if a["state"] == "firing"]
    assert firing == []


def test_the_picture_of_the_dashboard_is_drawn(scraped: Prometheus, tmp_path: Path) -> None:
    out = tmp_path / "dashboard.png"
    there = f"http://127.0.0.1:{scraped.port}"
    command = [sys.executable, str(DEPLOY / "picture.py"), str(out), "--prometheus", there]
    done = subprocess.run(
        [*command, "--minutes", "1"],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    picture = cv2.imread(str(out))
    assert picture is not None
    assert picture.shape[1] >= 1000
    assert picture.std() > 8, "it is not empty"


def test_without_the_token_it_learns_nothing(scraped: Prometheus, tmp_path: Path) -> None:
    target = scraped.http.get("/api/v1/targets").json()["data"]["activeTargets"][0]
    port = int(target["scrapeUrl"].split(":")[2].split("/")[0])
    config = DEPLOY / "compose" / "prometheus.yml"
    with Prometheus(tmp_path, config, port, "another-word") as stranger:
        (up,) = eventually(lambda: stranger.query("up"), bool, 20, "it was scraped")
        assert up["value"][1] == "0"
        assert stranger.query("watchpost_build_info") == []
