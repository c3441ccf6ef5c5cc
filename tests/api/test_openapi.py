"""The OpenAPI document: good names, complete descriptions, and a client that is made from it."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fixtures import Running
from support.poll import eventually
from support.watchpost import Server

from app.api.errors import status_of
from app.api.examples import MISSING
from app.api.route_rights import Reach, RightsTable
from app.config import AuthSettings, Settings
from app.errors import WatchpostError
from app.main import create_app

Operation = tuple[str, str, dict[str, Any]]
WHOLE_SERVER = {"health", "metrics", "readiness", "version"}
"""Calls that are about nothing smaller, so that a word is enough."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    schema: dict[str, Any] = create_app(Settings(auth=AuthSettings(token="x"))).openapi()
    return schema


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Method, path and description of every call."""
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            yield method.upper(), path, call


def resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def has_example(media: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether a body has an example, itself or in its schema or one of its alternatives."""
    if "example" in media or "examples" in media:
        return True
    schema = resolved(media.get("schema", media), document)
    inner = [*schema.get("anyOf", []), *schema.get("allOf", [])]
    return "examples" in schema or any(has_example(one, document) for one in inner)


def test_ids_are_unique_and_read_as_functions(document: dict[str, Any]) -> None:
    ids = [call["operationId"] for _, _, call in operations(document)]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert [name for name in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []
    assert {"list_cameras", "start_stream", "list_events", "upload_image", "start_job"} <= set(ids)
    # Clients have the functions of all rooms beside each other: `flag` would be of what?
    assert {name for name in ids if "_" not in name} == WHOLE_SERVER


def test_every_call_is_described_with_its_parameters_and_errors(document: dict[str, Any]) -> None:
    missing = []
    for method, path, call in operations(document):
        name = f"{method} {path}"
        words = re.sub(r"\s*Needs the right .*", "", call.get("description", ""))
        missing += [f"{name}: summary"] if not call.get("summary") else []
        missing += [f"{name}: description"] if not words else []
        for parameter in call.get("parameters", []):
            about, schema = parameter.get("description"), resolved(parameter["schema"], document)
            example = {**parameter, **schema}
            if parameter["in"] == "path" and not {"example", "examples"} & set(example):
                missing.append(f"{name}: example of {parameter['name']}")
            if parameter["in"] != "path" and not about:
                missing.append(f"{name}: description of {parameter['name']}")
        if RightsTable().find(method, path.replace("{", "").replace("}", "")).row is None:
            missing.append(f"{name}: right")
        for status, reply in call["responses"].items():
            if not reply["description"]:
                missing.append(f"{name}: meaning of {status}")
    assert missing == []


def test_every_json_body_has_an_example(document: dict[str, Any]) -> None:
    bodies = [
        (f"{method} {path}", call["requestBody"]["content"].get("application/json"))
        for method, path, call in operations(document)
        if "requestBody" in call
    ]
    assert len(bodies) > 20
    missing = [name for name, body in bodies if body and not has_example(body, document)]
    assert missing == []


def test_every_reply_has_an_example_that_fits_its_schema(document: dict[str, Any]) -> None:
    """A new field needs ``Field(examples=…)``, or a value in ``app/api/example_values.py``."""
    components = {"components": document["components"]}
    missing, examples = [], 0
    for method, path, call in operations(document):
        for status, reply in call["responses"].items():
            for media_type, media in reply.get("content", {}).items():
                if not media_type.startswith(("application/json", "text/")):
                    continue
                name = f"{method} {path} {status}"
                example = media["example"]
                missing += [f"{name}: {where}" for where in without_value(example)]
                if "schema" in media:
                    validator = jsonschema_rs.validator_for({**media["schema"], **components})
                    missing += [f"{name}: {error}" for error in validator.iter_errors(example)]
                examples += 1
    assert missing == []
    assert examples > 500


def without_value(example: Any, where: str = "") -> Iterator[str]:
    """The parts of an example for which no value is known."""
    if isinstance(example, dict):
        for name, value in example.items():
            yield from without_value(value, f"{where}.{name}")
    elif isinstance(example, list):
        for value in example:
            yield from without_value(value, f"{where}[]")
    elif example == MISSING:
        yield where or "all of it"


def test_errors_in_examples_have_the_status_they_stand_for(document: dict[str, Any]) -> None:
    kinds = {kind.code: kind for kind in error_kinds(WatchpostError)}
    for method, path, call in operations(document):
        for status, reply in call["responses"].items():
            if int(status) >= 400 and path != "/readyz":
                example = reply["content"]["application/json"]["example"]
                error = kinds[example["code"]](**example["details"])
                assert (status_of(error), str(error)) == (int(status), example["message"]), (
                    method,
                    path,
                )


def error_kinds(kind: type[WatchpostError]) -> Iterator[type[WatchpostError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from error_kinds(below)


def test_errors_have_one_form(document: dict[str, Any]) -> None:
    for method, path, call in operations(document):
        for status, reply in call["responses"].items():
            if int(status) >= 400 and path != "/readyz":
                schema = reply["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorReply"}, (method, path, status)


def test_each_call_says_how_to_authenticate_and_which_right_it_needs(
    document: dict[str, Any],
) -> None:
    schemes = document["components"]["securitySchemes"]
    assert (schemes["token"]["type"], schemes["token"]["scheme"]) == ("http", "bearer")
    assert schemes["session"]["name"] == "watchpost_session"
    for method, path, call in operations(document):
        row = RightsTable().find(method, path.replace("{", "").replace("}", "")).row
        assert row is not None
        if row.reach is Reach.OPEN:
            assert call["security"] == []
            continue
        assert call["security"] == [{"token": []}, {"session": []}]
        assert "401" in call["responses"]
        if row.right is not None:
            assert f"Needs the right `{row.right}`" in call["description"]
            assert "403" in call["responses"]


@pytest.mark.anyio
async def test_the_document_is_made_once(served: Running) -> None:
    async with served.client() as client:
        first, second = [(await client.get("/openapi.json")).json() for _ in range(2)]
    assert first == second


# ── a client made from it ────────────────────────────────────────────────────────────────────

GENERATOR = f"""\
post_hooks: ["{Path(sys.executable).with_name("ruff")} format --quiet ."]
content_type_overrides:
  image/jpeg: application/octet-stream
  video/mp4: application/octet-stream
  application/zip: application/octet-stream
  multipart/x-mixed-replace; boundary=frame: application/octet-stream
"""


@pytest.fixture(scope="module")
def generated(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Python client made by openapi-python-client, which must understand all of the document."""
    folder: Path = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "config.yml").write_text(GENERATOR, encoding="utf-8")
    made = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"),
            *("--path", "openapi.json", "--config", "config.yml", "--output-path", "wp_client"),
            "--fail-on-warning",
        ],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    yield "wp_client"
    sys.path.remove(str(folder))


@pytest.mark.alone  # beside other tests faces are looked for too late, which is an error
@pytest.mark.long
def test_the_generated_client_uses_a_real_server(generated: str, tmp_path: Path) -> None:
    token = "a-token-that-nobody-guesses-0123456789"
    settings: dict[str, Any] = {"auth__token": token, "auth__require_token": True, "demo": True}
    settings["objects__timeout_s"] = 60.0  # on a busy machine the demo is not to fall behind

    def module(path: str) -> Any:
        return importlib.import_module(f"{generated}.{path}")

    def client(url: str, given: str) -> Any:
        options = {"httpx_args": {"trust_env": False}}
        return module("client").AuthenticatedClient(base_url=url, token=given, **options)

    with Server(tmp_path, **settings) as server:
        url = f"http://127.0.0.1:{server.port}"
        with client(url, token) as admin:
            cameras = module("api.cameras.list_cameras")
            [demo] = eventually(
                lambda: cameras.sync(client=admin),
                lambda found: [one.last_error for one in found] == [None],
                60,
                "the demo begins",
            )
            assert (demo.camera_id, demo.kind, demo.last_error) == ("demo", "demo", None)
            models = module("models")
            body = models.TokenRequest(name="viewer", rights=[models.Right.VIEW])
            made = module("api.accounts.make_token").sync(client=admin, body=body)

        with client(url, made.token) as viewer:
            shown = module("api.streams.show_stream").sync(stream_id="demo", client=viewer)
            assert (shown.success, shown.data.stream_id) == (True, "demo")
            stop = module("api.streams.stop_stream")
            refused = stop.sync_detailed(stream_id="demo", client=viewer)
            assert refused.status_code == 403
            assert (refused.parsed.code, refused.parsed.details["right"]) == (
                "FORBIDDEN",
                "control",
            )
            unknown = module("api.cameras.show_camera").sync(camera_id="x", client=viewer)
            assert unknown.message == "Stream not found: x"

        with client(url, "wrong") as nobody:
            assert module("api.cameras.list_cameras").sync(client=nobody).code == "UNAUTHORIZED"
