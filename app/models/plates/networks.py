"""The networks that read number plates, loaded once and shared."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from app.models.batching import BatchingRunner
from app.models.devices import open_network
from app.models.objects import ObjectDetector
from app.models.plates.reader import PlateReader
from app.models.plates.recogniser import Recogniser
from app.models.plates.text_lines import TextLineDetector
from app.models.plates.tuning import DEFAULT_TUNING, PlateReaderTuning
from app.models.plates.voting import PlateLineReader

WEIGHTS = Path(__file__).parent.parent / "weights"
RECOGNISER = WEIGHTS / "plate_text.xml"


class PlateNetworks(NamedTuple):
    """The two text networks: one detects lines, the other reads them."""

    lines: BatchingRunner
    text: BatchingRunner

    def close(self) -> None:
        """Finish the waiting requests, then end the networks' threads."""
        self.lines.close()
        self.text.close()

    def reader(
        self,
        objects: ObjectDetector | None,
        countries: tuple[str, ...] = (),
        tuning: PlateReaderTuning = DEFAULT_TUNING,
    ) -> PlateReader:
        """Create a reader on these networks; see ``PlateReader``."""
        reader = PlateLineReader(Recogniser(self.text), countries)
        return PlateReader(TextLineDetector(self.lines), reader, objects, countries, tuning)


def load_plates(
    device: str = "auto", cache_dir: Path | None = None, recogniser: Path = RECOGNISER
) -> PlateNetworks:
    """Load the networks for plates. Raises SetupError when their files are missing."""
    files = WEIGHTS / "text_lines.xml", recogniser
    # Photos have many sizes, and may take a moment longer.
    lines, text = (open_network(file, device, cache_dir=cache_dir, exact_sizes=0) for file in files)
    return PlateNetworks(BatchingRunner(lines), BatchingRunner(text, max_batch=4))
