"""A real MQTT broker: Debian's mosquitto, with its command-line clients."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fixtures import PATIENCE_S, eventually, free_port

USER, PASSWORD = "watchpost", "s3cr3t-of-the-broker"
PROGRAMS = ("mosquitto", "mosquitto_pub", "mosquitto_sub", "mosquitto_passwd", "openssl")
ACL = f"""\
user {USER}
topic readwrite #
topic deny forbidden/#
user reader
topic read #
"""


def program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin")


def missing() -> list[str]:
    return [name for name in PROGRAMS if program(name) is None]


@dataclass
class Broker:
    """A broker with users and TLS; what it keeps outlives a restart."""

    folder: Path
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.chmod(0o755)
        self._run("openssl", *_CERTIFICATE.split(), "-keyout", "key.pem", "-out", "cert.pem")
        (self.folder / "key.pem").chmod(0o644)
        for user in (USER, "reader"):
            create = [] if (self.folder / "users").exists() else ["-c"]
            self._run("mosquitto_passwd", "-b", *create, "users", user, PASSWORD)
        (self.folder / "acl").write_text(ACL)
        for name in ("users", "acl"):
            (self.folder / name).chmod(0o644)
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"listener {self.tls_port} 127.0.0.1",
            "certfile cert.pem",
            "keyfile key.pem",
            "allow_anonymous false",
            "password_file users",
            "acl_file acl",
            "user root",
            "max_packet_size 2000000",
        ]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    @property
    def certificate(self) -> str:
        return (self.folder / "cert.pem").read_text()

    def start(self) -> None:
        command = [str(program("mosquitto")), "-c", "mosquitto.conf"]
        output = subprocess.DEVNULL
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=output)
        eventually(self._answers, "the broker answers")

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def publish(self, topic: str, payload: str) -> None:
        self._client("mosquitto_pub", "-t", topic, "-m", payload, "-q", "1")

    def kept(self, topic: str) -> dict[str, bytes]:
        """The retained messages that match a topic."""
        arguments = ["-t", topic, "-F", "%j", "--retained-only", "-W", "1"]
        return self._messages(self._client("mosquitto_sub", *arguments, ok=(0, 27)))

    @contextlib.contextmanager
    def listening(self, topic: str) -> Iterator[Listener]:
        command = self._command("mosquitto_sub", "-t", topic, "-F", "%j", "-q", "1")
        with tempfile.NamedTemporaryFile() as output:
            process = subprocess.Popen(command, stdout=output)
            try:
                yield Listener(Path(output.name))
            finally:
                process.kill()
                process.wait()

    def _messages(self, output: bytes) -> dict[str, bytes]:
        lines = output.decode("utf-8", "replace").splitlines()  # a snapshot is no text
        return {one["topic"]: one["payload"].encode() for one in map(json.loads, lines)}

    def _answers(self) -> bool:
        arguments = ["-t", "probe", "-m", "x"]
        done = subprocess.run(self._command("mosquitto_pub", *arguments), capture_output=True)
        return done.returncode == 0

    def _command(self, name: str, *arguments: str) -> list[str]:
        login = ["-u", USER, "-P", PASSWORD, "-h", "127.0.0.1", "-p", str(self.port), "-V", "5"]
        return [str(program(name)), *login, *arguments]

    def _client(self, name: str, *arguments: str, ok: tuple[int, ...] = (0,)) -> bytes:
        done = subprocess.run(
            self._command(name, *arguments), capture_output=True, timeout=PATIENCE_S
        )
        assert done.returncode in ok, done.stderr
        return done.stdout

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(program(name)), *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)


class Listener:
    """What a client of the broker has received so far."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def messages(self) -> list[dict[str, Any]]:
        lines = self._output.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        return [json.loads(line) for line in lines]


_CERTIFICATE = (
    "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=broker.example "
    "-addext subjectAltName=DNS:broker.example,DNS:localhost"
)
