"""What a network of boxes says about itself: its classes, thresholds and sizes.

The project's own files and Ultralytics' exports carry this as metadata inside the file.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.errors import SetupError
from app.models.labels import our_columns
from app.types import LABELS

Floats = npt.NDArray[np.float32]
Metadata = Mapping[str, object]

THRESHOLD = 0.3
NMS_IOU = 0.6
TIGHT_NMS_IOU = 0.3
TIGHT = ("plate", "cigarette")
"""Two boxes of one such small thing often share a third only."""
SIZE, CLOSE_SIZE = 640, 384
SHOWN_NAMES = 12


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """How to read a network's boxes.

    Attributes:
        classes: how many classes the network has.
        columns: (K,) which of them are ours.
        labels: our label of each of these columns.
        thresholds: (K,) least confidence that counts, for each column.
        nms_iou: (K,) two boxes of a class that share more are one, for each column.
        size: longer side in pixels of what the network likes to see.
        close_size: the same for the second look.
        precision: what the file says of its weights, or an empty string.
    """

    classes: int
    columns: npt.NDArray[np.intp]
    labels: tuple[str, ...]
    thresholds: Floats
    nms_iou: Floats
    size: int
    close_size: int
    precision: str


def read_model_metadata(metadata: Metadata, file: str) -> ModelMetadata:
    """Understand a file's metadata; ``file`` is its name, for the error.

    Raises:
        SetupError: no class names, none that is ours, or metadata that makes no sense.
    """
    try:
        names = _names(metadata)
        ours = our_columns(names)
        columns = np.array(list(ours), np.intp)
        usual_iou = [TIGHT_NMS_IOU if ours.get(n) in TIGHT else NMS_IOU for n in sorted(names)]
        card = ModelMetadata(
            classes=len(names),
            columns=columns,
            labels=tuple(ours.values()),
            thresholds=_per_class(metadata, "thresholds", [THRESHOLD] * len(names))[columns],
            nms_iou=_per_class(metadata, "nms_iou", usual_iou)[columns],
            size=_side(metadata, "size", _side(metadata, "imgsz", SIZE)),
            close_size=_side(metadata, "close_size", CLOSE_SIZE),
            precision=str(metadata.get("precision", "")),
        )
    except (ValueError, SyntaxError, TypeError, IndexError) as error:
        raise SetupError(reason=f"{file}: its metadata makes no sense ({error})") from error
    if not names:
        raise SetupError(
            reason=f"{file} does not say what its classes are called. Use a network that "
            "Ultralytics exported (its metadata has the names), or the .pt itself."
        )
    if not ours:
        shown = ", ".join(list(names.values())[:SHOWN_NAMES])
        more = ", …" if len(names) > SHOWN_NAMES else ""
        raise SetupError(
            reason=f"{file} knows none of the classes that Watchpost uses "
            f"({', '.join(LABELS)}); it knows {shown}{more}"
        )
    return card


def _names(metadata: Metadata) -> dict[int, str]:
    """From ``names`` ({0: 'person', …}, also as text) or ``labels`` (words)."""
    given = metadata.get("names")
    if given is None:
        words = str(metadata.get("labels", "")).split()
        return dict(enumerate(words))
    parsed = ast.literal_eval(given) if isinstance(given, str) else given
    if isinstance(parsed, list | tuple):
        parsed = dict(enumerate(parsed))
    if not isinstance(parsed, dict):
        raise ValueError("names is neither a list nor a table")
    names = {int(number): str(name) for number, name in parsed.items()}
    if sorted(names) != list(range(len(names))):
        raise ValueError("names has gaps in its numbers")
    return names


def _per_class(metadata: Metadata, key: str, usual: list[float]) -> Floats:
    given = metadata.get(key)
    values = usual if given is None else [float(word) for word in str(given).split()]
    if len(values) != len(usual) or not all(0 < value < 1 for value in values):
        raise ValueError(f"{key} must be one number between 0 and 1 for each class")
    return np.array(values, np.float32)


def _side(metadata: Metadata, key: str, usual: int) -> int:
    """A side in pixels; of Ultralytics' (height, width) the longer one."""
    given = metadata.get(key)
    if given is None:
        return usual
    parsed = ast.literal_eval(given) if isinstance(given, str) else given
    sides = parsed if isinstance(parsed, list | tuple) else [parsed]
    side = max(int(str(value)) for value in sides)
    if not 32 <= side <= 4096:
        raise ValueError(f"{key} is {side} pixels")
    return side
