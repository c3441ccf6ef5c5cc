"""The devices that networks run on: one table, how each is found, and the fall-back to the CPU.

An accelerator must prove itself: before it is used, one image goes through it and through the CPU,
and both answers must agree. If it fails then, or later, all networks run on the CPU, with one
warning.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import logging
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from app.config import DeviceName
from app.errors import SetupError
from app.first_time import FirstTime
from app.models.network import FreesMemory, Images, Network, Outputs
from app.models.onnx_runtime import OnnxNetwork
from app.models.openvino_runtime import OpenVinoNetwork, openvino_devices

logger = logging.getLogger(__name__)

CHECK_SIZE = 192, 320
"""Height and width of the image that is compared, unless the network takes only another."""
MAX_ERROR, MAX_RELATIVE_ERROR = 0.02, 0.1
"""Root mean square of the difference to the CPU: absolute, plus a share of the values' own. Half
precision, or INT8 on the CPU, stays far below."""


class Device(NamedTuple):
    """An accelerator.

    Attributes:
        name: its value of ``--device``.
        hardware: what it is, for people.
        target: OpenVINO's or ONNX Runtime's name of it.
        runs_onnx: it is used through ONNX Runtime, else through OpenVINO.
        packages: what has to be installed for it.
        was_tried: it was measured on real hardware.
    """

    name: DeviceName
    hardware: str
    target: str
    runs_onnx: bool
    packages: str
    was_tried: bool = False


DEVICES = (
    Device(
        "cuda",
        "NVIDIA GPU",
        "CUDAExecutionProvider",
        True,
        "pip install onnx onnxruntime-gpu[cuda,cudnn]",
    ),
    Device("mps", "Apple silicon", "CoreMLExecutionProvider", True, "pip install onnx onnxruntime"),
    Device("gpu", "Intel GPU", "GPU", False, "apt-get install intel-opencl-icd"),
    Device("npu", "Intel NPU", "NPU", False, "Intel's driver: github.com/intel/linux-npu-driver"),
)
"""In the order in which ``auto`` prefers them."""

_refused = FirstTime()
"""Names of devices that cannot be used; each was reported once."""


def open_network(
    path: Path,
    device: str = "auto",
    *,
    divide_by: float = 1,
    keeps_shape: bool = False,
    full_precision: bool = False,
    cache_dir: Path | None = None,
    exact_sizes: int | None = None,
) -> OpenVinoNetwork | FallbackNetwork:
    """Open a network file on a device, or on the CPU if that device cannot be used.

    Args:
        device: a value of ``--device``; ``auto`` takes the first accelerator that works.

    The other arguments are those of ``OpenVinoNetwork``.

    Raises:
        SetupError: the file is missing or not a network.
    """
    open_on = functools.partial(
        OpenVinoNetwork,
        path,
        divide_by=divide_by,
        keeps_shape=keeps_shape,
        full_precision=full_precision,
        cache_dir=cache_dir,
        exact_sizes=exact_sizes,
    )
    on_cpu = open_on()
    for chosen in _candidates(device):
        try:
            accelerated: OnnxNetwork | OpenVinoNetwork
            if chosen.runs_onnx:
                accelerated = OnnxNetwork(on_cpu, chosen.target, full_precision=full_precision)
            else:
                accelerated = open_on(target=chosen.target)
            _check(accelerated, on_cpu)
        except (SetupError, RuntimeError) as error:
            refuse(chosen, f"{on_cpu.name}: {error}")
        else:
            return FallbackNetwork(accelerated, on_cpu, chosen)
    return on_cpu


def _candidates(device: str) -> list[Device]:
    """The accelerators to try; a requested one that is missing is reported."""
    if device == "auto":
        return [one for one in DEVICES if one.name not in _refused and missing(one) is None]
    wanted = [one for one in DEVICES if one.name == device and one.name not in _refused]
    for one in wanted:
        if (why := missing(one)) is not None:
            refuse(one, why)
            return []
    return wanted


def refuse(device: Device, reason: str) -> None:
    """Use a device no more, and say so once."""
    if _refused(device.name):
        first = reason.strip().splitlines()[0]
        text = "networks run on the CPU, not with --device %s (%s): %s"
        logger.warning(text, device.name, device.hardware, first)


def missing(device: Device) -> str | None:
    """Why a device cannot be used on this machine; None if it can be tried."""
    if not device.runs_onnx:
        if any(name.partition(".")[0] == device.target for name in openvino_devices()):
            return None
        return f"OpenVINO finds none. Its driver may be missing ({device.packages})"
    if not HARDWARE[device.name]():
        return "there is none, or its driver is missing"
    if device.target not in _onnx_providers():
        return f"a package is missing ({device.packages})"
    return None


def has_cuda() -> bool:
    """Whether NVIDIA's driver finds a device; checked without importing torch."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return False
    return count.value > 0


