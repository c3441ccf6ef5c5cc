"""The command lines of the documentation."""

from __future__ import annotations

import sys

from support.watchpost import ROOT


def block(page: str, title: str, language: str = "bash") -> str:
    """The first block in this language below a title of a page; both must be there."""
    text = (ROOT / page).read_text(encoding="utf-8")
    _, titled, below = text.partition(f"\n## {title}\n")
    assert titled, f"{page} has no title {title}"
    section = below.partition("\n## ")[0]
    _, fenced, rest = section.partition(f"```{language}\n")
    assert fenced, f"{page} has no {language} below {title}"
    return rest.partition("```")[0]


def blocks(page: str, language: str = "bash") -> list[str]:
    """All blocks in this language of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = text.split(f"```{language}\n")[1:]
    assert found, f"{page} has no {language}"
    return [rest.partition("```")[0] for rest in found]


def for_port(lines: str, port: int) -> str:
    """The lines for a server at another port of this machine, with this Python.

    An error reply leads to a failure, and no proxy is used.
    """
    lines = lines.replace("localhost:8000", f"127.0.0.1:{port}")
    lines = lines.replace(".venv/bin/python", sys.executable)
    return lines.replace("curl ", "curl --noproxy '*' -sS --fail ")
