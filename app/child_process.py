"""Runs a module of Watchpost in a process of its own: a JSON request in, a JSON reply out.

For packages that are large, or that connect by themselves: what they load is freed with the
process, and limits can be set below them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")


async def ask_child(module: str, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """The reply of ``python -m module``; empty if it ended without one. Raises TimeoutError."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
        env=environment(),
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate(json.dumps(request).encode())
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        reply = json.loads(output)
    except ValueError:
        return {}
    return reply if isinstance(reply, dict) else {}


def environment() -> dict[str, str]:
    """Without proxies, settings and secrets of the server."""
    return {name: value for name, value in os.environ.items() if name in KEPT} | {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
