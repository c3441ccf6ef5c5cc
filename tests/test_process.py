"""The memory of ended streams, and the objects that garbage collections leave out."""

from __future__ import annotations

import asyncio
import gc
import platform
from collections.abc import Iterator

import psutil
import pytest

from app.process import GarbageCollection, long_lived_objects

pytestmark = pytest.mark.anyio


@pytest.fixture
def full_collections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Filled with one entry for each full collection that is not Python's own idea."""
    monkeypatch.setattr("app.process.COLLECT_AFTER_S", 0.05)
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            seen.append(info["collected"])

    gc.disable()
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.enable()


async def test_streams_that_end_together_share_one_collection(full_collections: list[int]) -> None:
    garbage = GarbageCollection()
    for _ in range(20):
        garbage.soon()
    await asyncio.sleep(0.3)
    assert len(full_collections) == 1


async def test_a_later_end_is_followed_by_another_collection(full_collections: list[int]) -> None:
    garbage = GarbageCollection()
    garbage.soon()
    await asyncio.sleep(0.3)
    garbage.soon()
    await asyncio.sleep(0.3)
    assert len(full_collections) == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked for that")
async def test_free_memory_between_used_memory_goes_back_to_the_system(
    full_collections: list[int],
) -> None:
    process = psutil.Process()
    blocks = [bytes(4000) for _ in range(25_000)]  # 100 MB
    used = blocks[::100]
    del blocks
    before = process.memory_info().rss
    GarbageCollection().soon()
    for _ in range(50):
        await asyncio.sleep(0.05)
        if before - process.memory_info().rss > 50e6:
            break
    assert before - process.memory_info().rss > 50e6
    assert len(used) == 250


def test_collections_leave_out_what_existed_before() -> None:
    older = [object()]
    with long_lived_objects():
        younger = [object()]
        looked_at = {id(item) for item in gc.get_objects()}
        assert id(younger) in looked_at
        assert id(older) not in looked_at
    assert gc.get_freeze_count() == 0
