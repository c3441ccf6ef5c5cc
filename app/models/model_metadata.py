"""Metadata of a detection network: its classes, thresholds and sizes.

The project's own files and Ultralytics' exports store it inside the file.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.errors import SetupError
from app.models.labels import canonical_columns
from app.types import LABELS

Floats = npt.NDArray[np.float32]
Metadata = Mapping[str, object]

THRESHOLD = 0.3
NMS_IOU = 0.6
TIGHT_NMS_IOU = 0.3
TIGHT_NMS_LABELS = ("plate", "cigarette")
"""Two boxes of one object this small often overlap by only a third."""
SIZE, CROP_SIZE = 640, 384
MAX_LISTED_NAMES = 12


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """How to read a network's boxes.

    Attributes:
        classes: number of classes of the network.
        columns: (K,) indices of the classes that Watchpost uses.
        labels: Watchpost's label of each of these columns.
        thresholds: (K,) minimum confidence of each column.
        nms_iou: (K,) IoU above which non-maximum suppression drops a box, of each column.
        size: preferred longer side of the input in pixels.
        crop_size: the same for crops in the second pass; ``close_size`` in the file.
        precision: what the file says about its weights, or an empty string.
        parts: Watchpost's labels that each part of the network detects, by the part's name.
    """

    classes: int
    columns: npt.NDArray[np.intp]
    labels: tuple[str, ...]
    thresholds: Floats
    nms_iou: Floats
    size: int
    crop_size: int
    precision: str
    parts: Mapping[str, frozenset[str]] = field(default_factory=dict)


def read_model_metadata(metadata: Metadata, file: str) -> ModelMetadata:
    """Parse a file's metadata; ``file`` is its name, for the error.

    Raises:
        SetupError: no class names, none that Watchpost uses, or invalid metadata.
    """
    try:
        names = _names(metadata)
        ours = canonical_columns(names)
        columns = np.array(list(ours), np.intp)
        default_iou = [
            TIGHT_NMS_IOU if ours.get(n) in TIGHT_NMS_LABELS else NMS_IOU for n in sorted(names)
        ]
        parsed = ModelMetadata(
            classes=len(names),
            columns=columns,
            labels=tuple(ours.values()),
            thresholds=_per_class(metadata, "thresholds", [THRESHOLD] * len(names))[columns],
            nms_iou=_per_class(metadata, "nms_iou", default_iou)[columns],
            size=_side(metadata, "size", _side(metadata, "imgsz", SIZE)),
            crop_size=_side(metadata, "close_size", CROP_SIZE),
            precision=str(metadata.get("precision", "")),
            parts=labels_by_part(metadata),
        )
    except (ValueError, SyntaxError, TypeError, IndexError) as error:
        raise SetupError(reason=f"{file} has invalid metadata: {error}") from error
    if not names:
        raise SetupError(
            reason=f"{file} contains no class names. Use a network exported by Ultralytics, which "
            "stores the names as metadata, or the .pt file itself."
        )
    if not ours:
        listed = ", ".join(list(names.values())[:MAX_LISTED_NAMES])
        more = ", …" if len(names) > MAX_LISTED_NAMES else ""
        raise SetupError(
            reason=f"{file} has none of the classes that Watchpost uses "
            f"({', '.join(LABELS)}); its classes are {listed}{more}"
        )
    return parsed


def labels_by_part(metadata: Metadata) -> dict[str, frozenset[str]]:
    """Read ``parts``, as in ``coco: person car; small: plate``: outputs and what each detects.

    Such a network also has an output of everything, the first one. Empty for most networks.
    """
    listed = [line.partition(":") for line in str(metadata.get("parts", "")).split(";")]
    return {name.strip(): frozenset(labels.split()) for name, _, labels in listed if labels.strip()}


def _names(metadata: Metadata) -> dict[int, str]:
    """Read ``names`` ({0: 'person', …}, also as text) or ``labels`` (separated by spaces)."""
    given = metadata.get("names")
    if given is None:
        words = str(metadata.get("labels", "")).split()
        return dict(enumerate(words))
    parsed = ast.literal_eval(given) if isinstance(given, str) else given
    if isinstance(parsed, list | tuple):
        parsed = dict(enumerate(parsed))
    if not isinstance(parsed, dict):
        raise ValueError("names is neither a list nor a mapping")
    names = {int(number): str(name) for number, name in parsed.items()}
    if sorted(names) != list(range(len(names))):
        raise ValueError("names has gaps in its numbering")
    return names


def _per_class(metadata: Metadata, key: str, default: list[float]) -> Floats:
    given = metadata.get(key)
    values = default if given is None else [float(word) for word in str(given).split()]
    if len(values) != len(default) or not all(0 < value < 1 for value in values):
        raise ValueError(f"{key} must be one number between 0 and 1 for each class")
    return np.array(values, np.float32)


def _side(metadata: Metadata, key: str, default: int) -> int:
    """Read a side in pixels; of Ultralytics' (height, width) the longer one."""
    given = metadata.get(key)
    if given is None:
        return default
    parsed = ast.literal_eval(given) if isinstance(given, str) else given
    sides = parsed if isinstance(parsed, list | tuple) else [parsed]
    side = max(int(str(value)) for value in sides)
    if not 32 <= side <= 4096:
        raise ValueError(f"{key} is {side} pixels, not 32 to 4096")
    return side
