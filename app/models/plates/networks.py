"""The networks that read number plates, loaded once and shared."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from app.models.batching import BatchingRunner
from app.models.devices import open_network
from app.models.model_metadata import read_model_metadata
from app.models.objects import ObjectDetector
from app.models.plates.reader import PlateReader
from app.models.plates.recogniser import Recogniser
from app.models.plates.smeared_search import SmearedSearch
from app.models.plates.text_lines import TextLineDetector
from app.models.plates.tuning import DEFAULT_TUNING, PlateReaderTuning
from app.models.plates.voting import PlateLineReader

WEIGHTS = Path(__file__).parent.parent / "weights"
RECOGNISER = WEIGHTS / "plate_text.xml"
SMEARED = WEIGHTS / "smeared_plates.xml"


class PlateNetworks(NamedTuple):
    """The networks for plates alone.

    Attributes:
        lines: detects lines of text.
        text: reads them.
        smeared: detects plates that are smeared.
    """

    lines: BatchingRunner
    text: BatchingRunner
    smeared: ObjectDetector

    def close(self) -> None:
        """Finish the waiting requests, then end the networks' threads."""
        for network in self:
            network.close()

    @property
    def runners(self) -> dict[str, BatchingRunner]:
        """The networks by the names under which they are measured."""
        return {
            "text_lines": self.lines,
            "plate_text": self.text,
            "smeared_plates": self.smeared.runner,
        }

    def reader(
        self,
        objects: ObjectDetector | None,
        countries: tuple[str, ...] = (),
        tuning: PlateReaderTuning = DEFAULT_TUNING,
    ) -> PlateReader:
        """Create a reader on these networks; see ``PlateReader``."""
        return PlateReader(
            TextLineDetector(self.lines),
            PlateLineReader(Recogniser(self.text), countries),
            objects,
            SmearedSearch(self.smeared),
            countries,
            tuning,
        )


def load_plates(
    device: str = "auto",
    cache_dir: Path | None = None,
    recogniser: Path = RECOGNISER,
    smeared: Path = SMEARED,
) -> PlateNetworks:
    """Load the networks for plates. Raises SetupError when their files are missing."""
    # Photos have many sizes, and may take a moment longer.
    lines, text = (
        open_network(file, device, cache_dir=cache_dir, exact_sizes=0)
        for file in (WEIGHTS / "text_lines.xml", recogniser)
    )
    boxes = open_network(
        smeared, device, divide_by=255, keeps_shape=True, cache_dir=cache_dir, exact_sizes=0
    )
    return PlateNetworks(
        BatchingRunner(lines),
        BatchingRunner(text, max_batch=4),
        ObjectDetector(BatchingRunner(boxes), read_model_metadata(boxes.metadata, smeared.name)),
    )
