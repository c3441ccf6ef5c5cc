"""The asyncio side: who may start what, and what is left when a start fails."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fixtures import eventually
from support.doubles import (
    PATIENCE_S,
    Camera,
    FarEnd,
    MemoryStore,
    sink_error,
    source_error,
    threads_of,
)

from app.analytics.analyzer import AnalyzerFactory
from app.analytics.rules import read_rule_settings
from app.config import FaceSettings, ObjectSettings, StreamSettings
from app.errors import (
    AddressNotAllowed,
    NoPicture,
    OutputInUse,
    OutputIsInput,
    SecretUnreadable,
    ShuttingDown,
    SinkError,
    SourceError,
    StartCancelled,
    StartTimeout,
    StreamConflict,
    StreamNotFound,
    WatchpostError,
)
from app.failure_reason import FailureReason
from app.models.faces import FaceDetector
from app.pipeline.event_log import EventLog
from app.pipeline.input_policy import find_or_create, register
from app.pipeline.manager import StreamManager
from app.types import BlurredFrame, StoredStream, StreamSpec, StreamState

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("camera", "far_end")]

SOURCE = "rtsp://192.0.2.1:554/cam-cam"
OUTPUT = "rtsp://192.0.2.1:554/cam-blur"


def spec(stream_id: str = "a", source: str = SOURCE, **options: Any) -> StreamSpec:
    return StreamSpec(stream_id, source, **{"max_fps": 60, **options})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def manager(
    settings: StreamSettings,
    face_settings: FaceSettings,
    faces: FaceDetector,
    store: MemoryStore,
    camera: Camera,
    far_end: FarEnd,
) -> AsyncIterator[StreamManager]:
    analyzers = AnalyzerFactory(ObjectSettings(), read_rule_settings(), None)
    events = EventLog(asyncio.get_running_loop())
    manager = StreamManager(settings, face_settings, faces, store, analyzers, events)
    yield manager
    store.saving.set()
    camera.release()
    far_end.release()
    await manager.close()


class Names:
    """The name look-up of this test: it can be slow, and names can lead anywhere."""

    def __init__(self) -> None:
        self.answering = threading.Event()
        self.answering.set()
        self.asked = threading.Event()
        self.leads_to: dict[str, str] = {}

    def look_up(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        self.asked.set()
        self.answering.wait(PATIENCE_S)
        address = self.leads_to.get(host, host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    return names


async def until(condition: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(eventually, condition)


async def failure(work: Awaitable[Any]) -> BaseException | None:
    try:
        await work
    except WatchpostError as error:
        return error
    return None


# ── start ────────────────────────────────────────────────────────────────────────────────────


async def test_start_replies_when_it_runs_and_keeps_a_row(
    manager: StreamManager, store: MemoryStore
) -> None:
    status = await manager.start(spec())
    assert status.state is StreamState.RUNNING
    assert status.spec.output == OUTPUT
    assert store.rows["a"].wanted is StreamState.RUNNING
    assert store.rows["a"].spec == status.spec


async def test_the_same_start_again_is_the_same_stream(
    manager: StreamManager, camera: Camera
) -> None:
    await manager.start(spec())
    status = await manager.start(spec())
    assert status.state is StreamState.RUNNING
    assert camera.opened == 1


async def test_the_same_start_many_times_at_once_is_one_stream(
    manager: StreamManager, camera: Camera, far_end: FarEnd
) -> None:
    states = await asyncio.gather(*(manager.start(spec()) for _ in range(10)))
    assert {status.state for status in states} == {StreamState.RUNNING}
    assert camera.opened == 1
    assert far_end.most_users == 1


async def test_another_configuration_while_it_runs_is_a_conflict(manager: StreamManager) -> None:
    await manager.start(spec())
    with pytest.raises(StreamConflict):
        await manager.start(spec(downscale=0.5))
    assert manager.stream("a").status.spec.downscale == 1.0


async def test_another_configuration_after_a_stop_is_taken(manager: StreamManager) -> None:
    await manager.start(spec())
    await manager.stop("a")
    status = await manager.start(spec(downscale=0.5))
    assert status.spec.downscale == 0.5


@pytest.mark.parametrize("reason", [FailureReason.UNAUTHORIZED, FailureReason.NOT_FOUND])
async def test_a_first_start_that_an_input_refuses_leaves_nothing(
    manager: StreamManager, store: MemoryStore, camera: Camera, reason: str
) -> None:
    camera.refuses_with = source_error(reason)
    with pytest.raises(SourceError):
        await manager.start(spec())
    with pytest.raises(StreamNotFound):
        manager.stream("a")
    assert store.rows == {}
    await until(lambda: not threads_of("a"))


async def test_a_first_start_that_an_output_refuses_leaves_nothing(
    manager: StreamManager, store: MemoryStore, far_end: FarEnd
) -> None:
    far_end.refuses_with = sink_error(FailureReason.UNAUTHORIZED)
    with pytest.raises(SinkError):
        await manager.start(spec())
    assert manager.all() == []
    assert store.rows == {}


async def test_a_start_that_takes_too_long_says_so_and_leaves_nothing(
    manager: StreamManager, store: MemoryStore, settings: StreamSettings, camera: Camera
) -> None:
    settings.start_timeout_s = 0.2
    camera.refuses_with = source_error(FailureReason.TIMEOUT)
    with pytest.raises(StartTimeout) as caught:
        await manager.start(spec())
    assert caught.value.details["stream_id"] == "a"
    assert manager.all() == []
    assert store.rows == {}


async def test_everyone_who_waits_for_a_start_learns_that_it_failed(
    manager: StreamManager, camera: Camera
) -> None:
    camera.holds_open = True
    camera.refuses_with = source_error(FailureReason.NOT_FOUND)
    waiting = [asyncio.create_task(failure(manager.start(spec()))) for _ in range(5)]
    await until(lambda: camera.opened)
    camera.release()
    failures = await asyncio.gather(*waiting)
    assert [type(error) for error in failures] == [SourceError] * 5
    assert manager.all() == []


async def test_a_failed_restart_keeps_the_row_and_says_failed(
    manager: StreamManager, store: MemoryStore, camera: Camera
) -> None:
    await manager.start(spec(downscale=0.5))
    camera.refuses_with = source_error(FailureReason.NOT_FOUND)
    with pytest.raises(SourceError):
        await manager.restart("a")
    status = manager.stream("a").status
    assert status.state is StreamState.FAILED
    assert status.spec.downscale == 0.5
    assert status.stats.last_error
    assert store.rows["a"].wanted is StreamState.FAILED
    camera.refuses_with = None
    assert (await manager.restart("a")).state is StreamState.RUNNING


async def test_a_restart_that_an_address_forbids_keeps_the_row_and_says_failed(
    manager: StreamManager, store: MemoryStore, names: Names
) -> None:
    source = "rtsp://camera.example/cam"
    names.leads_to["camera.example"] = "192.0.2.1"
    await manager.start(spec(source=source))
    names.leads_to["camera.example"] = "169.254.169.254"
    with pytest.raises(AddressNotAllowed):
        await manager.restart("a")
    assert manager.stream("a").status.state is StreamState.FAILED
    assert store.rows["a"].wanted is StreamState.FAILED


async def test_a_name_that_leads_to_a_forbidden_address_is_refused(
    manager: StreamManager, names: Names, camera: Camera
) -> None:
    names.leads_to["metadata.example"] = "169.254.169.254"
    with pytest.raises(AddressNotAllowed):
        await manager.start(spec(source="rtsp://metadata.example/x"))
    assert manager.all() == []
    assert camera.opened == 0


async def test_a_database_that_fails_costs_the_memory_and_not_the_stream(
    manager: StreamManager, store: MemoryStore
) -> None:
    store.fails = True
    assert (await manager.start(spec())).state is StreamState.RUNNING
    await manager.stop("a")
    await manager.disconnect("a")
    assert manager.all() == []


# ── outputs ──────────────────────────────────────────────────────────────────────────────────


async def test_two_streams_never_share_an_output(manager: StreamManager) -> None:
    await manager.start(spec("a", output=OUTPUT))
    other = "rtsp://u:p@192.0.2.1/cam-blur/?token=1"  # the same place in other words
    with pytest.raises(OutputInUse) as caught:
        await manager.start(spec("b", "rtsp://192.0.2.1/other", output=other))
    assert caught.value.details["used_by"] == "a"
    assert "u:p" not in str(caught.value.details)


async def test_the_output_of_a_stopped_stream_stays_its_own(manager: StreamManager) -> None:
    await manager.start(spec("a", output=OUTPUT))
    await manager.stop("a")
    with pytest.raises(OutputInUse):
        await manager.start(spec("b", "rtsp://192.0.2.1/other", output=OUTPUT))
    await manager.disconnect("a")
    await manager.start(spec("b", "rtsp://192.0.2.1/other", output=OUTPUT))


async def test_a_default_that_would_collide_gets_the_id(manager: StreamManager) -> None:
    await manager.start(spec("a"))
    status = await manager.start(spec("b"))
    assert status.spec.output == OUTPUT + "-b"


async def test_streams_started_at_once_never_share_an_output(
    manager: StreamManager, far_end: FarEnd
) -> None:
    states = await asyncio.gather(*(manager.start(spec(f"s{n}")) for n in range(6)))
    assert len({status.spec.output for status in states}) == 6
    assert far_end.most_users == 1


async def test_a_stopped_stream_that_starts_elsewhere_claims_its_new_output_at_once(
    manager: StreamManager, far_end: FarEnd, names: Names
) -> None:
    await manager.start(spec("a"))
    await manager.stop("a")
    names.asked.clear()
    names.answering.clear()
    wanted = "rtsp://192.0.2.9/shared"
    first = asyncio.create_task(failure(manager.start(spec("a", output=wanted))))
    await until(names.asked.is_set)
    second = asyncio.create_task(failure(manager.start(spec("b", output=wanted))))
    await asyncio.sleep(0)
    names.answering.set()
    failures = await asyncio.gather(first, second)
    assert sorted(type(f).__name__ for f in failures) == ["NoneType", "OutputInUse"]
    assert far_end.most_users == 1


async def test_the_same_start_again_is_equal_although_the_default_output_became_free(
    manager: StreamManager,
) -> None:
    await manager.start(spec("a"))
    await manager.start(spec("b"))  # its default was taken, so it publishes elsewhere
    await manager.disconnect("a")
    status = await manager.start(spec("b"))
    assert status.state is StreamState.RUNNING


@pytest.mark.parametrize(
    "output", [SOURCE, "rtsp://u:p@192.0.2.1/cam-cam/", "RTSP://192.0.2.1/cam-cam?x=1"]
)
async def test_its_own_output_as_input_is_refused(manager: StreamManager, output: str) -> None:
    with pytest.raises(OutputIsInput):
        await manager.start(spec("a", output=output))
    assert manager.all() == []


async def test_the_output_base_takes_all_defaults(
    manager: StreamManager, settings: StreamSettings
) -> None:
    settings.output_base = "rtsp://192.0.2.50:8554/blurred"
    status = await manager.start(spec("a"))
    assert status.spec.output == "rtsp://192.0.2.50:8554/blurred/cam-blur"


# ── stop, restart, disconnect ────────────────────────────────────────────────────────────────


def wanted(store: MemoryStore) -> StreamState:
    return store.rows["a"].wanted


async def test_stop_keeps_and_restart_brings_back(
    manager: StreamManager, store: MemoryStore
) -> None:
    before = await manager.start(spec(downscale=0.5))
    await manager.stop("a")
    assert manager.stream("a").status.state is StreamState.STOPPED
    assert wanted(store) is StreamState.STOPPED
    assert threads_of("a") == []
    after = await manager.restart("a")
    assert after.spec == before.spec
    assert wanted(store) is StreamState.RUNNING


async def test_a_stopped_stream_is_freed_at_once(
    manager: StreamManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.process.COLLECT_AFTER_S", 0.05)
    await manager.start(spec())
    entry = manager.registry["a"]
    assert entry.stream is not None
    stream = weakref.ref(entry.stream)
    gc.disable()  # so that it is not freed by chance
    try:
        await manager.stop("a")
        await asyncio.to_thread(eventually, lambda: stream() is None, "the stream is freed")
    finally:
        gc.enable()


async def test_disconnect_forgets_and_may_be_repeated(
    manager: StreamManager, store: MemoryStore
) -> None:
    await manager.start(spec())
    await manager.disconnect("a")
    assert (manager.all(), store.rows, threads_of("a")) == ([], {}, [])
    await manager.disconnect("a")


@pytest.mark.parametrize("call", ["stream", "stop", "restart"])
async def test_an_unknown_stream_is_not_found(manager: StreamManager, call: str) -> None:
    with pytest.raises(StreamNotFound):
        answer = getattr(manager, call)("nobody")
        await answer


async def test_a_handle_of_a_removed_stream_finds_nothing(manager: StreamManager) -> None:
    await manager.start(spec())
    stream = manager.stream("a")
    assert stream.status.spec.stream_id == "a"
    await manager.disconnect("a")
    with pytest.raises(StreamNotFound):
        await stream.snapshot()


@pytest.mark.parametrize("call", ["stop", "disconnect"])
async def test_stop_does_not_wait_for_a_start_and_the_starter_gets_an_error(
    manager: StreamManager, camera: Camera, settings: StreamSettings, call: str
) -> None:
    settings.stop_timeout_s = 0.1
    camera.holds_open = True
    starting = asyncio.create_task(failure(manager.start(spec())))
    await until(lambda: camera.opened)
    await asyncio.wait_for(getattr(manager, call)("a"), 15)
    assert isinstance(await starting, StartCancelled)


async def test_stop_does_not_wait_for_a_name_look_up_that_hangs(
    manager: StreamManager, names: Names
) -> None:
    names.answering.clear()
    starting = asyncio.create_task(failure(manager.start(spec())))
    await until(names.asked.is_set)
    try:
        await asyncio.wait_for(manager.disconnect("a"), 6)
    finally:
        names.answering.set()
        ended = await starting
    assert isinstance(ended, StartCancelled)
    assert manager.all() == []
    assert threads_of("a") == []


async def test_what_is_disconnected_while_its_row_is_written_does_not_come_back(
    manager: StreamManager, store: MemoryStore
) -> None:
    store.saving.clear()
    starting = asyncio.create_task(failure(manager.start(spec())))
    await until(store.save_begun.is_set)
    gone = asyncio.create_task(manager.disconnect("a"))
    await asyncio.wait([gone], timeout=1)  # either it is done or it waits for the row: both fine
    store.saving.set()
    await asyncio.gather(starting, gone)
    assert store.rows == {}


async def test_what_is_stopped_while_its_row_is_written_stays_stopped(
    manager: StreamManager, store: MemoryStore
) -> None:
    store.saving.clear()
    starting = asyncio.create_task(failure(manager.start(spec())))
    await until(store.save_begun.is_set)
    stopping = asyncio.create_task(manager.stop("a"))
    await asyncio.wait([stopping], timeout=1)
    store.saving.set()
    await asyncio.gather(starting, stopping)
    assert store.rows["a"].wanted is StreamState.STOPPED


async def test_many_changes_of_one_stream_at_once_end_in_order(
    manager: StreamManager, far_end: FarEnd
) -> None:
    calls: list[Awaitable[Any]] = []
    for _ in range(6):
        calls += [manager.start(spec()), manager.stop("a"), manager.restart("a")]
        calls += [manager.disconnect("a"), register(manager, SOURCE)]
    for ended in await asyncio.gather(*map(failure, calls)):
        assert ended is None or isinstance(
            ended, StartCancelled | StreamNotFound | StreamConflict | OutputInUse
        )
    await manager.disconnect("a")
    for status in manager.all():
        await manager.disconnect(status.spec.stream_id)
    assert far_end.most_users == 1
    assert far_end.in_use == set()
    assert threads_of("a") == threads_of("auto") == []


# ── by input ─────────────────────────────────────────────────────────────────────────────────


async def test_find_or_create_makes_one_stream_and_then_finds_it(
    manager: StreamManager, camera: Camera
) -> None:
    status, created = await find_or_create(manager, SOURCE)
    assert created
    assert status.spec.stream_id.startswith("auto-")
    again, created = await find_or_create(manager, "RTSP://u:p@192.0.2.1/cam-cam/")
    assert not created
    assert again.spec == status.spec
    assert camera.opened == 1


async def test_find_or_create_at_once_makes_one_stream(
    manager: StreamManager, camera: Camera
) -> None:
    answers = await asyncio.gather(*(find_or_create(manager, SOURCE) for _ in range(8)))
    assert len({status.spec.stream_id for status, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1
    assert camera.opened == 1


async def test_find_or_create_leaves_a_stopped_stream_alone(manager: StreamManager) -> None:
    await manager.start(spec("mine"))
    await manager.stop("mine")
    status, created = await find_or_create(manager, SOURCE)
    assert (status.spec.stream_id, status.state, created) == ("mine", StreamState.STOPPED, False)


async def test_register_replaces_every_stream_of_the_input(
    manager: StreamManager, far_end: FarEnd
) -> None:
    await manager.start(spec("mine"))
    await manager.start(spec("mine2"))
    await manager.start(spec("other", "rtsp://192.0.2.1/other"))
    status = await register(manager, SOURCE)
    assert status.state is StreamState.RUNNING
    assert status.spec.output == OUTPUT
    ids = {s.spec.stream_id for s in manager.all()}
    assert ids == {status.spec.stream_id, "other"}
    assert far_end.most_users == 1


async def test_register_always_makes_a_new_stream(manager: StreamManager) -> None:
    first = await register(manager, SOURCE)
    second = await register(manager, SOURCE)
    assert first.spec.stream_id != second.spec.stream_id
    assert first.spec.output == second.spec.output


async def test_register_at_once_leaves_one_stream(manager: StreamManager, far_end: FarEnd) -> None:
    ended = await asyncio.gather(*(failure(register(manager, SOURCE)) for _ in range(6)))
    assert all(error is None or isinstance(error, StartCancelled) for error in ended)
    assert len(manager.all()) == 1
    assert far_end.most_users == 1


# ── the life of the process ──────────────────────────────────────────────────────────────────


async def test_what_ran_runs_again_and_what_did_not_does_not(
    manager: StreamManager, store: MemoryStore
) -> None:
    for name, wanted in {
        "ran": StreamState.RUNNING,
        "stopped": StreamState.STOPPED,
        "failed": StreamState.FAILED,
    }.items():
        source, output = f"rtsp://192.0.2.1/{name}", f"rtsp://192.0.2.2/{name}"
        store.save(StoredStream(spec(name, source, output=output), wanted, "why"))
    await manager.resume()
    await until(lambda: manager.stream("ran").status.state is StreamState.RUNNING)
    assert manager.stream("stopped").status.state is StreamState.STOPPED
    assert manager.stream("failed").status.state is StreamState.FAILED
    assert manager.stream("failed").status.stats.last_error == "why"


async def test_a_resumed_stream_waits_for_its_camera_however_long_that_takes(
    manager: StreamManager, store: MemoryStore, camera: Camera
) -> None:
    camera.refuses_with = source_error(FailureReason.NOT_FOUND)
    store.save(StoredStream(spec("a", output=OUTPUT), StreamState.RUNNING))
    await manager.resume()
    await until(lambda: camera.opened >= 4)
    assert manager.stream("a").status.state is StreamState.RECONNECTING
    camera.refuses_with = None
    await until(lambda: manager.stream("a").status.state is StreamState.RUNNING)


async def test_a_row_that_cannot_be_read_says_so_and_the_rest_runs(
    manager: StreamManager, store: MemoryStore
) -> None:
    lost = spec("lost", "rtsp://192.0.2.1/lost", output="rtsp://192.0.2.1/lost-blur")
    store.save(StoredStream(lost, StreamState.FAILED, "the key is lost", decryptable=False))
    store.save(StoredStream(spec("a", output=OUTPUT), StreamState.RUNNING))
    await manager.resume()
    await until(lambda: manager.stream("a").status.state is StreamState.RUNNING)
    assert manager.stream("lost").status.state is StreamState.FAILED
    assert manager.stream("lost").status.stats.last_error == "the key is lost"
    with pytest.raises(SecretUnreadable):
        await manager.restart("lost")
    status = await manager.start(spec("lost", "rtsp://u:p@192.0.2.1/lost"))
    assert status.state is StreamState.RUNNING
    assert store.rows["lost"].decryptable


async def test_a_row_with_an_unknown_scheme_does_not_keep_the_others_away(
    manager: StreamManager, store: MemoryStore
) -> None:
    store.save(StoredStream(StreamSpec("odd", "gopher://192.0.2.1/x"), StreamState.RUNNING))
    store.save(StoredStream(spec("a", output=OUTPUT), StreamState.RUNNING))
    await failure(_quiet(manager.resume()))
    await until(lambda: "a" in {s.spec.stream_id for s in manager.all()} or None)
    await until(lambda: manager.stream("a").status.state is StreamState.RUNNING)


async def _quiet(work: Awaitable[Any]) -> None:
    try:
        await work
    except KeyError as error:
        raise AssertionError(f"one row ended the resuming of all: {error!r}") from None


async def test_a_call_before_the_rows_are_back_does_not_make_a_second_stream_of_the_input(
    manager: StreamManager, store: MemoryStore, far_end: FarEnd
) -> None:
    """The port answers before streams resume; a client that asks by input then is common."""
    store.save(StoredStream(spec("mine", output=OUTPUT), StreamState.RUNNING))
    asked = asyncio.create_task(find_or_create(manager, SOURCE))
    await manager.resume()
    await asked
    await until(lambda: far_end.results.qsize() > 10)
    assert far_end.most_users == 1, "two streams publish to one output"


async def test_close_stops_everything_and_leaves_the_rows_as_they_were(
    manager: StreamManager, store: MemoryStore
) -> None:
    await manager.start(spec("a"))
    await manager.start(spec("b"))
    await manager.close()
    assert threads_of("a") == threads_of("b") == []
    assert {row.wanted for row in store.rows.values()} == {StreamState.RUNNING}
    with pytest.raises(ShuttingDown):
        await manager.start(spec("c"))


async def test_close_gives_an_error_to_callers_of_start(
    manager: StreamManager, camera: Camera, settings: StreamSettings
) -> None:
    settings.stop_timeout_s = 0.1
    camera.holds_open = True
    starting = asyncio.create_task(failure(manager.start(spec())))
    await until(lambda: camera.opened)
    await manager.close()
    assert isinstance(await asyncio.wait_for(starting, 15), ShuttingDown | StartCancelled)


async def test_nothing_starts_after_close_even_when_it_was_asked_for_before(
    manager: StreamManager, names: Names, camera: Camera
) -> None:
    names.answering.clear()
    starting = asyncio.create_task(failure(manager.start(spec())))
    await until(names.asked.is_set)
    await manager.close()
    names.answering.set()
    assert isinstance(await starting, ShuttingDown | StartCancelled)
    assert camera.opened == 0
    assert threads_of("a") == []


# ── the stream of the process's own ──────────────────────────────────────────────────────────

DEMO = StreamSpec("demo", "demo:", max_fps=30)


async def test_the_demo_runs_without_an_output_and_without_a_row(
    manager: StreamManager, store: MemoryStore
) -> None:
    manager.start_ephemeral(DEMO)
    await until(lambda: manager.stream("demo").status.state is StreamState.RUNNING)
    assert (await manager.stream("demo").snapshot()).startswith(b"\xff\xd8")
    assert store.rows == {}


async def test_the_demo_can_be_stopped_and_restarted(
    manager: StreamManager, store: MemoryStore
) -> None:
    manager.start_ephemeral(DEMO)
    await until(lambda: manager.stream("demo").status.state is StreamState.RUNNING)
    await manager.stop("demo")
    assert manager.stream("demo").status.state is StreamState.STOPPED
    status = await manager.restart("demo")
    assert status.state is StreamState.RUNNING
    assert store.rows == {}, "what the process runs for itself is never written"


async def test_the_demo_does_not_take_the_place_of_a_stream_of_that_name(
    manager: StreamManager, store: MemoryStore, far_end: FarEnd
) -> None:
    store.save(StoredStream(spec("demo", output=OUTPUT), StreamState.RUNNING))
    await manager.resume()
    await until(lambda: manager.stream("demo").status.state is StreamState.RUNNING)
    manager.start_ephemeral(DEMO)
    await manager.disconnect("demo")
    assert threads_of("demo") == [], "a stream runs that nobody can reach any more"
    assert far_end.in_use == set()


# ── pictures ─────────────────────────────────────────────────────────────────────────────────


async def test_jpegs_come_until_the_stream_ends(manager: StreamManager) -> None:
    await manager.start(spec())
    pictures = manager.stream("a").jpegs()
    assert (await asyncio.wait_for(anext(pictures), PATIENCE_S)).jpeg.startswith(b"\xff\xd8")

    async def rest() -> int:
        return len([picture async for picture in pictures])

    watching = asyncio.create_task(rest())
    await manager.stop("a")
    await asyncio.wait_for(watching, PATIENCE_S)


async def test_jpegs_end_when_shutdown_begins(manager: StreamManager) -> None:
    await manager.start(spec())
    pictures = manager.stream("a").jpegs()
    await asyncio.wait_for(anext(pictures), PATIENCE_S)
    manager.begin_shutdown()

    async def rest() -> None:
        async for _ in pictures:
            pass

    await asyncio.wait_for(rest(), PATIENCE_S)


async def test_a_stream_that_does_not_run_has_no_snapshot(manager: StreamManager) -> None:
    await manager.start(spec())
    await manager.stop("a")
    with pytest.raises(NoPicture):
        await manager.stream("a").snapshot()
    with pytest.raises(NoPicture):
        manager.stream("a").jpegs()


async def test_jpegs_are_encoded_only_while_there_are_viewers(
    manager: StreamManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.pipeline.sinks import jpeg, preview

    made: list[int] = []
    encode = jpeg.encode_jpeg

    def counted(frame: BlurredFrame, width: int | None = None) -> bytes:
        made.append(1)
        return encode(frame, width)

    monkeypatch.setattr(preview, "encode_jpeg", counted)
    await manager.start(spec())
    await until(lambda: manager.stream("a").status.stats.frames_published > 10)
    assert made == []
    viewers = [manager.stream("a").jpegs() for _ in range(3)]
    await asyncio.gather(*(anext(viewer) for viewer in viewers))
    for viewer in viewers:
        await viewer.aclose()
    before = manager.stream("a").status.stats.frames_published
    await until(lambda: manager.stream("a").status.stats.frames_published > before + 3)
    settled = len(made)
    before = manager.stream("a").status.stats.frames_published
    await until(lambda: manager.stream("a").status.stats.frames_published > before + 10)
    assert len(made) == settled


# ── slow sources ─────────────────────────────────────────────────────────────────────────────


async def test_a_slow_source_goes_on_starting_after_its_caller_was_answered(
    manager: StreamManager, camera: Camera, settings: StreamSettings, store: MemoryStore
) -> None:
    settings.start_timeout_s = 0.2
    camera.holds_open = True
    with pytest.raises(StartTimeout) as caught:
        await manager.start(spec(start_timeout_s=60))
    assert "start_timeout_s" in str(caught.value.details["last_error"])
    assert manager.stream("a").status.state is StreamState.STARTING
    settings.start_timeout_s = 20
    again = asyncio.create_task(manager.start(spec(start_timeout_s=60)))  # joins that start
    camera.release()
    assert (await again).state is StreamState.RUNNING
    assert camera.opened == 1
    await until(lambda: store.load())


async def test_a_slow_source_that_never_starts_is_forgotten_in_the_end(
    manager: StreamManager, camera: Camera, settings: StreamSettings
) -> None:
    settings.start_timeout_s = 0.1
    camera.holds_open = True
    with pytest.raises(StartTimeout):
        await manager.start(spec(start_timeout_s=0.4))
    assert manager.stream("a").status.state is StreamState.STARTING
    await until(lambda: manager.registry.get("a") is None)


async def test_a_start_of_its_own_limit_is_answered_within_it(
    manager: StreamManager, camera: Camera
) -> None:
    camera.holds_open = True
    with pytest.raises(StartTimeout) as caught:
        await manager.start(spec(start_timeout_s=0.2))
    assert caught.value.details["timeout_s"] == 0.2
    assert manager.registry.get("a") is None
