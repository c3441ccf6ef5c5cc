"""Turn lines of plates into what the tail of the recogniser is trained on: the backbone's features.

    python -m training.plate_samples real FOLDER SOURCE.xml --seed 1     # needs FOLDER/lines.json
    python -m training.plate_samples stacked FOLDER SOURCE.xml --seed 3
    python -m training.plate_samples drawn FOLDER SOURCE.xml --seed 2

What is shipped had two calls of each, at the same time, the other with seeds 11, 13 and 12.
SOURCE.xml is the ``plate_text.xml`` of ``training.text``. Each call adds shards to FOLDER: features
(n, 384, T) as float16 for one T, with a JSON list of their ``Sample``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import openvino as ov

from app.models.plates.recogniser import padded_strip
from training.draw_plates import draw, fonts
from training.plate_ageing import aged_strip
from training.plate_lines import Line, image_of
from training.plate_stacked import with_stacked

Image = npt.NDArray[np.uint8]
COPIES, COPIES_OTHER, COPIES_STACKED = 8, 1, 2
"""Aged copies of each line of a number, of each other line, and of each number beside which small
letters are painted."""
PER_SHARD = 2000
DRAWN = -1


class Sample(NamedTuple):
    """What features are of: a number's text, empty for other text; fold -1 if it is drawn."""

    text: str
    fold: int
    kind: str


class Backbone:
    """Computes the backbone's features of a strip, (384, T) as float16."""

    def __init__(self, source: Path) -> None:
        core = ov.Core()
        core.set_property("CPU", {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False})
        self._core, self._source = core, source
        self._by_width: dict[int, Any] = {}

    def features(self, strip: Image) -> npt.NDArray[np.float16]:
        """Return the features of a (48, W, 3) strip."""
        padded = padded_strip(strip)
        width = padded.shape[1]
        if width not in self._by_width:
            model = self._core.read_model(self._source)
            cut = ov.Model([backbone_output(model)], model.get_parameters(), "features")
            cut.reshape([1, 3, 48, width])
            self._by_width[width] = self._core.compile_model(cut, "CPU")
        blob = padded.transpose(2, 0, 1)[None].astype(np.float32)
        answer = self._by_width[width](blob)[0]
        return np.asarray(answer[0, :, 0].astype(np.float16))


def backbone_output(model: ov.Model) -> ov.Output:
    """The backbone's last output (N, 384, 1, T), found by its type and not by its name."""
    for op in model.get_ordered_ops():
        if op.get_type_name() == "AvgPool":
            return op.output(0)
    raise ValueError("this file is not the recogniser")


class Shards:
    """Collects samples and writes them to shards of equal T."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._held: dict[int, list[tuple[npt.NDArray[np.float16], Sample]]] = defaultdict(list)
        self._written = 0

    def add(self, features: npt.NDArray[np.float16], sample: Sample) -> None:
        """Add one sample."""
        held = self._held[features.shape[1]]
        held.append((features, sample))
        if len(held) >= PER_SHARD:
            self._write(features.shape[1])

    def close(self) -> None:
        """Write what is left."""
        for columns in list(self._held):
            self._write(columns)

    def _write(self, columns: int) -> None:
        held = self._held.pop(columns)
        path = self._folder / f"{self._name}_{self._written}_{columns}.npy"
        self._written += 1
        np.save(path, np.stack([features for features, _ in held]))
        path.with_suffix(".json").write_text(json.dumps([sample for _, sample in held]))


def load(folder: Path) -> list[tuple[npt.NDArray[np.float16], list[Sample]]]:
    """Read all shards of a folder."""
    return [
        (
            np.load(path),
            [Sample(*each) for each in json.loads(path.with_suffix(".json").read_text())],
        )
        for path in sorted(folder.glob("*.npy"))
    ]


def _real(folder: Path, rng: np.random.Generator) -> Iterator[tuple[Image, Sample]]:
    lines = [Line(**each) for each in json.loads((folder / "lines.json").read_text())]
    for line in lines:
        image = image_of(Path(line.path))
        for _ in range(COPIES if line.text else COPIES_OTHER):
            strip = aged_strip(rng, image, line.quad)
            yield strip, Sample(line.text, line.fold, line.kind)


def _stacked(folder: Path, rng: np.random.Generator) -> Iterator[tuple[Image, Sample]]:
    lines = [Line(**each) for each in json.loads((folder / "lines.json").read_text())]
    for line in lines:
        if not line.text:
            continue
        image, quad = image_of(Path(line.path)), np.array(line.quad, np.float32)
        for _ in range(COPIES_STACKED):
            painted = with_stacked(rng, image, quad)
            if painted is not None:
                strip = aged_strip(rng, painted.image, painted.quad)
                yield strip, Sample(line.text, line.fold, line.kind)


def _drawn(
    count: int, font_folders: list[Path], rng: np.random.Generator
) -> Iterator[tuple[Image, Sample]]:
    faces = fonts(font_folders)
    for _ in range(count):
        strip, text = draw(rng, faces)
        yield strip, Sample(text, DRAWN, "drawn")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["real", "stacked", "drawn"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("--fonts", type=Path, nargs="*", default=[Path("/usr/share/fonts")])
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    backbone, shards = Backbone(chosen.source), Shards(chosen.folder, f"{chosen.what}{chosen.seed}")
    if chosen.what == "drawn":
        strips = _drawn(chosen.count, chosen.fonts, rng)
    else:
        strips = (_real if chosen.what == "real" else _stacked)(chosen.folder, rng)
    started = time.monotonic()
    for number, (strip, sample) in enumerate(strips, 1):
        shards.add(backbone.features(strip), sample)
        if number % 2000 == 0:
            print(f"{number} in {time.monotonic() - started:.0f} s", flush=True)
    shards.close()


if __name__ == "__main__":
    main()
