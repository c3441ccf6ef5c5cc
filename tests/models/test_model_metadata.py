"""The metadata of networks, and how their classes map to Watchpost's labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.errors import SetupError
from app.models.labels import canonical_columns, canonical_label
from app.models.model_metadata import read_model_metadata
from app.types import LABELS

COCO = {
    **dict.fromkeys(range(80), "something"),
    0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck",
    24: "backpack", 25: "umbrella", 26: "handbag", 28: "suitcase",
}  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
def test_labels_map_to_themselves(label: str) -> None:
    assert (
        canonical_label(label)
        == canonical_label(label.upper())
        == canonical_label(f" {label} ")
        == label
    )


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        ("license plate", "plate"),
        ("License_Plate", "plate"),
        ("number_plate", "plate"),
        ("licence-plate", "plate"),
        ("LP", "plate"),
        ("pedestrian", "person"),
        ("motorbike", "motorcycle"),
        ("Human face", "face"),
        ("dog", None),
        ("smoking", None),  # a person who smokes is not a cigarette
        ("personal computer", None),
        ("plate of food", None),
        ("", None),
    ],
)
def test_names_of_other_networks(foreign: str, ours: str | None) -> None:
    assert canonical_label(foreign) == ours


def test_unknown_coco_classes_are_left_out() -> None:
    columns = canonical_columns(COCO)
    assert columns == {number: COCO[number] for number in (0, 2, 3, 5, 7, 24, 26, 28)}


def test_two_classes_may_map_to_one_label() -> None:
    parsed = read_model_metadata({"names": {0: "man", 1: "pedestrian", 2: "person"}}, "x.onnx")
    assert parsed.labels == ("person", "person")
    assert parsed.columns.tolist() == [1, 2]


@pytest.mark.parametrize(
    "metadata",
    [
        {"names": {0: "person", 1: "dog", 2: "plate"}},
        {"names": "{0: 'person', 1: 'dog', 2: 'plate'}"},
        {"names": ["person", "dog", "plate"]},
        {"names": "['person', 'dog', 'license plate']"},
        {"labels": "person dog license_plate"},
    ],
)
def test_names_are_read_in_several_forms(metadata: dict[str, Any]) -> None:
    parsed = read_model_metadata(metadata, "x.onnx")
    assert parsed.classes == 3
    assert parsed.columns.tolist() == [0, 2]
    assert parsed.labels == ("person", "plate")
    assert np.allclose(parsed.thresholds, 0.3)
    assert np.allclose(parsed.nms_iou, [0.6, 0.3])
    assert (parsed.size, parsed.crop_size) == (640, 384)


def test_metadata_of_own_files_is_read() -> None:
    parsed = read_model_metadata(
        {
            "names": "{0: 'cigarette', 1: 'dog', 2: 'person'}",
            "thresholds": "0.21 0.9 0.35",
            "nms_iou": "0.25 0.5 0.7",
            "size": "576",
            "close_size": "320",
            "precision": "int8",
        },
        "x.xml",
    )
    assert np.allclose(parsed.thresholds, [0.21, 0.35])
    assert np.allclose(parsed.nms_iou, [0.25, 0.7])
    assert (parsed.size, parsed.crop_size, parsed.precision) == (576, 320, "int8")


def test_ultralytics_size_is_its_longer_side() -> None:
    assert read_model_metadata({"names": ["car"], "imgsz": "[384, 960]"}, "x").size == 960


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        ({}, "class names"),
        ({"names": "{}"}, "class names"),
        ({"names": {0: "dog", 1: "cat"}}, "dog, cat"),
        ({"names": {0: "person", 2: "car"}}, "gaps"),
        ({"names": "person, car"}, "metadata"),
        ({"names": "{0: 'person'"}, "metadata"),
        ({"names": 7}, "metadata"),
        ({"names": ["person", "car"], "thresholds": "0.3"}, "thresholds"),
        ({"names": ["person"], "thresholds": "high"}, "metadata"),
        ({"names": ["person"], "nms_iou": "1.5"}, "nms_iou"),
        ({"names": ["person"], "size": "0"}, "size"),
        ({"names": ["person"], "size": "large"}, "metadata"),
    ],
)
def test_invalid_metadata_is_reported_with_the_file_name(
    metadata: dict[str, Any], word: str
) -> None:
    with pytest.raises(SetupError) as caught:
        read_model_metadata(metadata, "best.onnx")
    assert "best.onnx" in str(caught.value)
    assert word in str(caught.value)


def test_only_the_first_of_many_names_are_listed() -> None:
    with pytest.raises(SetupError) as caught:
        read_model_metadata({"names": [f"thing {n}" for n in range(500)]}, "x")
    assert len(str(caught.value)) < 500
