"""Train the network: Ultralytics' trainer, a cosine over iterations or over a time budget.

    python -m training.train WORK --start first_recipe.pt [--epochs 8] [--hours 1.5]
    python -m training.train WORK --resume

The detection head's rows of the classes that stay are kept by name; the plate's row starts from
the stop sign's. With `--hours` the schedule ends after that much running time, whatever the machine
is doing besides; without it, after the given epochs.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import DetectionModel

RECIPE: dict[str, object] = {
    "batch": 16,
    "nbs": 16,
    "optimizer": "AdamW",
    "lr0": 5e-4,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "warmup_epochs": 0.0,
    "freeze": 4,
    "compile": True,
    "amp": False,
    "cache": "ram",
    "scale": (0.4, 1.5),
    "translate": 0.15,
    "hsv_h": 0.02,
    "hsv_s": 0.7,
    "hsv_v": 0.45,
    "close_mosaic": 0,
    "patience": 0,
    "plots": False,
    "deterministic": False,
}
"""The two stem stages stay as COCO made them (freeze 4); AdamW without accumulation suits the few
thousand steps that a CPU affords. Mosaic is closed by `Schedule`, not by epoch number."""
WARMUP = 0.02
MOSAIC_UNTIL = 0.7
FINAL_RATE = 0.01
ROW_FROM = {"plate": "stop sign"}
"""A class that COCO lacks, and the COCO class whose row of the head it starts from."""
CHECKPOINT_SECONDS = 600


class Schedule:
    """Sets the learning rate before each step, closes mosaic, and stops at the end of a budget."""

    def __init__(self, hours: float | None) -> None:
        self.budget = None if hours is None else hours * 3600
        self.used = 0.0
        self.last_tick = 0.0
        self.saved = 0.0
        self.mosaic_open = True

    def progress(self, trainer: Any) -> float:
        """How much of the run is over, 0..1."""
        if self.budget is not None:
            return min(self.used / self.budget, 1.0)
        return min(self.step / float(len(trainer.train_loader) * trainer.epochs), 1.0)

    def begin(self, trainer: DetectionTrainer) -> None:
        """Go on from the time and the steps of the checkpoint, if there is one."""
        self.file = Path(trainer.save_dir) / "schedule.txt"
        self.step = trainer.start_epoch * len(trainer.train_loader)
        if trainer.resume and self.file.exists():
            self.used = self.saved = float(self.file.read_text())
        self.last_tick = time.monotonic()

    def before_step(self, trainer: Any) -> None:
        """Linear warm-up, then a cosine from the full rate to `FINAL_RATE` of it."""
        now = time.monotonic()
        self.used += now - self.last_tick
        self.last_tick = now
        self.step += 1
        done = self.progress(trainer)
        cosine = FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * done)) / 2
        for group in trainer.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * cosine * min(1.0, (done + 1e-4) / WARMUP)
        if self.mosaic_open and done >= MOSAIC_UNTIL:
            trainer._close_dataloader_mosaic()
            self.mosaic_open = False
        if self.budget is not None and done >= 1:
            trainer.stop = True
        if self.used - self.saved >= CHECKPOINT_SECONDS:
            trainer.save_model()
            self.save(trainer)

    def save(self, _: DetectionTrainer) -> None:
        """Remember the time used, beside the checkpoint."""
        self.file.write_text(f"{self.used:.0f}\n")
        self.saved = self.used


class Trainer(DetectionTrainer):
    """Ultralytics' trainer with the new classes' rows started from related ones."""

    def get_model(
        self,
        cfg: str | dict[str, Any] | None = None,
        weights: Any = None,
        verbose: bool = True,
    ) -> DetectionModel:
        """A network of our classes with everything of `weights` that fits."""
        model: DetectionModel = super().get_model(cfg, weights, verbose)
        if weights is not None:
            start_rows(model, weights)
        return model


def start_rows(model: Any, weights: Any) -> None:
    """Copy the head's rows of related classes for classes that the weights lack."""
    source = {name: i for i, name in weights.names.items()}
    with torch.no_grad():
        for row, name in model.names.items():
            related = source.get(ROW_FROM.get(name, ""))
            if name in source or related is None:
                continue
            for branch, old in zip(model.model[-1].cv3, weights.model[-1].cv3, strict=True):
                branch[-1].weight[row] = old[-1].weight[related].to(branch[-1].weight)
                branch[-1].bias[row] = old[-1].bias[related].to(branch[-1].bias)


def train(
    work: Path,
    start: Path,
    name: str,
    size: int,
    epochs: int,
    hours: float | None,
    resume: bool,
    threads: int,
) -> None:
    """Run the recipe; checkpoints go to WORK/runs/NAME/weights every ten minutes."""
    run = work.resolve() / "runs" / name
    overrides: dict[str, object] = {
        **RECIPE,
        "model": str(start),
        "data": str(work / "dataset.yaml"),
        "imgsz": size,
        "epochs": epochs if hours is None else 1000,
        "project": str(run.parent),
        "name": name,
        "exist_ok": True,
        "device": "cpu" if not torch.cuda.is_available() else "0",
    }
    if resume:
        overrides["resume"] = str(run / "weights" / "last.pt")
    trainer = Trainer(overrides=overrides)
    schedule = Schedule(hours)
    trainer.add_callback("on_train_start", lambda _: torch.set_num_threads(threads))
    trainer.add_callback("on_train_start", schedule.begin)
    trainer.add_callback("on_train_batch_start", schedule.before_step)
    trainer.add_callback("on_model_save", schedule.save)
    trainer.train()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="the folder that training.prepare filled")
    parser.add_argument("--start", type=Path, help="weights to start from (.pt)")
    parser.add_argument("--name", default="watchpost", help="name of the run")
    parser.add_argument("--size", type=int, default=512, help="input size in pixels")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--hours", type=float, help="end the schedule after this running time")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.start is None and not args.resume:
        parser.error("--start is needed unless --resume is given")
    train(
        args.work,
        args.start,
        args.name,
        args.size,
        args.epochs,
        args.hours,
        args.resume,
        args.threads,
    )


if __name__ == "__main__":
    main()
