"""The doctor's check of Ray nodes: what ``/proc`` says of their address and their token."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.doctor.findings import Status
from app.doctor.ray_nodes import ray_nodes


def raylet(proc: Path, address: str, environment: str, number: int = 41) -> None:
    process = proc / str(number)
    process.mkdir()
    words = ["/opt/ray/raylet/raylet", f"--node_ip_address={address}", ""]
    (process / "cmdline").write_text("\0".join(words))
    (process / "environ").write_text(f"PATH=/bin\0{environment}\0")


@pytest.mark.parametrize(
    ("address", "environment", "status"),
    [
        ("192.0.2.7", "RAY_USE_TLS=1", Status.PROBLEM),
        ("192.0.2.7", "RAY_AUTH_MODE=disabled", Status.PROBLEM),
        ("192.0.2.7", "RAY_AUTH_MODE=token", Status.OK),
        ("127.0.0.1", "RAY_USE_TLS=1", Status.OK),
    ],
)
def test_a_node_that_others_reach_must_ask_for_a_token(
    tmp_path: Path, address: str, environment: str, status: Status
) -> None:
    raylet(tmp_path, address, environment)
    assert ray_nodes(tmp_path).status is status


def test_an_address_of_several_nodes_is_named_once(tmp_path: Path) -> None:
    for number, address in enumerate(("192.0.2.7", "192.0.2.9", "192.0.2.7")):
        raylet(tmp_path, address, "RAY_USE_TLS=1", number)
    assert ray_nodes(tmp_path).text == "no token is required at 192.0.2.7, 192.0.2.9"


def test_without_a_node_there_is_nothing_to_fix(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_text("/bin/bash\0")
    assert ray_nodes(tmp_path).text == "no node runs on this machine"
