"""Blend two networks that share a start: new = (1 - share) · trained + share · original.

    python -m training.blend TRAINED.pt ORIGINAL.pt OUT.pt --share 0.2

Fine-tuning forgets classes that are rare in its pictures; a little of the original's weights brings
them back at little cost to the new classes. Rows of the head are matched by class name; rows
of classes that the original lacks stay as trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from ultralytics.nn.tasks import load_checkpoint


def blend(trained: Path, original: Path, out: Path, share: float) -> None:
    """Write the blended weights as an Ultralytics checkpoint."""
    new, checkpoint = load_checkpoint(trained)
    old, _ = load_checkpoint(original)
    rows = rows_of(new.names, old.names)
    kept = old.state_dict()
    mixed = {
        name: value if name not in kept else mix(value, kept[name], share, rows)
        for name, value in new.state_dict().items()
    }
    new.load_state_dict(mixed)
    torch.save({**checkpoint, "model": new.half(), "ema": None, "optimizer": None}, out)


def rows_of(new: dict[int, str], old: dict[int, str]) -> dict[int, int]:
    """New class index to old class index, for the names that both have."""
    index = {name: i for i, name in old.items()}
    return {i: index[name] for i, name in new.items() if name in index}


def mix(new: Tensor, old: Tensor, share: float, rows: dict[int, int]) -> Tensor:
    """The weighted mean of two tensors; of the class rows alone where their counts differ."""
    if not new.is_floating_point():
        return new
    if new.shape == old.shape:
        return torch.lerp(new, old.to(new), share)
    mixed = new.clone()
    for i, j in rows.items():
        mixed[i] = torch.lerp(new[i], old[j].to(new), share)
    return mixed


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trained", type=Path)
    parser.add_argument("original", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.2, help="the original's share, 0..1")
    args = parser.parse_args()
    blend(args.trained, args.original, args.out, args.share)


if __name__ == "__main__":
    main()
