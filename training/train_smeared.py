"""Train the network that finds smeared plates, from YOLOv8n's weights, for some running time.

    WATCHPOST_DATA=... python -m training.train_smeared OUT.pt \
        --start $WATCHPOST_DATA/weights/yolov8n.pt [--leave-out 0 3] [--hours 0.62] [--bf16]

YOLOv8n has never seen the photos, so that the folds that are left out are new to the result; the
detector's own branch has seen most of them, and found no more plates as a start. All layers are
fused with their batch normalisation, so that small batches suffice. The moving average of the
weights is written, every few minutes.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils.loss import v8DetectionLoss

from training.images import data_root
from training.smeared_samples import CANVAS, Sample, SampleSource

BATCH, AVERAGED, CLIPPED = 8, 0.998, 10.0
FROZEN = 3
"""First layers that are not trained: they extract edges, on the largest maps, and cost most."""
RATE, HEAD_RATE, CLASS_RATE = 1e-4, 4e-4, 1e-3
FINAL, WARMUP = 0.02, 0.03
START_ROW, LABEL = "stop sign", "plate"
"""The class of the start from which plates are learned."""
CHECKPOINT_S = 240.0


def start(path: Path) -> Any:
    """Return a network of one class with the weights of a detector that has more."""
    model, _ = load_checkpoint(path)
    model = model.float().fuse(verbose=False)
    (row,) = (number for number, name in model.names.items() if name == START_ROW)
    head = model.model[-1]
    for scale in head.cv3:
        last = scale[-1]
        scale[-1] = nn.Conv2d(last.in_channels, 1, 1)
        kept = {"weight": last.weight[row : row + 1], "bias": last.bias[row : row + 1]}
        scale[-1].load_state_dict(kept)
    head.nc, head.no = 1, 1 + 4 * head.reg_max
    model.nc, model.names = 1, {0: LABEL}
    model.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    for parameter in model.parameters():
        parameter.requires_grad = True
    for layer in model.model[:FROZEN]:
        layer.requires_grad_(False)
    head.dfl.requires_grad_(False)
    return model.to(memory_format=torch.channels_last)


class Source(Protocol):
    """Where samples come from."""

    def draw(self) -> Sample:
        """Return a new sample."""
        ...


class Training:
    """A run over some time, with a rate that falls with it.

    Args:
        first: weights to start from.
        bf16: compute in bfloat16, which is faster on CPUs that have it.
    """

    def __init__(self, first: Path, source: Source, seconds: float, *, bf16: bool = False) -> None:
        self.network, self.source, self.seconds = start(first), source, seconds
        self.bf16 = bf16
        self.average = copy.deepcopy(self.network)
        self.loss = v8DetectionLoss(self.network)
        self.optimizer = AdamW(list(self._groups()), weight_decay=1e-4)
        self.step = 0

    def _groups(self) -> Any:
        last = f"model.{len(self.network.model) - 1}."
        rates: dict[float, list[nn.Parameter]] = {}
        for name, value in self.network.named_parameters():
            if value.requires_grad:
                is_class = name.startswith(f"{last}cv3") and name.split(".")[4] == "2"
                rate = CLASS_RATE if is_class else HEAD_RATE if name.startswith(last) else RATE
                rates.setdefault(rate, []).append(value)
        for rate, values in rates.items():
            yield {"params": values, "lr": rate, "full": rate}

    def run(self, out: Path, steps: float = math.inf) -> None:
        """Train until the time is up, or for this many steps."""
        began = saved = time.monotonic()
        losses: list[float] = []
        while (passed := time.monotonic() - began) < self.seconds and self.step < steps:
            losses.append(self._train(passed / self.seconds))
            if self.step % 50 == 0:
                print(f"{self.step} {passed:.0f} s {np.mean(losses):.3f}", flush=True)
                losses.clear()
            if time.monotonic() - saved > CHECKPOINT_S:
                self.save(out)
                saved = time.monotonic()
        self.save(out)

    def save(self, out: Path) -> None:
        """Write the averaged weights as an Ultralytics checkpoint."""
        unfinished = out.with_suffix(".part")
        model = copy.deepcopy(self.average).half()
        torch.save({"model": model, "ema": None, "train_args": {}}, unfinished)
        unfinished.replace(out)

    def _train(self, done: float) -> float:
        cosine = FINAL + (1 - FINAL) * (1 + math.cos(math.pi * done)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = group["full"] * cosine * min(1.0, (done + 1e-4) / WARMUP)
        batch = as_batch([self.source.draw() for _ in range(BATCH)])
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            answer = self.network(batch["img"])
        answer = {
            name: [each.float() for each in value] if isinstance(value, list) else value.float()
            for name, value in answer.items()
        }
        parts, _ = self.loss(answer, batch)
        loss = parts.sum() / BATCH
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIPPED)
        self.optimizer.step()
        self.step += 1
        keep = min(AVERAGED, self.step / (self.step + 10))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for old, new in pairs:
                old.lerp_(new, 1 - keep)
        return float(loss.detach())


def as_batch(samples: list[Sample]) -> dict[str, Tensor]:
    """Return a batch as Ultralytics' loss takes it: images (B, 3, H, W) in 0..1, boxes (N, 4)."""
    pixels = torch.from_numpy(np.stack([sample.image for sample in samples])).permute(0, 3, 1, 2)
    height, width = CANVAS
    rows = [
        (
            number,
            (box[0] + box[2]) / 2 / width,
            (box[1] + box[3]) / 2 / height,
            (box[2] - box[0]) / width,
            (box[3] - box[1]) / height,
        )
        for number, sample in enumerate(samples)
        for box in sample.boxes
    ]
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    return {
        "img": (pixels.float() / 255).contiguous(memory_format=torch.channels_last),
        "batch_idx": table[:, 0],
        "cls": torch.zeros(len(table)),
        "bboxes": table[:, 1:],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--leave-out", type=int, nargs="*", default=[])
    parser.add_argument("--hours", type=float, default=0.62)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="for CPUs that compute in bfloat16")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(chosen.seed)
    source = SampleSource(data_root(), chosen.leave_out, chosen.seed)
    training = Training(chosen.start, source, chosen.hours * 3600, bf16=chosen.bf16)
    training.run(chosen.out)


if __name__ == "__main__":
    main()
