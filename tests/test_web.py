"""The built control room: it belongs to its sources, and its first load is small."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path

from fixtures import ROOT

from app.analytics.rules import event_types
from app.types import LABELS

WEB, BUILT = ROOT / "web", ROOT / "static" / "app"
FIRST_LOAD = ("index.html", "main.js", "main.css", "icon.svg")
MOST_BYTES = 200_000
SHARED = tuple(
    f"static/viewer/{name}.js" for name in ("account_words", "boxes", "detections", "names")
)
"""Of the viewer page, which the control room uses, too."""
LIST = json.loads((BUILT / "sources.json").read_text(encoding="utf-8"))


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def changed(sums: dict[str, str], files: set[Path], root: Path) -> list[str]:
    """Names of files that were added, removed or changed since the build."""
    now = {
        os.path.relpath(path, root): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    return sorted(name for name in now.keys() | sums if now.get(name) != sums.get(name))


def test_it_was_built_from_these_sources() -> None:
    sources = {path for path in WEB.iterdir() if path.suffix in (".json", ".ts")}
    sources |= files_below(WEB / "src") | files_below(WEB / "public")
    sources |= {ROOT / name for name in SHARED}
    assert not changed(LIST["sources"], sources, WEB), "run `make web`"


def test_the_built_files_are_as_they_were_built() -> None:
    built = files_below(BUILT) - {BUILT / "sources.json"}
    assert not changed(LIST["built"], built, BUILT), "run `make web`"


def test_the_first_load_is_small() -> None:
    first = [*(BUILT / name for name in FIRST_LOAD), BUILT / "live.js"]
    assert sum(len(gzip.compress(path.read_bytes())) for path in first) < MOST_BYTES


def test_nothing_is_inline_and_no_other_host_is_named() -> None:
    page = (BUILT / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|style=|<style|javascript:|https?://", page)
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    for path in files_below(WEB / "src"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(innerHTML|outerHTML|dangerouslySetInnerHTML|eval)\b", text), path


def test_events_and_labels_have_words_in_each_language() -> None:
    names = (ROOT / "static" / "viewer" / "names.js").read_text(encoding="utf-8")
    found = Counter(re.findall(r'^ *"((?:event|name)\.\w+)":', names, re.MULTILINE))
    wanted = [f"event.{name}" for name in event_types()] + [f"name.{label}" for label in LABELS]
    assert {name: found[name] for name in wanted} == dict.fromkeys(wanted, 3)
