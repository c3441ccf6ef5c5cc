"""Train YuNet on from its published weights, with small rates, for some running time.

    WATCHPOST_DATA=... python -m training.train_faces WORK --hours 0.8 --name first
    WATCHPOST_DATA=... python -m training.train_faces WORK --resume --hours 0.8 --name first

Needs the labels of ``label_faces``; those that are written meanwhile are read, too. Writes
``WORK/NAME.pt`` every few minutes, and the averaged weights to ``WORK/NAME_STEP.pt``. With
``--minutes`` a call ends early, and the next one resumes.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW

from training.export_faces import SOURCE, read_yunet
from training.face_copies import Sample
from training.face_loss import Truth, face_loss
from training.face_samples import SampleSource
from training.images import data_root
from training.label_faces import LabelledPicture, read_labels
from training.yunet import YuNet, from_openvino

VALIDATION_FOLDS = (0, 1)
"""Folds of pictures that are not trained on: for choosing between networks, and thresholds."""


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training run.

    Attributes:
        rate: AdamW's highest learning rate; it falls with a cosine to ``final`` of it.
        averaged: share of the old weights that the running average keeps in a step.
    """

    batch: int = 8
    rate: float = 3e-4
    final: float = 0.02
    warmup: float = 0.03
    averaged: float = 0.998
    clipped: float = 10.0
    decay: float = 1e-4
    checkpoint_s: float = 240.0
    reread_s: float = 400.0


class Training:
    """A training run that can be interrupted.

    Args:
        seconds: running time over which the rates fall; earlier parts of a resumed run count.
    """

    def __init__(self, work: Path, name: str, seconds: float, recipe: Recipe) -> None:
        self.root, self.work, self.name = data_root(), work, name
        self.seconds, self.recipe = seconds, recipe
        self.network = from_openvino(read_yunet(self.root / "weights" / SOURCE))
        self.network = self.network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network)
        self.optimizer = AdamW(self.network.parameters(), recipe.rate, weight_decay=recipe.decay)
        self.step, self.elapsed = 0, 0.0

    def resume(self) -> None:
        """Continue from the last checkpoint."""
        state = torch.load(self.work / f"{self.name}.pt")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed = state["step"], state["elapsed"]

    def save(self) -> None:
        """Write a checkpoint, and the averaged weights beside it."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
        }
        unfinished = self.work / f"{self.name}.part"
        torch.save(state, unfinished)
        unfinished.replace(self.work / f"{self.name}.pt")
        torch.save(self.average.state_dict(), self.work / f"{self.name}_{self.step:05d}.pt")

    def run(self, at_most_s: float = math.inf) -> None:
        """Train until the time is up, or for this much of it."""
        labels = read_labels(self.work)
        source, read_at, saved_at = self._source(labels), self.elapsed, self.elapsed
        losses: list[float] = []
        until = min(self.seconds, self.elapsed + at_most_s)
        while self.elapsed < until:
            began = time.monotonic()
            losses.append(self._train([source.draw() for _ in range(self.recipe.batch)]))
            self.elapsed += time.monotonic() - began
            if self.step % 50 == 0:
                print(f"{self.step} {self.elapsed:.0f} s {np.mean(losses):.3f}", flush=True)
                losses.clear()
            if self.elapsed - saved_at > self.recipe.checkpoint_s:
                self.save()
                saved_at = self.elapsed
            if self.elapsed - read_at > self.recipe.reread_s:
                now, read_at = read_labels(self.work), self.elapsed
                if len(now) > len(labels):
                    labels, source = now, self._source(now)
        self.save()

    def _source(self, labels: list[LabelledPicture]) -> SampleSource:
        known = [picture for picture in labels if picture.fold not in VALIDATION_FOLDS]
        return SampleSource(self.root, known, seed=self.step)

    def _train(self, samples: list[Sample]) -> float:
        """Do one step; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate * self._share()
        truths = [Truth(torch.from_numpy(s.faces), torch.from_numpy(s.unsure)) for s in samples]
        loss = face_loss(self.network(as_batch(samples)), truths)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clipped)
        self.optimizer.step()
        self.step += 1
        keep = min(self.recipe.averaged, self.step / (self.step + 10))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for old, new in pairs:
                old.lerp_(new, 1 - keep)
        return float(loss.detach())

    def _share(self) -> float:
        """Return the share of the highest rate at this time."""
        passed = min(1.0, self.elapsed / self.seconds)
        if passed < self.recipe.warmup:
            return (passed + 1e-4) / self.recipe.warmup
        final = self.recipe.final
        return final + (1 - final) * (1 + math.cos(math.pi * passed)) / 2


def as_batch(samples: list[Sample]) -> Tensor:
    """Return the network's input (B, 3, H, W), RGB in 0..255."""
    pixels = np.stack([sample.image[..., ::-1] for sample in samples])
    batch = torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2)
    return batch.contiguous(memory_format=torch.channels_last)


def load_trained(path: Path) -> YuNet:
    """Load averaged weights."""
    return YuNet(torch.load(path))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--name", default="faces")
    parser.add_argument("--hours", type=float, default=0.8)
    parser.add_argument("--minutes", type=float, default=math.inf, help="of this call")
    parser.add_argument("--rate", type=float, default=Recipe.rate)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe(rate=arguments.rate)
    training = Training(arguments.work, arguments.name, arguments.hours * 3600, recipe)
    if arguments.resume:
        training.resume()
    training.run(arguments.minutes * 60)


if __name__ == "__main__":
    main()
