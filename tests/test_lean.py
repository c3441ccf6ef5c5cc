"""The server works without torch, and the lock files agree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from fixtures import ROOT, clean_environment, python
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAVY = ("torch", "torchvision", "ultralytics", "tensorflow", "matplotlib")
NAMED = (
    "fastapi", "uvicorn", "opencv-python", "ultralytics", "numpy", "sqlalchemy", "pydantic",
    "websockets", "python-multipart", "av",
)  # fmt: skip
WINDOWS, NO_WINDOWS = "opencv-python", "opencv-python-headless"
LOCKS = (
    "requirements.txt", "requirements-lean.txt", "requirements-dev.txt", "requirements-docs.txt",
    "requirements-cluster.txt",
)  # fmt: skip
DEMO = f"""
import asyncio, sys
from app.config import Settings
from app.main import create_app

async def main():
    app = create_app(Settings(demo=True))
    async with app.router.lifespan_context(app) as state:
        manager = state["manager"]
        for _ in range(600):
            await asyncio.sleep(0.05)
            if any(s.state == "running" and s.stats.frames_published > 5 for s in manager.all()):
                break
        else:
            sys.exit("the demo does not run")
        await manager.stream("demo").snapshot()
    print([name for name in {HEAVY!r} if name in sys.modules])

asyncio.run(main())
"""

LATER = ("anthropic", "apprise", "authlib", "lxml", "onvif", "ray")  # with the first that uses them
BARE = f"""
import sys
import app.main, app.cameras
print([name for name in {LATER!r} if name in sys.modules])
"""

LOOK = f"""
import sys
from pathlib import Path
from app.models.__main__ import main
from support.faces import portrait
from support.networks import places, write_ir
import cv2

cv2.imwrite("a.png", portrait(320))
weights = str(write_ir(Path("own.xml"), places((320, 320, 600, 600, 0, 0.8))))
assert main(["detect", "--crops", "--weights", weights, "a.png"]) == 0
assert main(["info", "--weights", weights]) == 0
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def lock(name: str) -> dict[str, set[str]]:
    """Package to its pinned lines; a lock may pin one differently by Python version."""
    pins: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line and not line.startswith("-"):
            package = re.split(r"[\s\[=<>!~;@]", line, maxsplit=1)[0].lower().replace("_", "-")
            pins.setdefault(package, set()).add(line.partition(" --hash")[0].strip())
    return pins


def with_windows(pins: dict[str, set[str]]) -> dict[str, set[str]]:
    """A lock as it would be with the other OpenCV, of which the lean list has the smaller one."""
    return {
        package.removesuffix("-headless"): {line.replace(NO_WINDOWS, WINDOWS) for line in lines}
        for package, lines in pins.items()
    }


def versions(pins: set[str]) -> set[str]:
    """Without platform markers: a lock file may need a package on more platforms."""
    return {pin.partition(" ;")[0] for pin in pins}


def installed_bytes(package: str) -> int:
    """Of a package's files, without what Python compiled of them."""
    files = metadata.distribution(package).files or ()
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


def test_the_demo_runs_without_torch(tmp_path: Path) -> None:
    done = python(tmp_path, DEMO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_objects_are_seen_without_torch(tmp_path: Path) -> None:
    done = python(tmp_path, LOOK, timeout_s=180, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}")
    assert done.returncode == 0, done.stderr
    assert "1 person" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_only_some_need_waits_for_them(tmp_path: Path) -> None:
    done = python(tmp_path, BARE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned(name: str) -> None:
    pins = lock(name)
    assert pins
    for lines in pins.values():
        for line in lines:
            assert re.match(r"[\w.\[\]-]+==[\w.!+]+( ;.*)?$", line), line


def test_the_lean_list_has_nothing_of_torch() -> None:
    heavy = re.compile(r"torch|ultralytics|nvidia|cuda|triton|tensorflow|onnxruntime-gpu")
    assert [package for package in lock("requirements-lean.txt") if heavy.search(package)] == []


def test_the_lean_list_is_complete() -> None:
    """It has all that its packages ask for here; the container installs nothing else."""
    pins = lock("requirements-lean.txt")
    here = {one.name.lower().replace("_", "-"): one for one in metadata.distributions()}
    wanted = [
        Requirement(one) for name in pins.keys() & here.keys() for one in here[name].requires or ()
    ]
    names = {one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})}
    assert len(names) > 20
    assert {canonicalize_name(name) for name in names} <= pins.keys()


