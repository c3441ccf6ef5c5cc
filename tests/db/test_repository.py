"""Streams as rows: what is restored, and what is never in the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update

from app.db.engine import open_database
from app.db.streams import StreamRepository
from app.db.tables import StreamTable
from app.db.vault import KEY_FILE, open_vault
from app.errors import StoreError
from app.types import Line, StoredStream, StreamSpec, StreamState, Zone

PLAIN = StreamSpec("plain", "rtsp://192.0.2.1/x", "rtsp://192.0.2.1/x-blur")
FULL = StreamSpec(
    "full",
    "rtsp://admin:hidden-1@192.0.2.1:554/x?token=hidden-2&channel=1",
    "rtsps://admin:hidden-3@192.0.2.2/out?key=hidden-4",
    max_fps=7.5,
    downscale=0.3,
    rotate=270,
    blur="pixelate",
    blur_margin=1.5,
    encoder="libx264",
    bitrate=750_000,
    transport="udp",
    stall_timeout_s=12.5,
    start_timeout_s=30,
    interval=2,
    detect_url="rtsp://viewer:hidden-5@192.0.2.1/sub?subtype=1&key=hidden-6",
)
RUNNING = StreamState.RUNNING


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> StreamRepository:
    return StreamRepository(engine, open_vault(tmp_path, None))


@pytest.mark.parametrize("spec", [PLAIN, FULL, replace(PLAIN, output=None)])
@pytest.mark.parametrize("wanted", [RUNNING, StreamState.STOPPED, StreamState.FAILED])
def test_a_stream_comes_back_as_it_was(
    store: StreamRepository, spec: StreamSpec, wanted: StreamState
) -> None:
    stored = StoredStream(spec, wanted, "why it failed")
    store.save(stored)
    assert store.load() == [stored]


def test_zones_and_lines_come_back_also_from_an_older_version(
    store: StreamRepository, engine: Engine
) -> None:
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    zone = Zone("count", corners, "hall", "#ff8800", ("person", "car"), ("objects",))
    line = Line(((0.0, 0.5), (1.0, 0.5)), "door", ("in", "out"), "a_to_b", None, ("person",))
    spec = StreamSpec("cam", "file:/a.mp4", zones=(zone,), lines=(line,))
    store.save(StoredStream(spec, StreamState.RUNNING))
    assert store.load()[0].spec == spec
    with engine.begin() as connection:
        old = {"zones": [["ignore", [[0, 0], [1, 0], [1, 1]], "tree"]]}
        connection.execute(update(StreamTable).values(options=old))
    assert store.load()[0].spec.zones == (Zone("ignore", corners, "tree"),)


def test_a_second_stream_is_all_that_needs_a_secret(store: StreamRepository) -> None:
    spec = replace(PLAIN, source="rtsp://192.0.2.1", output=None, detect_url="rtsp://192.0.2.1/s")
    store.save(StoredStream(spec, RUNNING))
    assert store.load() == [StoredStream(spec, RUNNING)]


def test_saving_again_replaces(store: StreamRepository) -> None:
    store.save(StoredStream(FULL, RUNNING))
    changed = replace(PLAIN, stream_id="full", max_fps=3)
    store.save(StoredStream(changed, StreamState.STOPPED))
    assert store.load() == [StoredStream(changed, StreamState.STOPPED)]


def test_streams_come_back_oldest_first(store: StreamRepository) -> None:
    for name in ("c", "a", "b"):
        store.save(StoredStream(replace(PLAIN, stream_id=name), RUNNING))
    store.save(StoredStream(replace(PLAIN, stream_id="c"), StreamState.STOPPED))
    assert [stored.spec.stream_id for stored in store.load()] == ["c", "a", "b"]


def test_what_was_deleted_is_gone_and_may_be_deleted_again(store: StreamRepository) -> None:
    store.save(StoredStream(PLAIN, RUNNING))
    store.delete("plain")
    store.delete("plain")
    assert store.load() == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_credential_is_ever_in_the_files(
    store: StreamRepository, engine: Engine, tmp_path: Path
) -> None:
    for number in range(20):
        spec = replace(FULL, stream_id=f"s{number}")
        store.save(StoredStream(spec, RUNNING))
        store.save(StoredStream(spec, StreamState.FAILED, "The input failed: unauthorized"))
    store.delete("s3")
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for secret in (b"hidden-", b"admin"):
            assert secret not in content, f"{secret!r} is in {path.name}"
    assert (tmp_path / "watchpost.db-wal").exists(), "the log of the database was looked at"
    engine.dispose()
    assert b"hidden-" not in (tmp_path / "watchpost.db").read_bytes()
    assert b"192.0.2.1" in (tmp_path / "watchpost.db").read_bytes(), "the test looks at the rows"


def test_of_a_plain_url_too_a_row_has_the_host_only(
    store: StreamRepository, engine: Engine
) -> None:
    store.save(StoredStream(PLAIN, RUNNING, "The input failed: refused (rtsp://192.0.2.1/x)"))
    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT source, output, last_error FROM streams"))
    assert (row.source, row.output) == ("rtsp://192.0.2.1", "rtsp://192.0.2.1")
    assert "192.0.2.1" not in row.last_error


def test_a_lost_key_says_so_and_keeps_the_rest(
    store: StreamRepository, engine: Engine, tmp_path: Path
) -> None:
    local = StoredStream(StreamSpec("local", "file:/srv/yard.mp4"), RUNNING, "no such file")
    store.save(local)
    store.save(StoredStream(FULL, RUNNING, "refused (rtsp://192.0.2.1/x)"))
    old_key = (tmp_path / KEY_FILE).read_text(encoding="utf-8")
    (tmp_path / KEY_FILE).unlink()
    other = StreamRepository(engine, open_vault(tmp_path, None))
    kept, lost = other.load()
    assert kept == local
    assert (lost.wanted, lost.decryptable) == (StreamState.FAILED, False)
    assert KEY_FILE in (lost.last_error or "")
    assert "hidden" not in repr(lost)
    assert (lost.spec.source, lost.spec.output) == ("rtsp://192.0.2.1:554", "rtsps://192.0.2.2")
    assert lost.spec.max_fps == 7.5

    other.save(replace(lost, wanted=StreamState.STOPPED))  # another caller stops it in the meantime
    (tmp_path / KEY_FILE).write_text(old_key, encoding="utf-8")
    again = StreamRepository(engine, open_vault(tmp_path, None)).load()
    assert again[1].spec == FULL, "with the old key it is all there again"


def test_a_row_that_nobody_understands_does_not_hide_the_others(
    store: StreamRepository, engine: Engine
) -> None:
    store.save(StoredStream(PLAIN, RUNNING))
    store.save(StoredStream(replace(PLAIN, stream_id="odd"), RUNNING))
    with engine.begin() as connection:
        connection.execute(text("UPDATE streams SET wanted = 'dancing' WHERE stream_id = 'odd'"))
    assert "plain" in {stored.spec.stream_id for stored in store.load()}


def test_options_of_a_newer_version_are_ignored_and_missing_ones_have_defaults(
    store: StreamRepository, engine: Engine
) -> None:
    store.save(StoredStream(PLAIN, RUNNING))
    with engine.begin() as connection:
        connection.execute(text("""UPDATE streams SET options = '{"max_fps": 5, "new": 1}'"""))
    (stored,) = store.load()
    assert stored.spec == replace(PLAIN, max_fps=5)


@pytest.mark.parametrize(
    "other",
    ["RTSP://u:p@CAM.example:554/x/", "rtsp://cam.example/x", "rtsp://cam.example./x"],
)
def test_a_fingerprint_is_of_the_input_however_it_is_spelled(
    store: StreamRepository, other: str
) -> None:
    assert store.fingerprint(other) == store.fingerprint("rtsp://cam.example/x")
    assert store.fingerprint("rtsp://cam.example/y") != store.fingerprint(other)
    assert "cam" not in store.fingerprint(other)


def test_a_database_that_is_locked_or_broken_is_a_store_error_without_values(
    tmp_path: Path,
) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'w.db'}")
    store = StreamRepository(engine, open_vault(tmp_path, None))
    with sqlite3.connect(tmp_path / "w.db") as other:
        other.execute("DROP TABLE streams")
    for call in (
        lambda: store.save(StoredStream(FULL, RUNNING)),
        store.load,
        lambda: store.delete("x"),
    ):
        with pytest.raises(StoreError) as caught:
            call()
        assert "hidden" not in str(caught.value)
        assert "SELECT" not in str(caught.value)
        assert "INSERT" not in str(caught.value)
    engine.dispose()


def test_many_threads_may_save_at_once(store: StreamRepository) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        for future in [
            pool.submit(store.save, StoredStream(replace(PLAIN, stream_id=f"s{n}"), RUNNING))
            for n in range(60)
        ]:
            future.result(60)
    assert len(store.load()) == 60
