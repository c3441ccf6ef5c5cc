"""The command ``watchpost doctor``; in a checkout ``python -m app.doctor`` does the same."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from app.config import DeviceName, Settings
from app.doctor.capacity import DEMO_FPS, is_fluent
from app.doctor.report import examine

DESCRIPTION = (
    "Check what Watchpost needs on this machine, and measure how many cameras it can process. "
    "Exit code: 0 if it can work, 1 if something prevents that, 2 for invalid settings."
)
PROBLEMS, USAGE_ERROR = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.doctor", description=DESCRIPTION)
    add_flags(parser)
    return run(parser.parse_args(arguments))


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags to a parser."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--quick", action="store_true", help="check only; measure nothing")
    parser.add_argument("--device", choices=get_args(DeviceName), help="(default: auto)")
    parser.add_argument("--data-dir", type=Path, help="the server's data folder")
    parser.add_argument("--port", type=int, help="the server's port (default: 8000)")
    parser.add_argument("--database-url", help="the server's database (default: SQLite)")
    parser.add_argument("--output-base", help="the RTSP server that receives its outputs")
    parser.add_argument("--weights", help="the network for objects (default: the shipped one)")
    parser.add_argument(
        "--demo-from",
        type=Path,
        metavar="FILE",
        help="only warn if the demo was not fluent in this report, which --json printed",
    )


def run(options: argparse.Namespace) -> int:
    """Run the parsed command. Returns the exit code, as ``main`` does."""
    if options.demo_from is not None:
        return _warn_of_demo(options.demo_from)
    try:
        settings = Settings(**_settings_of(options))
    except ValidationError as error:
        for problem in error.errors():
            print(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", file=sys.stderr)
        return USAGE_ERROR
    report = examine(settings, measured=not options.quick)
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print("\n".join(report.lines()))
    return PROBLEMS if report.has_problems else os.EX_OK


def _settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that flags give; those of the environment are used for all others."""
    names = ("device", "data_dir", "port", "database_url")
    given: dict[str, Any] = {name: getattr(options, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if options.output_base is not None:
        given["streams"] = {"output_base": options.output_base}
    if options.weights is not None:
        given["objects"] = {"weights": options.weights}
    return given


def _warn_of_demo(file: Path) -> int:
    """Warn if a report says that the demo will not be fluent; say nothing without one."""
    try:
        rate = json.loads(file.read_text(encoding="utf-8"))["demo_fps"]
    except (OSError, ValueError, KeyError, TypeError):
        return os.EX_OK
    if rate is not None and not is_fluent(rate):
        print(
            f"This machine can process about {rate:.0f} of the demo's {DEMO_FPS:.0f} frames per "
            "second, so it will not look fluent. `.venv/bin/python -m app.doctor` shows what "
            "would help.",
            file=sys.stderr,
        )
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