def test_the_container_installs_only_what_the_list_has() -> None:
    """Without that, pip would add OpenCV with windows for packages that ask for it."""
    assert "--no-deps -r wanted.txt" in (ROOT / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/getting-started.md"])
def test_the_lean_list_is_as_small_as_the_pages_say(page: str) -> None:
    """Packages only for some Pythons or systems are counted if they are here.

    The OpenCV that is here has windows, and is the larger one.
    """
    said = re.search(
        r"^make run LEAN=1 .*?([\d.]+) GB", (ROOT / page).read_text(encoding="utf-8"), re.M
    )
    assert said
    here = {one.name.lower().replace("_", "-") for one in metadata.distributions()}
    pins = with_windows(lock("requirements-lean.txt"))
    assert {name for name, lines in pins.items() if not any(";" in one for one in lines)} <= here
    assert sum(map(installed_bytes, set(pins) & here)) < (float(said[1]) + 0.05) * 1e9


@pytest.mark.parametrize("package", NAMED)
def test_the_full_list_has_what_the_user_named(package: str) -> None:
    assert package in lock("requirements.txt")


@pytest.mark.parametrize("package", [name for name in NAMED if name != "ultralytics"])
def test_the_lean_list_has_the_rest_too(package: str) -> None:
    assert package in with_windows(lock("requirements-lean.txt"))


@pytest.mark.parametrize("name", LOCKS)
def test_only_the_lean_list_has_the_opencv_without_windows(name: str) -> None:
    found = {package for package in lock(name) if package.startswith("opencv")}
    assert found <= ({NO_WINDOWS} if name == "requirements-lean.txt" else {WINDOWS})


@pytest.mark.parametrize("name", LOCKS[1:])
def test_all_lists_pin_the_same_versions(name: str) -> None:
    full, other = lock("requirements.txt"), with_windows(lock(name))
    for package in set(full) & set(other):
        assert versions(full[package]) == versions(other[package]), package


def test_what_serving_needs_is_in_both_lists() -> None:
    assert set(with_windows(lock("requirements-lean.txt"))) <= set(lock("requirements.txt"))


# ── One OpenCV ───────────────────────────────────────────────────────────────────────────────


def wheel(folder: Path, package: str) -> None:
    """A wheel with the folder cv2, as both packages of OpenCV have it."""
    info = f"{package.replace('-', '_')}-1.dist-info"
    texts = {
        "cv2/__init__.py": f"PACKAGE = {package!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    texts[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*texts, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{package.replace('-', '_')}-1-py3-none-any.whl", "w") as file:
        for name, text in texts.items():
            file.writestr(name, text)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile, with lists that name nothing but OpenCV."""
    folder = tmp_path / "checkout"
    (folder / "app").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    for package in (WINDOWS, NO_WINDOWS):
        wheel(tmp_path, package)
    for name in LOCKS:
        opencv = [f"{package}==1\n" for package in lock(name) if package.startswith("opencv")]
        (folder / name).write_text("".join(opencv), encoding="utf-8")
    for name in ("run.py", "main.py"):
        (folder / name).touch()
    return folder


OPENCVS = """
from importlib import metadata
import cv2
print(cv2.PACKAGE, *(one.name for one in metadata.distributions() if "opencv" in one.name))
"""


def make(checkout: Path, *arguments: str) -> str:
    """Run make; which OpenCV is imported then, and that no other one is installed."""
    environment = clean_environment(
        checkout, PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(checkout.parent)
    )
    command = ["make", "-C", str(checkout), f"PYTHON={sys.executable}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    python = checkout / ".venv/bin/python"
    shown = subprocess.run(
        [python, "-c", OPENCVS], capture_output=True, encoding="utf-8", check=True
    )
    imported, *installed = shown.stdout.split()
    assert installed == [imported]
    return imported


DEV, DOCS = (f".venv/.requirements-{name}.txt.installed" for name in ("dev", "docs"))


def test_from_the_lean_list_to_the_others_and_back_there_is_one_opencv(checkout: Path) -> None:
    assert make(checkout, "setup", "LEAN=1") == NO_WINDOWS
    assert make(checkout, "setup", DOCS, "LEAN=1") == NO_WINDOWS
    assert make(checkout, "setup", DEV) == WINDOWS
    assert make(checkout, "setup", "LEAN=1") == NO_WINDOWS


def test_from_the_full_list_to_the_lean_one_and_back_there_is_one_opencv(checkout: Path) -> None:
    assert make(checkout, "setup", DEV) == WINDOWS
    assert make(checkout, "setup", "LEAN=1") == NO_WINDOWS
    assert make(checkout, "setup") == WINDOWS
    assert make(checkout, "setup", DEV, "LEAN=1") == WINDOWS
