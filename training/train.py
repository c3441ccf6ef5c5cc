"""Train the added branch with Ultralytics' trainer and a cosine schedule over steps or time.

    python -m training.train WORK --start WORK/start.pt [--hours 1.5]
    python -m training.train WORK --resume

The shared layers are frozen, so that YOLOv8n's own branch stays unchanged (see join.py). With
`--hours` the schedule ends after this running time, whatever else the machine does; without it,
after the given number of epochs.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch.optim import AdamW
from ultralytics.models.yolo.detect import DetectionTrainer

from training.start import SHARED

RECIPE: dict[str, object] = {
    "batch": 8,
    "nbs": 8,
    "optimizer": "AdamW",
    "warmup_epochs": 0.0,
    "freeze": SHARED,
    "compile": True,
    "amp": False,
    "scale": (0.3, 1.6),
    "translate": 0.15,
    "hsv_h": 0.02,
    "hsv_s": 0.7,
    "hsv_v": 0.45,
    "close_mosaic": 0,
    "patience": 0,
    "plots": False,
    "val": False,
    "deterministic": False,
}
"""AdamW without gradient accumulation suits the one or two thousand steps that are affordable on a
CPU. Mosaic is turned off by `Schedule`, not by epoch number."""
WARMUP = 0.03
CLASS_RATE, HEAD_RATE, RATE = 1e-3, 2e-4, 3e-5
"""Learning rates of the head's last class layers, of the rest of the head, and of all other layers.
They are small to keep what the earlier network has learned: with 2e-4 everywhere, the AP of
cigarettes fell from 0.80 to 0.58 in one epoch, and after two thirds of another it was 0.72."""
MOSAIC_UNTIL = 0.3
FINAL_RATE = 0.01
CHECKPOINT_SECONDS = 600


class Schedule:
    """Sets the learning rate before each step, turns mosaic off, and stops when the time is up."""

    def __init__(self, hours: float | None) -> None:
        self.budget = None if hours is None else hours * 3600
        self.used = 0.0
        self.last_tick = 0.0
        self.saved = 0.0
        self.mosaic_open = True

    def progress(self, trainer: Any) -> float:
        """Return the completed share of the run, 0..1."""
        if self.budget is not None:
            return min(self.used / self.budget, 1.0)
        return min(self.step / float(len(trainer.train_loader) * trainer.epochs), 1.0)

    def begin(self, trainer: DetectionTrainer) -> None:
        """Start, or resume with the time and steps of the checkpoint, if there is one."""
        self.file = Path(trainer.save_dir) / "schedule.txt"
        self.step = trainer.start_epoch * len(trainer.train_loader)
        if trainer.resume and self.file.exists():
            self.used = self.saved = float(self.file.read_text(encoding="utf-8"))
        self.last_tick = time.monotonic()

    def before_step(self, trainer: Any) -> None:
        """Set the rate: linear warm-up, then a cosine from the full rate to `FINAL_RATE` of it."""
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
            trainer.train_loader.reset()
            trainer.train_loader.iterator = trainer.train_loader._get_iterator()
            self.mosaic_open = False
        if self.budget is not None and done >= 1:
            trainer.stop = True
        if self.used - self.saved >= CHECKPOINT_SECONDS:
            trainer.save_model()
            self.save(trainer)

    def save(self, _: DetectionTrainer) -> None:
        """Write the time used next to the checkpoint."""
        self.file.write_text(f"{self.used:.0f}\n", encoding="utf-8")
        self.saved = self.used


class Trainer(DetectionTrainer):
    """Ultralytics' trainer with frozen batch statistics, so that small batches suffice."""

    def __init__(self, overrides: dict[str, object]) -> None:
        super().__init__(overrides=overrides)
        self.args.workers = 1  # Ultralytics uses none on a CPU; then both cores wait for images

    def build_optimizer(self, model: torch.nn.Module, *_: object, **__: object) -> AdamW:
        """Build AdamW without weight decay, with the rates above and without frozen weights."""
        groups: dict[float, list[torch.nn.Parameter]] = {}
        layers = model.model
        assert isinstance(layers, torch.nn.Sequential)
        head = f"model.{len(layers) - 1}."
        for name, value in model.named_parameters():
            if value.requires_grad:
                last = ".cv3." in name and name.split(".")[-2] == "2"
                rate = CLASS_RATE if last else HEAD_RATE if head in name else RATE
                groups.setdefault(rate, []).append(value)
        return AdamW([{"params": g, "lr": rate} for rate, g in groups.items()], weight_decay=0.0)

    def _model_train(self) -> None:
        super()._model_train()
        assert isinstance(self.model, torch.nn.Module)
        for module in self.model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()

    def validate(self) -> tuple[dict[str, float], float]:
        """Do nothing: `evaluate.py` scores checkpoints, with unsure boxes ignored."""
        return {}, 0.0

    def final_eval(self) -> None:
        """Do nothing, as in ``validate``."""


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
        "data": str(work / "branch" / "dataset.yaml"),
        "imgsz": size,
        "epochs": epochs if hours is None else 1000,
        "project": str(run.parent),
        "name": name,
        "exist_ok": True,
        "device": "cpu" if not torch.cuda.is_available() else "0",
    }
    if resume:
        overrides["resume"] = str(run / "weights" / "last.pt")
    trainer = Trainer(overrides)
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
    parser.add_argument("--resume", action="store_true", help="resume from the last checkpoint")
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
