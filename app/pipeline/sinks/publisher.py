"""The child process that publishes packets over RTSP. Started by ``rtsp.py``, never imported.

Opening an RTSP output inside the server would hold its GIL for as long as the other side is
silent; a child process can be killed. It gets everything over its standard input, so that no
password is in the process list:

    a line of JSON  {"urls", "width", "height", "fps", "transport"}
    then, for each packet, a header HEADER (length, pts, is keyframe, until) and the data

``until`` is when the lease of the output ends, on ``lease_clock``; infinity without a lease. A
header of length 0 only extends it. This process is killed by its own alarm at that time, whatever
it waits for: another machine may publish from then on.

and answers on its standard output with lines:

    sent PTS TIME       the far end took the packet, at TIME (``time.monotonic()``)
    error CLASS ERRNO   what went wrong, before it exits with 1

At the end of standard input it closes the session properly. This file imports nothing from
``app``, to start fast.
"""

from __future__ import annotations

import ctypes
import json
import math
import signal
import struct
import sys
import time
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream

HEADER = struct.Struct(">Iq?d")
TIME_BASE = Fraction(1, 90_000)
PR_SET_PDEATHSIG = 1


def main() -> int:
    die_with_parent()
    pipe = sys.stdin.buffer
    try:
        publish(pipe, json.loads(pipe.readline()))
    except (FFmpegError, OSError) as error:
        say("error", type(error).__name__, str(error.errno or 0))
        return 1
    return 0


def lease_clock() -> float:
    """Seconds on a clock that a machine's processes share, and that goes on while it sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def publish(pipe: BinaryIO, config: dict[str, Any]) -> None:
    first = read_packet(pipe)
    if first is None:
        return
    container, stream = connect(config, first)
    with container:
        packet: tuple[int, bool, bytes] | None = first
        while packet is not None:
            mux(container, stream, packet)
            say("sent", str(packet[0]), repr(time.monotonic()))
            packet = read_packet(pipe)


def connect(
    config: dict[str, Any], first: tuple[int, bool, bytes]
) -> tuple[OutputContainer, Stream]:
    """Announce to the first address that answers. The SDP needs the first packet's headers."""
    urls: list[str] = config["urls"]
    for url in urls:
        options = {"rtsp_transport": config["transport"], "muxdelay": "0"}
        container = av.open(url, "w", format="rtsp", options=options)
        stream = container.add_mux_stream(
            "h264", rate=config["fps"], width=config["width"], height=config["height"]
        )
        stream.time_base = TIME_BASE
        try:
            mux(container, stream, first)
            return container, stream
        except ConnectionRefusedError:
            if url == urls[-1]:
                raise
    raise ConnectionRefusedError


def mux(container: OutputContainer, stream: Stream, packet: tuple[int, bool, bytes]) -> None:
    pts, is_keyframe, data = packet
    out = av.Packet(data)
    out.stream = stream
    out.pts = out.dts = pts
    out.time_base = TIME_BASE
    out.is_keyframe = is_keyframe
    container.mux_one(out)


def read_packet(pipe: BinaryIO) -> tuple[int, bool, bytes] | None:
    """The next packet, or None at the end of the pipe."""
    while True:
        header = pipe.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        length, pts, is_keyframe, until = HEADER.unpack(header)
        data = pipe.read(length)
        end_at(until)
        if len(data) < length:
            return None
        if data:
            return pts, is_keyframe, data


def end_at(until: float) -> None:
    """Let the kernel end this process when its lease ends, even if it hangs in a system call."""
    if until == math.inf:
        return
    left_s = until - lease_clock()
    if left_s <= 0:
        signal.raise_signal(signal.SIGKILL)
    signal.setitimer(signal.ITIMER_REAL, left_s)  # SIGALRM kills: it has no handler


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def die_with_parent() -> None:
    """Ask Linux to kill this process with the server, even if it hangs in a system call."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to answer
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
