"""Whether a Ray node of this machine takes commands from everybody who reaches it.

Read from ``/proc``, so that Ray need not be installed for it; only on Linux.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from app.doctor.findings import Finding, Phrase, ok, problem, warning

NAME = "Ray"
RAYLET = "raylet"
ADDRESS_FLAGS = ("--node_ip_address=", "--node-ip-address=")
ADVICE = Phrase(
    "an open Ray port runs any code: set RAY_AUTH_MODE=token, give each machine the cluster's "
    "token, and run ray start again"
)


def ray_nodes(proc: Path = Path("/proc")) -> Finding:
    """Whether each Ray node of this machine asks for a token, or listens on this machine only."""
    nodes = list(_raylets(proc))
    if not nodes:
        return ok(NAME, Phrase("no node runs on this machine"))
    reachable = [node for node in nodes if not _is_local(_address(node))]
    try:
        is_open = {_address(node) for node in reachable if not _asks_for_token(node)}
    except OSError:
        advice = Phrase("run the doctor as that user")
        return warning(NAME, Phrase("a node runs as another user"), advice)
    if is_open:
        text = Phrase("no token is required at {nodes}", nodes=", ".join(sorted(is_open)))
        return problem(NAME, text, ADVICE)
    return ok(NAME, Phrase("no node is open to other machines"))


def _raylets(proc: Path) -> Iterator[Path]:
    for process in proc.glob("[0-9]*"):
        arguments = _words(process / "cmdline")
        if arguments and Path(arguments[0]).name == RAYLET:
            yield process


def _words(file: Path) -> list[str]:
    """The words of a file of ``/proc``; none if its process has ended."""
    try:
        return file.read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _address(process: Path) -> str:
    for word in _words(process / "cmdline"):
        for flag in ADDRESS_FLAGS:
            if word.startswith(flag):
                return word.removeprefix(flag)
    return "an unknown address"


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _asks_for_token(process: Path) -> bool:
    modes = [word for word in _words(process / "environ") if word.startswith("RAY_AUTH_MODE=")]
    return [mode.lower() for mode in modes] == ["ray_auth_mode=token"]
