"""Average the weights of two runs: better than either if both started from the same weights.

    python -m training.blend A.pt B.pt OUT.pt --share 0.3

Wortsman et al., Model soups (2022): runs with the same start lie in the same loss basin, and the
mean of their weights generalises better than the run that fits its training images best.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from ultralytics.nn.tasks import load_checkpoint


def blend(one: Path, other: Path, out: Path, share: float) -> None:
    """Write the weighted mean: ``share`` of ``other`` and the rest of ``one``."""
    network, checkpoint = load_checkpoint(one)
    other_weights = load_checkpoint(other)[0].float().state_dict()
    network = network.float()
    blended = {
        name: torch.lerp(value, other_weights[name], share) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(blended)
    torch.save({**checkpoint, "model": network.half(), "ema": None, "optimizer": None}, out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.3, help="weight of the other run, 0 to 1")
    args = parser.parse_args()
    blend(args.one, args.other, args.out, args.share)


if __name__ == "__main__":
    main()
