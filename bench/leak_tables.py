"""Tables of faces that leak: by size, kind and source, by frame and by track."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.table import show

ENOUGH = 0.9  # of a face's area
SIZES = (6, 12, 24)  # pixels of the network's input, the shorter side of a box


class Sighting(NamedTuple):
    """A labelled face in one frame, and how much of its area was covered.

    Attributes:
        size: its shorter side in pixels of the network's input.
        covered: share of its area, from 0 to 1.
    """

    source: str
    kind: str
    size: float
    track: int | None
    covered: float

    @property
    def leaks(self) -> bool:
        """Whether too little of it was covered."""
        return self.covered < ENOUGH


@dataclass(slots=True)
class Outcome:
    """What became of the faces of some frames.

    Attributes:
        stray: boxes that lie on no face.
    """

    sightings: list[Sighting] = field(default_factory=list)
    frames: int = 0
    stray: int = 0


def size_class(size: float) -> str:
    """Return the class of a face by its size in pixels of the network's input."""
    for low, high in itertools.pairwise((0, *SIZES)):
        if size < high:
            return f"{low} to {high} px"
    return f"{SIZES[-1]} px and more"


def ratio(sightings: Sequence[Sighting]) -> str:
    """Return leaks of faces, and as a share."""
    leaks = sum(sighting.leaks for sighting in sightings)
    return f"{leaks} of {len(sightings)} ({leaks / len(sightings):.0%})" if sightings else "–"


def grouped(
    outcome: Outcome, group: Callable[[Sighting], Hashable]
) -> dict[Hashable, list[Sighting]]:
    """Return the sightings of each group."""
    groups: dict[Hashable, list[Sighting]] = defaultdict(list)
    for sighting in outcome.sightings:
        groups[group(sighting)].append(sighting)
    return groups


def leaking_tracks(outcomes: Iterable[Outcome]) -> tuple[int, int]:
    """Return how many tracks leak in any labelled frame, and how many there are."""
    tracks: dict[Hashable, bool] = defaultdict(bool)
    for outcome in outcomes:
        for sighting in outcome.sightings:
            if sighting.track is not None:
                tracks[sighting.source, sighting.track] |= sighting.leaks
    return sum(tracks.values()), len(tracks)


def source_name(source: str) -> str:
    """Return a clip's name, or the folder of a still."""
    first, *_, last = source.split("/")
    return last if first == "videos" else first


GROUPS: Mapping[str, Callable[[Sighting], Hashable]] = {
    "size": lambda sighting: size_class(sighting.size),
    "kind": lambda sighting: sighting.kind,
    "source": lambda sighting: source_name(sighting.source),
}


def table_alone(outcomes: Mapping[str, Outcome]) -> None:
    """Print leaks by size, kind and source, and the detections that lie on no face."""
    rows = [["all", *(ratio(outcome.sightings) for outcome in outcomes.values())]]
    for group in GROUPS.values():
        groups = [grouped(outcome, group) for outcome in outcomes.values()]
        names = sorted({name for found in groups for name in found}, key=_in_order)
        rows += [[str(name), *(ratio(found.get(name, [])) for found in groups)] for name in names]
    strays = [f"{o.stray / o.frames:.1f}" if o.frames else "–" for o in outcomes.values()]
    rows.append(["boxes on no face, a frame", *strays])
    show("Faces leaking, each labelled frame alone", ["faces", *outcomes], rows)


def _in_order(name: Hashable) -> tuple[int, str]:
    """Order size classes by size, and all else by name."""
    number, pixels, _ = str(name).partition(" ")
    return (int(number) if pixels and number.isdigit() else 0), str(name)


def table_pipeline(outcomes: Mapping[str, Mapping[str, Outcome]]) -> None:
    """Print leaks by frame and by track, for each clip and all of them."""
    clips = sorted({clip for found in outcomes.values() for clip in found})
    rows = []
    for clip in [*clips, "all"]:
        row = [clip if clip == "all" else source_name(clip)]
        for found in outcomes.values():
            parts = list(found.values()) if clip == "all" else [found[clip]]
            sightings = [sighting for part in parts for sighting in part.sightings]
            leaking, tracks = leaking_tracks(parts)
            stray = sum(p.stray for p in parts) / sum(p.frames for p in parts)
            row += [ratio(sightings), f"{leaking} of {tracks}", f"{stray:.1f}"]
        rows.append(row)
    head = ["clip"]
    for name in outcomes:
        head += [f"{name}: faces", "tracks", "boxes on no face, a frame"]
    show("Faces leaking through the whole pipeline", head, rows)
