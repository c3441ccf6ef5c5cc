"""Checks of the accelerators for networks: what is there, and what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.doctor.findings import Finding, ok, warning
from app.models.devices import DEVICES, HARDWARE, Device, missing

INTEL = "0x8086"
ACCELERATORS = Path("/sys/class/accel")
GRAPHICS = Path("/sys/class/drm")


def accelerators(chosen: str) -> Iterator[Finding]:
    """Check each accelerator that the machine may have.

    Args:
        chosen: the value of ``--device``.
    """
    usable = [device for device in DEVICES if missing(device) is None]
    for device in usable:
        note = "" if device.was_tried else " (not tried by the developers on real hardware)"
        yield ok(f"device {device.name}", f"{device.hardware}{note}")
    for device in DEVICES:
        if device in usable or not (device.name == chosen or has_hardware(device)):
            continue
        state = "is here, but cannot be used" if has_hardware(device) else "was not found"
        why = missing(device) or ""
        yield warning(
            f"device {device.name}", f"the {device.hardware} {state}: {why}", _fix(device)
        )
    if not usable:
        yield ok("devices", "networks run on the CPU")


def has_hardware(device: Device) -> bool:
    """Whether the system shows such hardware, with or without its packages."""
    if device.name in HARDWARE:
        return HARDWARE[device.name]()
    folder, pattern = (GRAPHICS, "renderD*") if device.name == "gpu" else (ACCELERATORS, "accel*")
    return any(_vendor(node) == INTEL for node in sorted(folder.glob(pattern)))


def advised() -> str:
    """How the networks could get an accelerator: what is here and lacks a package, or a new one."""
    for device in DEVICES:
        if has_hardware(device) and missing(device) is not None:
            return f"networks on this machine's {device.hardware}: {_fix(device)}"
    return "networks on a GPU or NPU, if it had one"


def _vendor(node: Path) -> str:
    try:
        return (node / "device" / "vendor").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _fix(device: Device) -> str:
    if device.runs_onnx:
        return device.packages
    group = "; the user needs the group `render`, a container the folder /dev/dri"
    return f"{device.packages}{group if device.name == 'gpu' else ''}"
