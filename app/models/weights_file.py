"""Weights files: which file to load, and which runtime runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from app.errors import SetupError
from app.models.devices import open_network
from app.models.model_metadata import Metadata
from app.models.network import Network
from app.models.openvino_runtime import has_fast_bf16

FOLDER = Path(__file__).parent / "weights"
SHIPPED = FOLDER / "watchpost.xml"
SHIPPED_INT8 = FOLDER / "watchpost_int8.xml"


class DetectionNetwork(Network, Protocol):
    """A detection network with its metadata. Input (N, H, W, 3) uint8 RGB."""

    metadata: Metadata
    fixed_size: tuple[int, int] | None


def open_weights(weights: str | None, device: str, data_dir: Path | None) -> DetectionNetwork:
    """Open the file that ``weights`` names, or the shipped network if None.

    Raises:
        SetupError: when the file is missing or unusable; the text says what to do.
    """
    path = shipped() if not weights else _find(weights, data_dir)
    cache_dir = data_dir / "cache" if data_dir is not None else None
    opener = RUNTIMES.get(path.suffix.lower())
    if opener is None:
        raise SetupError(
            reason=f"{path.name} is not a supported weights file. Use one of "
            f"{', '.join(RUNTIMES)}, or the folder of an OpenVINO export."
        )
    return opener(path, device, cache_dir)


def shipped() -> Path:
    """Return the shipped network for this CPU: the INT8 one, if there is one and no AMX."""
    if SHIPPED_INT8.exists() and not has_fast_bf16():
        return SHIPPED_INT8
    if not SHIPPED.exists():
        raise SetupError(
            reason=f"The shipped network {SHIPPED.name} is missing from {FOLDER}. Reinstall "
            "Watchpost, or choose other weights with --weights."
        )
    return SHIPPED


def _find(weights: str, data_dir: Path | None) -> Path:
    """Resolve a path, the folder of an OpenVINO export, or a file name in the data folder."""
    candidates = [Path(weights).expanduser()]
    if data_dir is not None and not candidates[0].is_absolute():
        candidates.append(data_dir / "weights" / weights)
    for candidate in candidates:
        if candidate.is_dir():
            networks = sorted(candidate.glob("*.xml"))
            if len(networks) != 1:
                raise SetupError(
                    reason=f"{candidate} has {len(networks)} .xml files: choose one of them"
                )
            return networks[0]
        if candidate.is_file():
            return candidate
    tried = " or ".join(str(candidate) for candidate in candidates)
    raise SetupError(
        reason=f"No weights found at {tried}. Nothing is downloaded automatically. Ultralytics' "
        "weights are at https://github.com/ultralytics/assets/releases; put the file there."
    )


def _open_graph(path: Path, device: str, cache_dir: Path | None) -> DetectionNetwork:
    return open_network(path, device, divide_by=255, keeps_shape=True, cache_dir=cache_dir)


def _on_ultralytics(path: Path, device: str, cache_dir: Path | None) -> DetectionNetwork:
    from app.models.ultralytics_runtime import UltralyticsNetwork

    return UltralyticsNetwork(path, device=device, cache_dir=cache_dir)


RUNTIMES: dict[str, Callable[[Path, str, Path | None], DetectionNetwork]] = {
    ".xml": _open_graph,
    ".onnx": _open_graph,
    ".pt": _on_ultralytics,
    ".engine": _on_ultralytics,
}
