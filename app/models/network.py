"""What every network here can do, whatever runs it: (N, H, W, 3) uint8 RGB in, float32 out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Outputs = list[npt.NDArray[np.float32]]


class Network(Protocol):
    """A network that several threads may call at once.

    Attributes:
        parallel: number of concurrent callers that uses the machine best.
        max_batch: batch size that uses it best.
        path: the file that it was read from.
    """

    name: str
    parallel: int
    max_batch: int
    path: Path

    @property
    def device(self) -> str:
        """Where it runs, for display."""
        ...

    @property
    def precision(self) -> str:
        """The type of its weights, for display."""
        ...

    def infer(self, images: Images) -> Outputs:
        """Run a batch of images of the same size. N is the first dimension of each output."""
        ...


@runtime_checkable
class FreesMemory(Protocol):
    """A network that keeps memory for what it ran, and can free what is no longer used."""

    def free_unused(self) -> None:
        """Called by each thread of the network, now and then while there are no requests."""
        ...


@runtime_checkable
class HasParts(Protocol):
    """A network with several outputs, each of which can be computed alone."""

    @property
    def parts(self) -> Mapping[str, Network]:
        """A network for each of them, by its name."""
        ...


def in_batches(run: Callable[[Images], Outputs], images: Images, size: int) -> Outputs:
    """Run images in batches of exactly ``size``, the last padded with black."""
    if len(images) == size:
        return run(images)
    padding = -len(images) % size
    images = np.concatenate([images, np.zeros((padding, *images.shape[1:]), np.uint8)])
    parts = [run(images[at : at + size]) for at in range(0, len(images), size)]
    count = len(images) - padding
    return [np.concatenate(output)[:count] for output in zip(*parts, strict=True)]
