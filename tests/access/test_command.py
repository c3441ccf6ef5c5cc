"""``watchpost user``: users from the command line, without a server."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from app.cli import main
from app.db.engine import open_database
from app.db.users import UserRepository
from app.rights import Right


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WATCHPOST_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_user_is_added_and_listed(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "a long enough password\n")
    arguments = ["lee", "--role", "viewer", "--camera", "gate", "--password-stdin"]
    assert main(["user", "add", *arguments]) == 0
    assert main(["user", "list"]) == 0
    said = capsys.readouterr().out
    assert "lee\tviewer of gate" in said
    assert "password" not in said
    users = UserRepository(open_database(f"sqlite:///{data_dir / 'watchpost.db'}"))
    lee = users.named("LEE")
    assert lee is not None
    assert lee.access.cameras(Right.VIEW) == frozenset({"gate"})
    assert str(lee.password_hash).startswith("$argon2id$")


@pytest.mark.parametrize(
    ("arguments", "password", "problem"),
    [
        (["kim"], "short", "10 to 256"),
        ([" "], "a long enough password", "name"),
        (["kim", "--camera", "x"], "a long enough password", "all cameras"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str],
    password: str,
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed(monkeypatch, password + "\n")
    assert main(["user", "add", *arguments, "--password-stdin"]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert len(said.splitlines()) == 1
    assert password not in said


def test_a_name_is_taken_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, code in (("Kim", 0), ("kim", 2)):
        typed(monkeypatch, "a long enough password\n")
        assert main(["user", "add", name, "--password-stdin"]) == code
