"""Shift the confidences of some classes by a constant in the head's biases.

    python -m training.calibrate IN.pt OUT.pt plate=0.02 cigarette=0.165 [--to 0.3]

After a blend, all confidences of a class may be too low although their order is right. The given
confidence becomes that of `--to`, the shipped threshold; average precision does not change.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from ultralytics.nn.tasks import load_checkpoint


def logit(confidence: float) -> float:
    """Inverse of the sigmoid."""
    return math.log(confidence / (1 - confidence))


def calibrate(weights: Path, out: Path, moved: dict[str, float], to: float) -> None:
    """Write the weights with shifted biases.

    Args:
        moved: by class name, the confidence that shall become ``to``.
    """
    network, checkpoint = load_checkpoint(weights)
    rows = {name: i for i, name in network.names.items()}
    with torch.no_grad():
        for name, confidence in moved.items():
            for branch in network.model[-1].cv3:
                branch[-1].bias[rows[name]] += logit(to) - logit(confidence)
    torch.save({**checkpoint, "model": network.half(), "ema": None, "optimizer": None}, out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("moved", nargs="+", metavar="CLASS=CONFIDENCE")
    parser.add_argument("--to", type=float, default=0.3)
    args = parser.parse_args()
    moved = {name: float(value) for name, value in (pair.split("=") for pair in args.moved)}
    calibrate(args.weights, args.out, moved, args.to)


if __name__ == "__main__":
    main()
