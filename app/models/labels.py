"""Watchpost's labels, and the names that other networks use for the same classes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.types import LABELS

ALIASES = {
    "person": ("people", "persons", "human", "pedestrian"),
    "backpack": ("rucksack",),
    "handbag": ("hand bag", "purse"),
    "suitcase": ("luggage",),
    "car": ("cars", "automobile"),
    "motorcycle": ("motorbike",),
    "truck": ("lorry",),
    "face": ("faces", "human face"),
    "plate": (
        "plates",
        "license",
        "licence",
        "license plate",
        "licence plate",
        "licenseplate",
        "number plate",
        "numberplate",
        "registration plate",
        "vehicle registration plate",
        "car plate",
        "lp",
    ),
    "cigarette": ("cigarettes", "cig", "cigaret"),
}
LABEL_BY_NAME = {alias: label for label, names in ALIASES.items() for alias in names} | {
    label: label for label in LABELS
}


def canonical_label(name: str) -> str | None:
    """Return Watchpost's label for a class name, or None: ``License_Plate`` is ``plate``."""
    return LABEL_BY_NAME.get(re.sub(r"[\s_-]+", " ", name).strip().lower())


def canonical_columns(names: Mapping[int, str]) -> dict[int, str]:
    """Map the class numbers of a network to Watchpost's labels; other classes are left out."""
    labels = {number: canonical_label(name) for number, name in sorted(names.items())}
    return {number: label for number, label in labels.items() if label is not None}
