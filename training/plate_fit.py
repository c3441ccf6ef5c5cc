"""Train the tail of ``plate_text`` and export the network.

    python -m training.plate_fit fit FOLDER WHEEL --leave-out 0 --out FOLDER/tail0.pt
    python -m training.plate_fit export FOLDER/tail.pt SOURCE.xml app/models/weights/plate_text.xml

FOLDER has the shards of ``training.plate_samples``; WHEEL is RapidOCR's, with the original weights.
The fold that is left out is scored after each pass, and never trained on.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import openvino as ov
import torch
from openvino import opset13 as ops
from torch import Tensor
from torch.nn import functional

from app import plate_text
from app.models.plates.ctc import ALPHABET, BLANK
from training.plate_samples import Sample, backbone_output, load
from training.plate_tail import BACKBONE, Tail, from_original
from training.text import RECOGNISER, save

BATCH = 64
NUMBER_LOSS, NOISE, WARM_UP = 0.3, 0.05, 0.05
AVERAGED = 0.998
"""Weight of the past in the moving average of the weights, which is what is kept."""
RATE_OWN, RATE_NEW = 4e-4, 2e-3
"""Learning rates of PP-OCR's layers and of the new ones."""
NEW = ("wide", "more", "number", "answer")


class Batch(NamedTuple):
    """Features (n, 384, T) and what they are of."""

    features: Tensor
    samples: list[Sample]


