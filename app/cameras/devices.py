"""The devices that networks can run on."""

from __future__ import annotations

import logging
from typing import get_args

from app.config import DeviceName
from app.errors import InvalidRequest
from app.first_time import FirstTime
from app.models.devices import has_cuda, has_mps

logger = logging.getLogger(__name__)

DEVICES: tuple[str, ...] = get_args(DeviceName)
_is_new = FirstTime()


def usable_device(device: str) -> str:
    """The device, or ``auto`` if this machine has none of the kind, with a warning at first.

    ``cuda`` is the default of a camera, also on machines without an NVIDIA GPU: they use what they
    have, such as an Intel GPU, and otherwise the CPU.

    Raises:
        InvalidRequest: the name of the device is unknown.
    """
    kind = device.partition(":")[0].lower()
    if kind not in DEVICES:
        raise InvalidRequest(field="device", reason=f"must be one of {', '.join(DEVICES)}")
    if kind not in ("cuda", "mps") or (has_cuda() if kind == "cuda" else has_mps()):
        return kind
    if _is_new(kind):
        logger.warning("this machine has no %s; using another accelerator, or the CPU", kind)
    return "auto"
