"""The wheel: its content, and a server that runs from it without a checkout.

Nothing is downloaded: it is built with the installed setuptools, and installed into an environment
that uses the packages of this one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from fixtures import ROOT, clean_environment, eventually, server

import app

PACKAGES = ("app", "anti_terror")
NOT_SOURCES = shutil.ignore_patterns(
    ".*", "__pycache__", "node_modules", "data", "build", "dist", "*.egg-info"
)
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
LIMIT_S = 120.0


def call(*command: str, cwd: Path) -> str:
    """Run a program without the checkout in its path, and return what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(cwd, PYTHONPATH=""),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout: a build leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "checkout", ignore=NOT_SOURCES)
    build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", ".")
    call(*PIP, *build, "./checkout", cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "borrowed.pth").write_text("\n".join(borrowed), encoding="utf-8")
    python = str(folder / "bin" / "python")
    call(*PIP, "--python", python, "install", "--no-deps", "--no-index", str(wheel), cwd=folder)
    return folder / "bin"


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def files_below(folder: str) -> set[str]:
    """The files of the checkout below a folder, without what Python compiled."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}


# ── what is in it ────────────────────────────────────────────────────────────────────────────


def test_it_holds_the_packages_and_the_page_and_nothing_else(wheel: Path) -> None:
    page = {f"app/{name}" for name in files_below("static")}
    expected = files_below("app") | files_below("anti_terror") | page
    names = names_in(wheel)
    about = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
    assert names - about == expected
    assert {name.partition("/")[0] for name in names - about} == set(PACKAGES)


@pytest.mark.parametrize(
    "name",
    [
        "app/cli.py",
        "app/py.typed",
        "app/static/app/index.html",
        "app/static/app/main.js",
        "app/static/viewer.html",
        "app/static/viewer/main.js",
        "app/models/weights/watchpost.bin",
        "app/models/weights/yunet.xml",
        "app/db/migrations/env.py",
    ],
)
def test_it_holds_what_a_server_opens(wheel: Path, name: str) -> None:
    assert name in names_in(wheel)


def test_it_says_what_pyproject_and_the_package_say(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        about = Parser().parsestr(archive.read(name).decode())
    assert about["Version"] == project["version"] == app.__version__
    assert about["License-Expression"] == "AGPL-3.0-or-later"
    assert len(about.get_all("Project-URL", [])) == len(project["urls"]) > 0
    assert about.get_all("Classifier") == project["classifiers"]


# ── installed ────────────────────────────────────────────────────────────────────────────────


def test_the_packages_come_from_the_wheel(programs: Path, tmp_path: Path) -> None:
    code = "import app, anti_terror; print(app.__file__, anti_terror.__file__, sep='\\n')"
    found = call(str(programs / "python"), "-c", code, cwd=tmp_path).split()
    assert len(found) == len(PACKAGES)
    assert all(Path(path).is_relative_to(programs.parent) for path in found), found


@pytest.mark.parametrize("more", [(), ("--reload",)], ids=["once", "reload"])
def test_it_serves_where_there_is_no_checkout(
    more: tuple[str, ...], programs: Path, tmp_path: Path
) -> None:
    command = ("serve", "--host", "127.0.0.1", "--log-level", "warning", *more)
    program, env = str(programs / "watchpost"), clean_environment(tmp_path, PYTHONPATH="")
    with server(tmp_path, program=program, command=command, env=env) as started:
        # With --reload, a second process imports everything after the first.
        started.wait_ready()
        ready = eventually(lambda: (r := started.get("/readyz")).status_code == 200 and r.json())
        assert ready["status"] == "ready"
        page = started.get("/viewer")
        assert page.status_code == 200
        assert "<title>" in page.text
        script = started.get("/static/viewer/main.js")
        assert script.status_code == 200
        assert "javascript" in script.headers["content-type"]
        assert started.end() == 0
    assert "Traceback" not in started.output
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--version",), ("watchpost", app.__version__)),
        (("--help",), ("serve", "models", "doctor", "user")),
        (("serve", "--help"), ("watchpost serve", "--data-dir", "--demo")),
        (("models", "--help"), ("info", "detect")),
        (("doctor", "--help"), ("watchpost doctor", "--json", "--quick")),
        (("user", "--help"), ("add", "list")),
        (("models", "info", "--help"), ("watchpost models info", "--weights")),
    ],
)
def test_the_command_explains_itself(
    arguments: tuple[str, ...], words: tuple[str, ...], programs: Path, tmp_path: Path
) -> None:
    printed = call(str(programs / "watchpost"), *arguments, cwd=tmp_path)
    assert [word for word in words if word not in printed] == []


def test_the_command_runs_the_networks(programs: Path, tmp_path: Path) -> None:
    photo = str(ROOT / "docs" / "images" / "blurred.jpg")
    printed = call(str(programs / "watchpost"), "models", "detect", "--json", photo, cwd=tmp_path)
    assert '"label": "person"' in printed