class Data:
    """The samples of all shards, in batches of equal T."""

    def __init__(self, folder: Path) -> None:
        by_columns: dict[int, list[tuple[npt.NDArray[np.float16], list[Sample]]]] = {}
        for features, samples in load(folder):
            by_columns.setdefault(features.shape[2], []).append((features, samples))
        self._held = {
            columns: (np.concatenate([f for f, _ in parts]), [s for _, own in parts for s in own])
            for columns, parts in by_columns.items()
        }

    def batches(self, rng: np.random.Generator | None, folds: set[int]) -> Iterator[Batch]:
        """Yield the samples of some folds, in random order if there is an ``rng``."""
        cuts = []
        for columns, (_, samples) in self._held.items():
            own = np.array([i for i, s in enumerate(samples) if s.fold in folds], int)
            if rng is not None:
                rng.shuffle(own)
            cuts += [(columns, own[at : at + BATCH]) for at in range(0, len(own), BATCH)]
        for place in rng.permutation(len(cuts)) if rng is not None else range(len(cuts)):
            columns, chosen = cuts[place]
            features, samples = self._held[columns]
            floats = torch.from_numpy(features[chosen].astype(np.float32))
            yield Batch(floats, [samples[i] for i in chosen])

    def count(self, folds: set[int]) -> int:
        """The number of batches of some folds."""
        return sum(
            -(-sum(s.fold in folds for s in samples) // BATCH) for _, samples in self._held.values()
        )


def loss_of(tail: Tail, batch: Batch) -> Tensor:
    """CTC loss of the numbers, and cross-entropy of being one."""
    answer = tail(batch.features + NOISE * torch.randn_like(batch.features))
    is_number = torch.tensor([float(bool(s.text)) for s in batch.samples])
    loss = NUMBER_LOSS * functional.binary_cross_entropy_with_logits(answer.is_number, is_number)
    rows = [i for i, s in enumerate(batch.samples) if s.text]
    if not rows:
        return loss
    texts = [batch.samples[i].text for i in rows]
    scores = functional.log_softmax(answer.scores[rows], -1).transpose(0, 1)
    targets = torch.tensor([1 + ALPHABET.index(c) for text in texts for c in text])
    sizes = torch.tensor([len(text) for text in texts])
    lengths = torch.full((len(rows),), scores.shape[0])
    each = functional.ctc_loss(
        scores, targets, lengths, sizes, reduction="none", zero_infinity=True
    )
    return loss + (each / sizes).clamp(max=6).mean()


def fit(data: Data, tail: Tail, folds: set[int], passes: int, seed: int, held: int | None) -> Tail:
    """Train on some folds; return the moving average of the weights."""
    torch.manual_seed(seed)
    groups: dict[bool, list[Any]] = {True: [], False: []}
    for name, weights in tail.named_parameters():
        groups[name.startswith(NEW)].append(weights)
    optimiser = torch.optim.AdamW(
        [{"params": groups[False], "lr": RATE_OWN}, {"params": groups[True], "lr": RATE_NEW}],
        weight_decay=0.02,
    )
    steps = passes * data.count(folds)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [RATE_OWN, RATE_NEW], total_steps=steps + 1, pct_start=WARM_UP
    )
    kept, rng = copy.deepcopy(tail), np.random.default_rng(seed)
    for turn in range(passes):
        tail.train()
        losses, started = [], time.monotonic()
        for batch in data.batches(rng, folds):
            loss = loss_of(tail, batch)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(tail.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
            with torch.no_grad():
                for mean, now in zip(kept.parameters(), tail.parameters(), strict=True):
                    mean.lerp_(now, 1 - AVERAGED)
        print(f"pass {turn + 1}: loss {np.mean(losses):.4f}", end=" ")
        print(f"in {time.monotonic() - started:.0f} s", flush=True)
        if held is not None:
            print("  left out:", report(data, kept, held), flush=True)
    return kept.eval()


def report(data: Data, tail: Tail, fold: int) -> str:
    """Shares of a fold's aged lines that are read correctly, look-alikes equal, and recognised."""
    right: dict[str, list[bool]] = {}
    tail.eval()
    with torch.no_grad():
        for batch in data.batches(None, {fold}):
            answer = tail(batch.features)
            for path, number, sample in zip(
                answer.scores.argmax(-1), answer.is_number, batch.samples, strict=True
            ):
                is_number = bool(number > 0) == bool(sample.text)
                right.setdefault(f"{sample.kind} {bool(sample.text)}", []).append(is_number)
                if sample.text:
                    read = plate_text.shape(greedy(path.tolist()))
                    right.setdefault(sample.kind, []).append(read == plate_text.shape(sample.text))
    return ", ".join(f"{name} {100 * np.mean(own):.1f}" for name, own in sorted(right.items()))


def greedy(path: list[int]) -> str:
    """The text of the likeliest class in each column."""
    kept = [c for i, c in enumerate(path) if c != BLANK and (i == 0 or path[i - 1] != c)]
    return "".join(ALPHABET[c - 1] for c in kept)


def original(wheel: Path) -> Tail:
    """The tail with the weights in RapidOCR's wheel."""
    import onnx

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as held:
        file = Path(held.extract(f"rapidocr/models/{RECOGNISER}", folder))
        about = {p.key: p.value for p in onnx.load(str(file)).metadata_props}
        characters = about["character"].splitlines()
        columns = {1 + i: 1 + characters.index(c) for i, c in enumerate(ALPHABET)}
        return from_original(file, {BLANK: 0, **columns})


def export(tails: list[Path], source: Path, out: Path) -> None:
    """Put the mean of some tails in the place of the source's own, and write the network."""
    states = [torch.load(path, weights_only=True) for path in tails]
    tail = Tail().eval()
    tail.load_state_dict({k: sum(s[k] for s in states) / len(states) for k in states[0]})
    example = torch.zeros(1, BACKBONE, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch advises against tracing
        converted = ov.convert_model(tail, example_input=example, input=[-1, BACKBONE, -1])
    model = ov.Core().read_model(source)
    features = ops.squeeze(backbone_output(model), np.array([2]))
    converted.inputs[0].get_node().output(0).replace(features.output(0))
    scores, number = (one.get_node().input_value(0) for one in converted.outputs)
    answer = ops.softmax(scores, -1)
    is_number = ops.sigmoid(number)
    joined = ov.Model([answer.output(0), is_number.output(0)], model.get_parameters(), "plate_text")
    joined.outputs[0].get_tensor().set_names({"text"})
    joined.outputs[1].get_tensor().set_names({"is_number"})
    save(joined, out, str(model.get_rt_info(["model_info", "source"]).value))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    fitting = commands.add_parser("fit")
    fitting.add_argument("folder", type=Path)
    fitting.add_argument("wheel", type=Path)
    fitting.add_argument("--leave-out", type=int, help="a fold; all are trained on without it")
    fitting.add_argument("--out", type=Path, required=True)
    fitting.add_argument("--passes", type=int, default=5)
    fitting.add_argument("--seed", type=int, default=0)
    exporting = commands.add_parser("export")
    exporting.add_argument("tails", type=Path, nargs="+")
    exporting.add_argument("source", type=Path)
    exporting.add_argument("out", type=Path)
    chosen = parser.parse_args()
    if chosen.what == "export":
        export(chosen.tails, chosen.source, chosen.out)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)  # of the new layers: with one start, tails of several seeds have a mean
    folds = {-1, 0, 1, 2, 3} - {chosen.leave_out}
    tail = original(chosen.wheel)
    data = Data(chosen.folder)
    if chosen.leave_out is not None:
        print("before:", report(data, tail, chosen.leave_out), flush=True)
    kept = fit(data, tail, folds, chosen.passes, chosen.seed, chosen.leave_out)
    torch.save(kept.state_dict(), chosen.out)


if __name__ == "__main__":
    main()
