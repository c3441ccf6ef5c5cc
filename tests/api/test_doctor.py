"""``GET /api/doctor``: checks over HTTP, for callers with the token only."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures import REMOTE, Running

from app.api import doctor as doctor_module
from app.api.i18n import LANGUAGES, LOCALES, Language
from app.doctor import report

pytestmark = pytest.mark.anyio


async def test_the_checks_are_those_of_the_command(local_client: httpx.AsyncClient) -> None:
    reply = await local_client.get("/api/doctor", params={"measure": False})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["costs"] is None
    names = {finding["name"] for finding in body["findings"]}
    assert {"cpu", "memory", "disk", "database", "data folder", "encoder"} <= names
    assert "port" not in names  # it is the server's own


async def test_another_machine_needs_the_token(served: Running) -> None:
    async with served.client(REMOTE) as remote:
        assert (await remote.get("/api/doctor")).status_code == 401


async def test_callers_at_the_same_time_share_one_examination(
    local_client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Any] = []
    examine = report.examine

    def counted(*given: Any, **options: Any) -> Any:
        runs.append(options)
        return examine(*given, **options)

    monkeypatch.setattr(doctor_module, "examine", counted)
    ask = local_client.get("/api/doctor", params={"measure": False})
    others = [local_client.get("/api/doctor", params={"measure": False}) for _ in range(3)]
    replies = await asyncio.gather(ask, *others)
    assert {reply.status_code for reply in replies} == {200}
    assert len(runs) == 1
    assert runs[0]["is_server"] is True


@pytest.mark.parametrize(
    ("language", "text"), [("en", "cores? usable"), ("ru", "доступно"), ("ko", "사용 가능한 코어")]
)
async def test_the_checks_speak_the_callers_language(
    local_client: httpx.AsyncClient, language: str, text: str
) -> None:
    ask = {"params": {"measure": False}, "headers": {"Accept-Language": language}}
    findings = (await local_client.get("/api/doctor", **ask)).json()["findings"]  # type: ignore[arg-type]
    (cpu,) = (finding for finding in findings if finding["name"] == "cpu")
    assert re.search(text, cpu["text"])


def templates() -> set[str]:
    """All templates of texts in the doctor's sources."""
    calls = [
        node
        for file in Path(report.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Phrase"
    ]
    return {ast.literal_eval(call.args[0]) for call in calls}


def words(template: str) -> str:
    return re.sub(r"{\w+", "", template)


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_every_text_is_translated(language: Language) -> None:
    wanted = {template for template in templates() if re.search("[a-z]{2}", words(template))}
    assert len(wanted) > 50
    assert set(LOCALES[language].doctor) == wanted


@pytest.mark.parametrize(
    ("template", "translation"),
    [item for language in LANGUAGES for item in LOCALES[language].doctor.items()],
)
def test_a_translation_has_the_placeholders_of_its_text(template: str, translation: str) -> None:
    def placeholders(text: str) -> list[str]:
        return sorted(re.findall(r"{[^}]+}", text))

    assert placeholders(translation) == placeholders(template)
