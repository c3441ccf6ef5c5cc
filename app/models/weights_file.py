"""Which file a network is read from, and what runs it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from app.errors import SetupError
from app.models.model_metadata import Metadata
from app.models.openvino_runtime import Network, OpenVinoNetwork, has_fast_bf16

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "weights"
SHIPPED = FOLDER / "watchpost.xml"
SHIPPED_INT8 = FOLDER / "watchpost_int8.xml"


class BoxNetwork(Network, Protocol):
    """A network of boxes that says what it is. Input (N, H, W, 3) uint8 RGB."""

    metadata: Metadata
    fixed_size: tuple[int, int] | None


def open_weights(weights: str | None, device: str, data_dir: Path | None) -> BoxNetwork:
    """Open the file that ``weights`` names, or the shipped network.

    Raises:
        SetupError: with a sentence that says what to do.
    """
    path = shipped() if not weights else _find(weights, data_dir)
    cache_dir = data_dir / "cache" if data_dir is not None else None
    opener = RUNTIMES.get(path.suffix.lower())
    if opener is None:
        raise SetupError(
            reason=f"{path.name}: weights are one of {', '.join(RUNTIMES)}, or the folder of an "
            "OpenVINO export"
        )
    return opener(path, device, cache_dir)


def shipped() -> Path:
    """The shipped network that suits this CPU: an 8-bit one, where there is one and no AMX."""
    if SHIPPED_INT8.exists() and not has_fast_bf16():
        return SHIPPED_INT8
    if not SHIPPED.exists():
        raise SetupError(
            reason=f"The shipped network {SHIPPED.name} is missing from {FOLDER}: install "
            "Watchpost again, or name other weights with --weights."
        )
    return SHIPPED


def _find(weights: str, data_dir: Path | None) -> Path:
    """The file behind a path, a folder of an OpenVINO export, or a bare name."""
    places = [Path(weights).expanduser()]
    if data_dir is not None and not places[0].is_absolute():
        places.append(data_dir / "weights" / weights)
    for place in places:
        if place.is_dir():
            networks = sorted(place.glob("*.xml"))
            if len(networks) != 1:
                raise SetupError(
                    reason=f"{place} has {len(networks)} .xml files: name the one to use"
                )
            return networks[0]
        if place.is_file():
            return place
    looked = " nor ".join(str(place) for place in places)
    raise SetupError(
        reason=f"There are no weights at {looked}. Nothing is downloaded unasked: Ultralytics' own "
        "weights are at https://github.com/ultralytics/assets/releases; put the file there."
    )


def _on_openvino(path: Path, device: str, cache_dir: Path | None) -> BoxNetwork:
    if device in ("cuda", "mps"):
        logger.warning(
            "%s runs on the CPU: %s needs Ultralytics weights (--weights with a .pt or .engine)",
            path.name,
            device,
        )
    return OpenVinoNetwork(path, divide_by=255, keeps_shape=True, cache_dir=cache_dir)


def _on_ultralytics(path: Path, device: str, cache_dir: Path | None) -> BoxNetwork:
    from app.models.ultralytics_runtime import UltralyticsNetwork

    return UltralyticsNetwork(path, device=device, cache_dir=cache_dir)


RUNTIMES: dict[str, Callable[[Path, str, Path | None], BoxNetwork]] = {
    ".xml": _on_openvino,
    ".onnx": _on_openvino,
    ".pt": _on_ultralytics,
    ".engine": _on_ultralytics,
}
