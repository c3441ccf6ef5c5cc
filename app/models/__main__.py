"""Command line of the networks: ``watchpost models info`` and ``watchpost models detect``.

In a checkout, ``python -m app.models`` does the same.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import cv2
from pydantic import ValidationError

from app.config import DeviceName, Settings
from app.errors import SetupError
from app.models.annotate import AnnotatedWriter
from app.models.detect import DetectorSuite, detect
from app.models.info import info
from app.models.media import media_in

DESCRIPTION = "Run the networks on files."
USAGE_ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 1 when a file could not be read, 2 for a usage error."""
    parser = argparse.ArgumentParser(prog="python -m app.models", description=DESCRIPTION)
    add_commands(parser)
    return run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """Run the parsed command. Returns the exit code, as ``main`` does."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # damaged files are reported by this command, not by OpenCV
    try:
        settings = _settings(options)
        if options.command == "info":
            for line in info(settings):
                print(line, flush=True)
            return 0
        return _detect(options, settings)
    except SetupError as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    except ValidationError as error:
        for problem in error.errors():
            print(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their flags to a parser."""
    commands = parser.add_subparsers(dest="command", required=True)
    info_command = commands.add_parser("info", help="loaded networks, their device and speed")
    detect_command = commands.add_parser("detect", help="detect objects in images and videos")
    detect_command.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="file or folder"
    )
    detect_command.add_argument(
        "--json", action="store_true", help="print one line of JSON per image or frame"
    )
    detect_command.add_argument(
        "--min-confidence",
        type=_confidence,
        metavar="X",
        help="threshold for all classes (default: one per class)",
    )
    detect_command.add_argument(
        "--crops",
        action="store_true",
        help="also detect cigarettes in enlarged crops of people",
    )
    detect_command.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write annotated copies to this folder"
    )
    for command in (info_command, detect_command):
        command.add_argument("--weights", help="weights to use instead of the shipped ones")
        command.add_argument("--device", choices=get_args(DeviceName))


def _confidence(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return value


def _settings(options: argparse.Namespace) -> Settings:
    settings = Settings()
    if options.weights is not None:
        settings.objects.weights = options.weights
    if options.device is not None:
        settings.device = options.device
    return settings


def _detect(options: argparse.Namespace, settings: Settings) -> int:
    paths = _files(options.paths)
    annotated = AnnotatedWriter(options.out, paths) if options.out is not None else None
    detectors = DetectorSuite(settings, min_confidence=options.min_confidence, crops=options.crops)
    try:
        return detect(paths, detectors, as_json=options.json, annotated=annotated)
    finally:
        detectors.close()


def _files(paths: Sequence[Path]) -> list[Path]:
    """Return the named files and the files in the named folders."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise SetupError(reason=f"No such file: {', '.join(missing)}")
    found: list[Path] = []
    for path in paths:
        inside = media_in(path) if path.is_dir() else [path]
        if not inside:
            raise SetupError(reason=f"No images or videos in {path}")
        found += inside
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    sys.exit(main())
