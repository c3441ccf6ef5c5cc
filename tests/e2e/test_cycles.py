"""Streams that start and end leave nothing behind in the server's process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from support.poll import eventually
from support.watchpost import Server, data_of

WARM_UP = 3
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""glibc gives each new thread another of its heaps, which fill up one by one: that is no leak."""
CYCLES = 20
DISCONNECTS = 10
GROWTH_BYTES = 20 << 20
"""A leaked decoder or encoder of 640 x 360 costs some megabytes each time."""


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return {"environment": ONE_HEAP}


@dataclass
class Use:
    threads: int
    files: int
    children: int
    memory: int


def use_of(server: Server) -> Use:
    process = server.process
    with process.oneshot():
        return Use(
            process.num_threads(),
            process.num_fds(),
            len(server.children()),
            process.memory_info().rss,
        )


@pytest.fixture(scope="module")
def before_and_after(running_server: Server, camera: str) -> Iterator[tuple[Use, Use]]:
    """One stream is started and stopped, another started and disconnected, side by side."""
    server = running_server

    def stops(count: int) -> None:
        for _ in range(count):
            server.begin("stops", camera, output_url=f"{camera}-stops")
            data_of(server.post("stops/stop"))

    def leaves(count: int) -> None:
        for _ in range(count):
            server.begin("leaves", camera, output_url=f"{camera}-leaves")
            data_of(server.post("leaves/disconnect"))

    def run(cycles: int, disconnects: int) -> None:
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(stops, cycles), pool.submit(leaves, disconnects)]:
                done.result()

    run(WARM_UP, WARM_UP)
    before = use_of(server)
    run(CYCLES, DISCONNECTS)
    eventually(
        lambda: use_of(server),
        lambda now: now.threads <= before.threads and now.files <= before.files,
        10,
        f"threads and files are back at {before}",
    )
    yield before, use_of(server)


def test_no_thread_file_or_socket_stays(before_and_after: tuple[Use, Use]) -> None:
    before, after = before_and_after

    assert after.threads <= before.threads
    assert after.files <= before.files


def test_no_child_process_stays(before_and_after: tuple[Use, Use]) -> None:
    assert before_and_after[1].children == 0


def test_memory_does_not_grow(before_and_after: tuple[Use, Use]) -> None:
    before, after = before_and_after

    assert after.memory - before.memory < GROWTH_BYTES


def test_the_stream_still_works(
    before_and_after: tuple[Use, Use], server: Server, camera: str
) -> None:
    assert server.begin("stops", camera)["status"] == "running"
