"""Checks of the accelerators for networks: what is there, and what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.doctor.findings import Finding, Phrase, ok, verbatim, warning
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
        untried = Phrase(
            "{hardware} (not tried by the developers on real hardware)", hardware=device.hardware
        )
        text = verbatim(device.hardware) if device.was_tried else untried
        yield ok(f"device {device.name}", text)
    for device in DEVICES:
        if device in usable or not (device.name == chosen or has_hardware(device)):
            continue
        yield warning(f"device {device.name}", _state(device), _fix(device))
    if not usable:
        yield ok("devices", Phrase("networks run on the CPU"))


def has_hardware(device: Device) -> bool:
    """Whether the system shows such hardware, with or without its packages."""
    if device.name in HARDWARE:
        return HARDWARE[device.name]()
    folder, pattern = (GRAPHICS, "renderD*") if device.name == "gpu" else (ACCELERATORS, "accel*")
    return any(_vendor(node) == INTEL for node in sorted(folder.glob(pattern)))


def _state(device: Device) -> Phrase:
    hardware, why = device.hardware, missing(device) or ""
    if has_hardware(device):
        return Phrase(
            "the {hardware} is here, but cannot be used: {why}", hardware=hardware, why=why
        )
    return Phrase("the {hardware} was not found: {why}", hardware=hardware, why=why)


def advised() -> Phrase:
    """How the networks could get an accelerator: what is here and lacks a package, or a new one."""
    for device in DEVICES:
        if has_hardware(device) and missing(device) is not None:
            fix = _fix(device)
            return Phrase(
                "networks on this machine's {hardware}: {fix}", hardware=device.hardware, fix=fix
            )
    return Phrase("networks on a GPU or NPU, if it had one")


def _vendor(node: Path) -> str:
    try:
        return (node / "device" / "vendor").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _fix(device: Device) -> Phrase:
    if device.name != "gpu":
        return verbatim(device.packages)
    return Phrase(
        "{packages}; the user needs the group `render`, a container the folder /dev/dri",
        packages=device.packages,
    )
