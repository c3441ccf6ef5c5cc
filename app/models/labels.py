"""The classes that Watchpost knows, and what other people's networks call them."""

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
OURS = {alias: label for label, names in ALIASES.items() for alias in names} | {
    label: label for label in LABELS
}


def our_label(name: str) -> str | None:
    """Our word for a foreign class name, or None: ``License_Plate`` is ``plate``."""
    return OURS.get(re.sub(r"[\s_-]+", " ", name).strip().lower())


def our_columns(names: Mapping[int, str]) -> dict[int, str]:
    """Those classes of a network that are ours: number of the class to our label."""
    named = {number: our_label(name) for number, name in sorted(names.items())}
    return {number: label for number, label in named.items() if label is not None}
