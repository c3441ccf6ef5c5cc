"""Debian's Prometheus, as a process that scrapes one server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from support.poll import eventually
from support.watchpost import ROOT, free_port

DEPLOY = ROOT / "deploy"


def available() -> str | None:
    """Why tests with it are skipped; None if they can run."""
    there = shutil.which("prometheus") and shutil.which("promtool")
    return None if there else "Prometheus is not installed (apt-get install prometheus)"


class Prometheus:
    """Prometheus with a configuration of ``deploy/``, including its rules.

    Args:
        config: the configuration; its targets are replaced.
        port: of the server to scrape.
        token: what it shows.
    """

    def __init__(self, folder: Path, config: Path, port: int, token: str) -> None:
        self._folder = folder
        self.port = free_port()
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False
        )
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        settings["rule_files"] = [str(DEPLOY / "alerts.yml")]
        (scrape,) = settings["scrape_configs"]
        scrape["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
        (folder / "token").write_text(token, encoding="utf-8")
        scrape["authorization"]["credentials_file"] = str(folder / "token")
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")

    def __enter__(self) -> Self:
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'prometheus'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(self._ready, bool, 30, "Prometheus is ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(20)
        self.http.close()

    def _ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text(encoding="utf-8")
        try:
            return self.http.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The current series of an expression, which must be valid."""
        reply = self.http.get("/api/v1/query", params={"query": expr}).json()
        assert reply["status"] == "success", (expr, reply)
        found: list[dict[str, Any]] = reply["data"]["result"]
        return found
