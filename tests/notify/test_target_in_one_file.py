"""A kind of target is one file and one line in ``TARGETS``; no other code depends on it."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from fixtures import ROOT

from app.api.notify_schemas import TargetReply
from app.errors import InvalidRequest
from app.notifications import Target
from app.notify.targets import TARGETS

from .conftest import Outbox, until

pytestmark = pytest.mark.anyio

SOURCE = '''
"""Writes messages to a file."""
from pathlib import Path
from pydantic import Field, SecretStr
from app.notify.base import Message, NotifyContext, Options, SendFailed, TargetKind


class NotebookOptions(Options):
    file: str
    pin: SecretStr = Field(SecretStr("0000"))


class NotebookSender:
    def __init__(self, options: NotebookOptions, context: NotifyContext) -> None:
        self._options = options

    async def send(self, message: Message) -> str:
        path = Path(self._options.file)
        if not path.exists():
            raise SendFailed("there is no notebook for " + self._options.pin.get_secret_value())
        with path.open("a") as file:
            file.writelines(f"{one.type}\\n" for one in message.events)
        return "written"

    async def run(self) -> None: ...

    async def close(self) -> None: ...


KIND = TargetKind(summary="A notebook.", options=NotebookOptions, make=NotebookSender)
'''


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The file, and the line in the table."""
    file = tmp_path / "notebook.py"
    file.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("notebook", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(TARGETS, "notebook", module.KIND)
    return module


@pytest.mark.usefixtures("notebook")
async def test_it_gets_events_retries_and_secrets_without_further_code(
    outbox: Outbox, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    target = outbox.add_target("notebook", file=str(file), pin="4711-s3cr3t")
    outbox.add_route(target)
    async with outbox.working() as dispatcher:
        outbox.happen()
        outbox.happen(kind="bag_taken")
        await until(lambda: "there is no notebook" in (outbox.answers()[0][1] or ""))
        assert "s3cr3t" not in str(outbox.answers())
        file.touch()
        await until(lambda: [one for one, _ in outbox.answers()] == ["sent"] * 2)
        assert (await dispatcher.test(target)).answer == "written"
    assert file.read_text().split() == ["bag_placed", "bag_taken"]


@pytest.mark.usefixtures("notebook")
async def test_an_error_that_its_author_did_not_expect_is_a_failed_attempt(
    outbox: Outbox, tmp_path: Path
) -> None:
    """Else the message would end the target's worker, and again after each restart."""
    file = tmp_path / "notes.txt"
    file.mkdir()
    target = outbox.add_target("notebook", file=str(file))
    outbox.add_route(target)
    async with outbox.working() as dispatcher:
        outbox.happen()
        outbox.happen("yard")
        await until(lambda: all("IsADirectory" in (why or "") for _, why in outbox.answers()))
        assert "IsADirectoryError" in (await dispatcher.test(target)).answer
        file.rmdir()
        file.touch()
        await until(lambda: [one for one, _ in outbox.answers()] == ["sent"] * 2)


@pytest.mark.usefixtures("notebook")
def test_replies_mask_its_secrets_and_name_its_fields() -> None:
    target = Target(1, "notebook", "Notes", True, {"file": "x", "pin": "4711"})
    assert TargetReply.of(target).options == {"file": "x", "pin": "***"}
    older = TargetReply.of(Target(1, "notebook", "Notes", True, {"paper": "x"}))
    assert (older.options, older.error) == ({}, "options.file: Field required")
    with pytest.raises(InvalidRequest) as refused:
        TARGETS["notebook"].read({"file": "x", "colour": "red"})
    assert refused.value.details["field"] == "options.colour"


def test_no_other_code_names_a_kind() -> None:
    """Kinds are known by the table alone."""
    allowed = {ROOT / "app/notify/targets/__init__.py"}
    kinds = {f"app.notify.targets.{kind}" for kind in TARGETS}
    for path in sorted((ROOT / "app").rglob("*.py")):
        if path in allowed:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                named = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
                assert not named & kinds, path
