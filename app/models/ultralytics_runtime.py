"""Networks that only Ultralytics' package can run: ``.pt`` and ``.engine``; on CUDA, MPS or CPU.

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
from app.models.openvino_runtime import Images, Outputs

logger = logging.getLogger(__name__)

QUIET = {
    "YOLO_OFFLINE": "true",  # downloads nothing, reports nothing, does not even look for the net
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    # A .pt is a program by nature. This has it read as data: known layers and numbers, no more.
    "ULTRALYTICS_SAFE_LOAD": "true",
}
NOT_INSTALLED = (
    "{file} needs the ultralytics package: run `make setup` without LEAN=1, or "
    "`pip install ultralytics`; or export it to OpenVINO where that is installed."
)
FASTER = (
    "%s runs on torch. Exported to OpenVINO it is several times as fast on a CPU: "
    "yolo export model=%s format=openvino dynamic=True"
)


class UltralyticsNetwork:
    """Weights of any Ultralytics detector. One thread asks at a time; batches are one pass.

    Args:
        path: ``.pt`` or ``.engine`` file.
        device: ``auto`` takes CUDA, else MPS, else the CPU. One that is asked for and missing
            is one warning, and the CPU.
        cache_dir: where Ultralytics keeps its settings.

    Raises:
        SetupError: the package is missing, or the file is not what it should be.
    """

    parallel = 1
    max_batch = 8

    def __init__(self, path: Path, *, device: str = "auto", cache_dir: Path | None = None) -> None:
        _check(path)
        os.environ.update(QUIET)
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
        except Exception as error:  # a foreign file fails in its own ways
            raise SetupError(
                reason=f"{path.name} is damaged, or holds no Ultralytics network"
            ) from error
        self._backend = backend.eval()
        self._half = bool(backend.fp16)
        self.device = f"{self._device.type.upper()}, Ultralytics on torch {torch.__version__}"
        self.precision = "fp16" if self._half else "fp32"
        self.metadata: Metadata = {**backend.metadata, "names": dict(backend.names)}
        self.fixed_size = _fixed_size(backend, path)
        if self._device.type == "cpu":
            logger.info(FASTER, path.name, path.name)

    def infer(self, images: Images) -> Outputs:
        torch = self._torch
        with torch.inference_mode():
            batch = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2)
            batch = (batch.half() if self._half else batch.float()) / 255
            answer = self._backend(batch.contiguous())
            first = answer[0] if isinstance(answer, list | tuple) else answer
            return [np.asarray(torch.as_tensor(first).float().cpu())]


def _check(path: Path) -> None:
    """What can be known without importing anything heavy."""
    if importlib.util.find_spec("ultralytics") is None:
        raise SetupError(reason=NOT_INSTALLED.format(file=path.name))
    if path.suffix == ".engine" and importlib.util.find_spec("tensorrt") is None:
        raise SetupError(reason=f"{path.name} needs TensorRT: pip install tensorrt")


def _choose_device(torch: Any, asked: str, path: Path) -> str:
    there = {
        "cuda": bool(torch.cuda.is_available()),
        "mps": bool(torch.backends.mps.is_available()),
        "cpu": True,
    }
    if path.suffix == ".engine":
        if not there["cuda"]:
            raise SetupError(reason=f"{path.name} runs on an NVIDIA GPU only, and there is none")
        return "cuda"
    if asked == "auto":
        return next(device for device, present in there.items() if present)
    if not there[asked]:
        logger.warning("there is no %s device here: %s runs on the CPU", asked, path.name)
        return "cpu"
    return asked


def _fixed_size(backend: Any, path: Path) -> tuple[int, int] | None:
    """An engine that was not exported for all sizes takes the one it was exported for."""
    if path.suffix != ".engine" or backend.dynamic or not backend.metadata.get("imgsz"):
        return None
    height, width = backend.metadata["imgsz"]
    return int(height), int(width)
