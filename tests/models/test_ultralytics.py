"""Weights that run through Ultralytics, in a process of its own: this one stays without torch."""

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

told = {}


def save(name, names, kind="DetectionModel", cfg="yolov8n.yaml"):
    model = getattr(tasks, kind)(cfg, nc=len(names), verbose=False)
    model.names = dict(enumerate(names))
    torch.save({"model": model, "train_args": {}}, name)
    return name


def attempt(key, name, device="auto"):
    try:
        detector = load_objects(ObjectSettings(weights=str(name)), device, Path("data"))
    except SetupError as error:
        told[key] = str(error)
        return
    image = np.zeros((90, 160, 3), np.uint8)
    looks = [detector.submit(image) for _ in range(3)] + [detector.submit_crop(image)]
    counts = [len(look.detections(120, (160, 90))) for look in looks]
    told[key] = [detector.labels, detector.runner.network.device, counts]
    detector.close()


class Program:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


assert "torch" not in sys.modules
Path("words.pt").write_bytes(b"hello")
attempt("words.pt", "words.pt")  # first of all: it is the product that imports ultralytics

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
told["was run"] = os.path.exists("was-run")
told["files"] = sorted(p.name for p in Path.cwd().iterdir() if p.suffix not in (".pt", ".engine"))
print(json.dumps(told))
"""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="ultralytics is not installed"
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of each attempt: labels, device and counts, or the error's words."""
    folder = tmp_path_factory.mktemp("ultralytics")
    (folder / "data").mkdir()
    done = python(folder, CODE, timeout_s=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert len(printed) == 1, "only what the test prints is on stdout"
    found: dict[str, Any] = json.loads(printed[0])
    found["log"] = done.stderr
    return found


def test_a_pt_runs_with_its_names_made_ours(told: dict[str, Any]) -> None:
    labels, device, counts = told["mine"]
    assert labels == ["person", "plate"]
    assert "Ultralytics" in device
    assert len(counts) == 4


def test_an_end_to_end_network_runs_too(told: dict[str, Any]) -> None:
    assert told["end2end"][0] == ["person", "car"]


def test_a_gpu_that_is_missing_is_one_warning_and_the_cpu(told: dict[str, Any]) -> None:
    device = told["gpu"][1]
    warnings = [line for line in told["log"].splitlines() if line.startswith("WARNING:app")]
    if device.startswith("CPU"):
        assert len(warnings) == 1
        assert "cuda" in warnings[0]
    else:
        assert warnings == []


def test_a_faster_way_is_told_on_a_cpu(told: dict[str, Any]) -> None:
    assert ("format=openvino" in told["log"]) == told["mine"][1].startswith("CPU")


@pytest.mark.parametrize(
    "name", ["words.pt", "empty.pt", "half.pt", "words.engine", "classifier", "program.pt"]
)
def test_what_cannot_be_used_is_one_sentence_with_its_name(name: str, told: dict[str, Any]) -> None:
    assert isinstance(told[name], str)
    assert name.partition(".")[0] in told[name]
    assert "\n" not in told[name]


def test_a_network_of_animals_is_refused(told: dict[str, Any]) -> None:
    assert "dog, cat" in told["animals"]


def test_a_program_inside_weights_is_not_run(told: dict[str, Any]) -> None:
    assert told["was run"] is False


def test_nothing_is_written_beside_the_data_folder(told: dict[str, Any]) -> None:
    assert told["files"] == ["data"]
