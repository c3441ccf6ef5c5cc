"""The devices that networks can run on."""

from __future__ import annotations

import ctypes
import functools
import logging
import platform
import sys

from app.errors import InvalidRequest

logger = logging.getLogger(__name__)

DEVICES = ("cuda", "mps", "cpu", "auto")
_warned: set[str] = set()


def usable_device(device: str) -> str:
    """The device, or ``cpu`` if it is not available, with a warning the first time.

    Raises:
        InvalidRequest: the name of the device is unknown.
    """
    kind = device.partition(":")[0].lower()
    if kind not in DEVICES:
        raise InvalidRequest(field="device", reason=f"must be one of {', '.join(DEVICES)}")
    if kind not in ("cuda", "mps") or (has_cuda() if kind == "cuda" else has_mps()):
        return kind
    if kind not in _warned:
        _warned.add(kind)
        logger.warning("this machine has no %s; using the CPU", kind)
    return "cpu"


@functools.cache
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
