"""Weights that run on Ultralytics, in a separate process, so that this one never imports torch."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest
from fixtures import python

PATIENCE_S = 300.0  # torch, five networks, and maybe a busy machine
CODE = """
import json, logging, os, sys
from pathlib import Path

import numpy as np

logging.basicConfig(stream=sys.stderr, level=logging.INFO)
from app.config import ObjectSettings
from app.errors import SetupError
from app.models.objects import load_objects

results = {}


def save(name, names, kind="DetectionModel", cfg="yolov8n.yaml"):
    model = getattr(tasks, kind)(cfg, nc=len(names), verbose=False)
    model.names = dict(enumerate(names))
    torch.save({"model": model, "train_args": {}}, name)
    return name


def attempt(key, name, device="auto"):
    try:
        detector = load_objects(ObjectSettings(weights=str(name)), device, Path("data"))
    except SetupError as error:
        results[key] = str(error)
        return
    image = np.zeros((90, 160, 3), np.uint8)
    pending = [detector.submit(image) for _ in range(3)] + [detector.submit_crop(image)]
    counts = [len(each.detections(120, (160, 90))) for each in pending]
    results[key] = [detector.labels, detector.runner.network.device, counts]
    detector.close()


class Program:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


assert "torch" not in sys.modules
Path("words.pt").write_bytes(b"hello")
attempt("words.pt", "words.pt")  # before the test imports ultralytics: the product must do it

import torch
from ultralytics.nn import tasks

torch.manual_seed(0)
mine = save("mine.pt", ["pedestrian", "dog", "License_Plate"])
whole = Path(mine).read_bytes()
attempt("mine", mine)
attempt("gpu", mine, "cuda")
attempt("animals", save("animals.pt", ["dog", "cat"]))
attempt("end2end", save("end2end.pt", ["person", "car"], cfg="yolo26n.yaml"))
attempt("classifier", save("classifier.pt", ["person"], "ClassificationModel", "yolov8n-cls.yaml"))
for name, content in {
    "empty.pt": b"", "half.pt": whole[: len(whole) // 2],
    "words.engine": b"hello",
}.items():
    Path(name).write_bytes(content)
    attempt(name, name)
torch.save({"model": Program()}, "program.pt")
attempt("program.pt", "program.pt")
results["was run"] = os.path.exists("was-run")
left = [p for p in Path.cwd().iterdir() if p.suffix not in (".pt", ".engine")]
results["files"] = sorted(p.name for p in left)
print(json.dumps(results))
"""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="ultralytics is not installed"
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of each attempt: labels, device and counts, or the error's text."""
    folder = tmp_path_factory.mktemp("ultralytics")
    (folder / "data").mkdir()
    done = python(folder, CODE, timeout_s=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert len(printed) == 1, "only what the test prints is on stdout"
    found: dict[str, Any] = json.loads(printed[0])
    found["log"] = done.stderr
    return found


def test_a_pt_file_runs_with_its_names_mapped_to_labels(results: dict[str, Any]) -> None:
    labels, device, counts = results["mine"]
    assert labels == ["person", "plate"]
    assert "Ultralytics" in device
    assert len(counts) == 4


def test_an_end_to_end_network_runs_too(results: dict[str, Any]) -> None:
    assert results["end2end"][0] == ["person", "car"]


def test_a_gpu_that_is_missing_is_one_warning_and_the_cpu(results: dict[str, Any]) -> None:
    device = results["gpu"][1]
    warnings = [line for line in results["log"].splitlines() if line.startswith("WARNING:app")]
    if device.startswith("CPU"):
        assert len(warnings) == 1
        assert "cuda" in warnings[0]
    else:
        assert warnings == []


def test_a_faster_format_is_suggested_on_a_cpu(results: dict[str, Any]) -> None:
    assert ("format=openvino" in results["log"]) == results["mine"][1].startswith("CPU")


@pytest.mark.parametrize(
    "name", ["words.pt", "empty.pt", "half.pt", "words.engine", "classifier", "program.pt"]
)
def test_an_unusable_file_is_one_sentence_with_its_name(name: str, results: dict[str, Any]) -> None:
    assert isinstance(results[name], str)
    assert name.partition(".")[0] in results[name]
    assert "\n" not in results[name]


def test_a_network_of_animals_is_refused(results: dict[str, Any]) -> None:
    assert "dog, cat" in results["animals"]


def test_code_inside_weights_is_not_run(results: dict[str, Any]) -> None:
    assert results["was run"] is False


def test_nothing_is_written_beside_the_data_folder(results: dict[str, Any]) -> None:
    assert results["files"] == ["data"]
