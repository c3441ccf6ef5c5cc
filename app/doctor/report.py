"""The doctor's report: all findings, the measured costs, and what they mean."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from app.config import Settings
from app.doctor import capacity
from app.doctor.accelerators import accelerators, advised
from app.doctor.codecs import codecs
from app.doctor.findings import Finding, Phrase, Status, problem, verbatim
from app.doctor.machine import machine
from app.doctor.measure import PARTS, Costs
from app.doctor.surroundings import port, surroundings

MEASURE_TIMEOUT_S = 120.0
NICE = 10
MARKS = {Status.OK: "ok", Status.WARNING: "warning", Status.PROBLEM: "PROBLEM"}
TITLES = {
    "decode": "decode H.264",
    "resize": "resize for the networks",
    "faces": "find faces (only where something moves)",
    "blur": "blur",
    "encode": "encode H.264",
    "whole_face": "find faces in a whole frame",
    "objects": "find objects in a frame",
    "crop": "find objects in a crop",
}
PER_FRAME = ("decode", "resize", "faces", "blur", "encode")


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor found.

    Attributes:
        costs: None if they were not, or could not be measured.
        face_width: the longer side of the face network's input.
    """

    findings: tuple[Finding, ...]
    costs: Costs | None
    face_width: int

    @property
    def has_problems(self) -> bool:
        """Whether something keeps the server from working."""
        return any(finding.status is Status.PROBLEM for finding in self.findings)

    def as_dict(self, template_of: Callable[[str], str] = str) -> dict[str, Any]:
        """The report as JSON-ready values, in the language of those templates."""
        costs = self.costs

        def said(text: Phrase) -> str:
            return text.translated(template_of)

        return {
            "healthy": not self.has_problems,
            "findings": [
                {"name": name, "status": status, "text": said(text), "advice": said(advice)}
                for name, status, text, advice in self.findings
            ],
            "costs": None if costs is None else asdict(costs),
            "cameras": [
                {"load": said(load.name), "fps": load.fps, "cameras": round(load.cameras(costs), 1)}
                for load in (capacity.LOADS if costs else ())
                if costs is not None
            ],
            "demo_fps": None if costs is None else round(capacity.demo_fps(costs), 1),
            "suggestions": [
                {"text": said(one.text), "cameras": one.cameras} for one in self._suggestions()
            ],
        }

    def _suggestions(self) -> list[capacity.Suggestion]:
        if self.costs is None:
            return []
        return capacity.suggestions(self.costs, self.face_width, advised())

    def lines(self) -> Iterator[str]:
        """The report as lines of text."""
        for finding in self.findings:
            yield f"{MARKS[finding.status]:<8} {finding.name}: {finding.text}"
            if finding.advice:
                yield f"{'':<8} -> {finding.advice}"
        if self.costs is not None:
            yield from _costs(self.costs)
            yield from self._meaning(self.costs)

    def _meaning(self, costs: Costs) -> Iterator[str]:
        yield ""
        yield "This machine can process"
        for load in capacity.LOADS:
            cameras = load.cameras(costs)
            shown = f"{cameras:.0f}" if cameras >= 10 else f"{cameras:.1f}"
            yield f"{shown:>8} cameras of {load.name}"
        rate = capacity.demo_fps(costs)
        yield f"         The demo of `make run` reaches about {rate:.0f} of its 15 frames/s."
        for number, one in enumerate(self._suggestions()):
            if not number:
                yield ""
                yield f"What would help most ({capacity.LOADS[0].name})"
            yield f"{one.cameras:>8.1f} cameras with {one.text}"


def _costs(costs: Costs) -> Iterator[str]:
    yield ""
    yield f"CPU time of each part, with {costs.cores} at the same time ({costs.seconds:g} s)"
    for part in PARTS:
        note = "each frame" if part in PER_FRAME else ""
        yield f"{getattr(costs, part):>8.1f} ms  {TITLES[part]}{f', {note}' if note else ''}"
    yield f"         faces on {costs.face_device}; objects on {costs.object_device}"
    yield f"         encoder {costs.encoder}"


def examine(settings: Settings, *, measured: bool = True, is_server: bool = False) -> Report:
    """Check everything, and measure the costs.

    Args:
        measured: also measure, which takes some ten seconds.
        is_server: the caller is the server with these settings: its port is its own, and measuring
            must not slow its streams down.
    """
    findings = [*machine(), *accelerators(settings.device), *codecs(), *surroundings(settings)]
    if not is_server:
        findings.append(port(settings))
    costs = None
    if measured:
        outcome = measured_costs(settings, niceness=NICE if is_server else 0)
        if isinstance(outcome, Finding):
            findings.append(outcome)
        else:
            costs = outcome
    return Report(tuple(findings), costs, settings.faces.width)


def measured_costs(settings: Settings, *, niceness: int = 0) -> Costs | Finding:
    """Measure in a child process, which other work of this process does not disturb.

    Args:
        niceness: how far the child steps back behind other processes.

    Returns:
        The costs, or the problem that prevented it.
    """
    given = settings.model_dump(mode="json", include={"device", "data_dir", "faces", "objects"})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "app.doctor.measure", str(niceness)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=MEASURE_TIMEOUT_S,
            check=False,
        )
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        advice = Phrase("try again when the machine is idle")
        return problem("speed", Phrase("measuring took too long"), advice)
    except (IndexError, json.JSONDecodeError):
        last = _last_line(done.stderr)
        text = Phrase("measuring failed: {error}", error=last)
        return problem("speed", text, Phrase("reinstall Watchpost's packages"))
    if "error" in answer:
        advice = Phrase("choose other weights or another --device")
        return problem("speed", verbatim(str(answer["error"])), advice)
    return Costs(**{**answer, "device_ms": tuple(answer["device_ms"])})


def _last_line(text: str) -> str:
    lines: Iterable[str] = text.strip().splitlines() or ["no message"]
    return list(lines)[-1]