def has_mps() -> bool:
    """Whether this is a Mac with Apple silicon."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


HARDWARE: dict[str, Callable[[], bool]] = {"cuda": has_cuda, "mps": has_mps}
"""How the hardware that ONNX Runtime uses is found; its package does not tell."""


def _onnx_providers() -> list[str]:
    """ONNX Runtime's devices that were built into the installed package."""
    if any(importlib.util.find_spec(name) is None for name in ("onnxruntime", "onnx")):
        return []
    import onnxruntime

    return list(onnxruntime.get_available_providers())


class FallbackNetwork:
    """A network on an accelerator, which continues on the CPU when the accelerator fails.

    Args:
        accelerated: the network on the accelerator.
        on_cpu: the same network on the CPU.
        device: the accelerator.

    Attributes:
        parts: its single outputs, each with the same fall-back; see ``HasParts``.
    """

    def __init__(
        self, accelerated: OnnxNetwork | OpenVinoNetwork, on_cpu: OpenVinoNetwork, device: Device
    ) -> None:
        self.name, self.path, self.metadata = on_cpu.name, on_cpu.path, on_cpu.metadata
        self.fixed_size = on_cpu.fixed_size
        self.parallel, self.max_batch = accelerated.parallel, accelerated.max_batch
        self._accelerated, self._on_cpu, self._device = accelerated, on_cpu, device
        self.parts = {
            name: FallbackNetwork(accelerated.parts[name], part, device)
            for name, part in on_cpu.parts.items()
        }

    @property
    def _network(self) -> OnnxNetwork | OpenVinoNetwork:
        """The network that runs now: a device that failed for one network is used by none."""
        return self._on_cpu if self._device.name in _refused else self._accelerated

    @property
    def device(self) -> str:
        """Where it runs now."""
        network = self._network
        untried = network is self._accelerated and not self._device.was_tried
        note = " (not tried by the developers on real hardware)" if untried else ""
        return f"{network.device}{note}"

    @property
    def precision(self) -> str:
        """The type of its weights, as they are used now."""
        return self._network.precision

    def infer(self, images: Images) -> Outputs:
        """Run a batch of images of the same size."""
        network = self._network
        try:
            return network.infer(images)
        except (RuntimeError, SetupError) as error:
            if network is self._on_cpu:
                raise
            refuse(self._device, f"{self.name}: {error}")
            return self._on_cpu.infer(images)

    def free_unused(self) -> None:
        """Free what the networks keep for sizes that are no longer used."""
        for network in (self._accelerated, self._on_cpu):
            if isinstance(network, FreesMemory):
                network.free_unused()


def _check(accelerated: Network, on_cpu: OpenVinoNetwork) -> None:
    """Run one image on both. Raises SetupError when the answers differ."""
    image = check_image(*_size_for(on_cpu))
    for answer, expected in zip(accelerated.infer(image), on_cpu.infer(image), strict=True):
        if not agrees(answer, expected):
            raise SetupError(reason="it computes something else than the CPU")


def _size_for(network: OpenVinoNetwork) -> tuple[int, int]:
    shape = network.graph.input(0).partial_shape
    height, width = (
        usual if side.is_dynamic else side.get_length()
        for side, usual in zip(list(shape)[2:], CHECK_SIZE, strict=True)
    )
    return height, width


def check_image(height: int, width: int) -> Images:
    """An image with areas, edges and letters, (1, height, width, 3): every network reacts to it."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = [128 + 80 * np.sin(x / (9 + 4 * c) + y / (7 + 3 * c)) for c in range(3)]
    image = np.stack(waves, axis=2).astype(np.uint8)
    cv2.circle(image, (width // 4, height // 2), height // 3, (200, 160, 130), -1)
    at, scale = (width // 2, height * 3 // 4), height / 60
    cv2.putText(image, "A123BC", at, cv2.FONT_HERSHEY_SIMPLEX, scale, (10, 10, 10), 2)
    return image[None]


def agrees(answer: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> bool:
    """Whether an accelerator computes the same as the CPU, up to rounding.

    Confidences and coordinates are compared apart: a pixel must not hide a confidence.
    """
    if answer.shape != expected.shape or not np.isfinite(answer).all():
        return False
    is_small = np.abs(expected) <= 1
    return all(
        _rms(answer[part] - expected[part]) <= MAX_ERROR + MAX_RELATIVE_ERROR * _rms(expected[part])
        for part in (is_small, ~is_small)
    )


def _rms(values: npt.NDArray[np.float32]) -> float:
    return float(np.sqrt(np.square(values, dtype=np.float64).mean())) if values.size else 0.0
