"""A process that publishes to an RTSP URL for as long as it has the lease of that output.

    python -m support.lease_publisher NAME DATABASE_URL RTSP_URL LEASE_S

It prints one line each time that something changes: ``held``, ``publishes`` or the reason why not.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import sys
import time

from app.cluster.fence import OutputFence
from app.cluster.lease_keeper import LeaseKeeper
from app.config import StreamSettings
from app.db.leases import open_leases
from app.errors import NotReady, SinkError, StoreError
from app.types import ProcessedFrame, StreamSpec
from support.encoded import FPS, numbered


def main(name: str, database_url: str, output: str, lease_s: float) -> None:
    fence, spec = OutputFence(), StreamSpec("s", "demo:", output, encoder="libx264", max_fps=FPS)
    keeper = fence.keeper = LeaseKeeper(name, lease_s, functools.partial(open_leases, database_url))
    keeper.open()
    while True:
        try:
            asyncio.run(fence.take(spec, 0.0))
            break
        except (NotReady, StoreError):
            say("held")
            time.sleep(0.1)
    sink = fence.make_output(spec, StreamSettings(), lambda *_: None)
    assert sink is not None
    for number in itertools.count():
        try:
            sink.write(ProcessedFrame(numbered(number), (), time.monotonic(), number))
            say("publishes")
        except SinkError as error:
            sink.close()
            say("lost" if fence.lost(spec) else str(error.details["reason"]))
        time.sleep(1 / FPS)


def say(word: str, said: list[str] = [""]) -> None:  # noqa: B006
    if said[0] != word:
        print(word, flush=True)
        said[0] = word


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
