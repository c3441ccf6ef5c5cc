"""The Ultralytics runtime: ``.pt`` and ``.engine`` files on CUDA, MPS or CPU.

Torch and ultralytics are imported in the constructor and nowhere else.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import SetupError
from app.models.model_metadata import Metadata
from app.models.network import Images, Outputs

logger = logging.getLogger(__name__)

OFFLINE_ENVIRONMENT = {
    "YOLO_OFFLINE": "true",  # no downloads, no telemetry, no check for a connection
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    # A .pt file can contain code. With this only known layers and numbers are loaded from it.
    "ULTRALYTICS_SAFE_LOAD": "true",
}
NOT_INSTALLED = (
    "{file} needs the ultralytics package: run `make setup` without LEAN=1, or "
    "`pip install ultralytics`, or export the file to OpenVINO on a machine that has it."
)
EXPORT_HINT = (
    "%s runs on torch. Exported to OpenVINO it is several times faster on a CPU: "
    "yolo export model=%s format=openvino dynamic=True"
)


class UltralyticsNetwork:
    """Weights of any Ultralytics detector, called by one thread at a time.

    Args:
        path: ``.pt`` or ``.engine`` file.
        device: ``auto`` takes CUDA, else MPS, else the CPU. If the requested device is missing,
            a warning is logged and the CPU is used.
        cache_dir: where Ultralytics keeps its settings.

    Raises:
        SetupError: the package is missing, or the file is damaged or of another kind.
    """

    parallel = 1
    max_batch = 8

    def __init__(self, path: Path, *, device: str = "auto", cache_dir: Path | None = None) -> None:
        _check(path)
        os.environ.update(OFFLINE_ENVIRONMENT)
        self._settings = tempfile.TemporaryDirectory(prefix="watchpost-")
        os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_dir or self._settings.name))
        import torch
        from ultralytics.nn.autobackend import AutoBackend

        self._torch = torch
        self.name = path.stem
        self.path = path
        self._device = torch.device(_choose_device(torch, device, path))
        try:
            half = self._device.type == "cuda"
            backend = AutoBackend(str(path), device=self._device, fp16=half, verbose=False)
        except Exception as error:  # a file from elsewhere may raise anything
            raise SetupError(
                reason=f"{path.name} is damaged or not an Ultralytics network"
            ) from error
        self._backend = backend.eval()
        self._half = bool(backend.fp16)
        self.device = f"{self._device.type.upper()}, Ultralytics on torch {torch.__version__}"
        self.precision = "fp16" if self._half else "fp32"
        self.metadata: Metadata = {**backend.metadata, "names": dict(backend.names)}
        self.fixed_size = _fixed_size(backend, path)
        if self._device.type == "cpu":
            logger.info(EXPORT_HINT, path.name, path.name)

    def infer(self, images: Images) -> Outputs:
        """Run a batch of images of the same size in one pass."""
        torch = self._torch
        with torch.inference_mode():
            batch = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2)
            batch = (batch.half() if self._half else batch.float()) / 255
            answer = self._backend(batch.contiguous())
            first = answer[0] if isinstance(answer, list | tuple) else answer
            return [np.asarray(torch.as_tensor(first).float().cpu())]


def _check(path: Path) -> None:
    """Check what can be checked without importing torch."""
    if importlib.util.find_spec("ultralytics") is None:
        raise SetupError(reason=NOT_INSTALLED.format(file=path.name))
    if path.suffix == ".engine" and importlib.util.find_spec("tensorrt") is None:
        raise SetupError(reason=f"{path.name} needs TensorRT: pip install tensorrt")


def _choose_device(torch: Any, requested: str, path: Path) -> str:
    available = {
        "cuda": bool(torch.cuda.is_available()),
        "mps": bool(torch.backends.mps.is_available()),
        "cpu": True,
    }
    if path.suffix == ".engine":
        if not available["cuda"]:
            raise SetupError(reason=f"{path.name} needs an NVIDIA GPU, and none was found")
        return "cuda"
    if requested == "auto":
        return next(device for device, present in available.items() if present)
    if not available.get(requested, False):  # torch has no `gpu` and no `npu` here
        logger.warning("no %s device found: %s runs on the CPU", requested, path.name)
        return "cpu"
    return requested


def _fixed_size(backend: Any, path: Path) -> tuple[int, int] | None:
    """Return the size that an engine was exported for, unless it takes any size."""
    if path.suffix != ".engine" or backend.dynamic or not backend.metadata.get("imgsz"):
        return None
    height, width = backend.metadata["imgsz"]
    return int(height), int(width)
