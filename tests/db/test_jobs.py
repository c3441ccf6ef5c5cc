"""Jobs, files, logs and schedules as rows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

from app.db.engine import MIGRATIONS, open_database
from app.db.job_log import JobLogRepository
from app.db.jobs import JobRepository
from app.db.node_files import NodeFileRepository
from app.db.recordings import RecordingRepository
from app.db.schedules import ScheduleRepository
from app.db.vault import KEY_FILE, Vault
from app.errors import FileNotFound, JobNotFound, ScheduleNotFound, StoreError
from app.jobs import FileFacts, Gap, Job, JobLine, JobSpec, JobState, Part, Recording, Schedule

SECRET = b"0123456789abcdef"
URL = "rtsp://admin:hidden@192.0.2.1/live"
SHOWN = "rtsp://192.0.2.1/live"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def jobs(engine: Engine) -> JobRepository:
    return JobRepository(engine, Vault(SECRET))


@pytest.fixture
def job_log(engine: Engine) -> JobLogRepository:
    return JobLogRepository(engine, Vault(SECRET))


@pytest.fixture
def recordings(engine: Engine) -> RecordingRepository:
    return RecordingRepository(engine, Vault(SECRET))


@pytest.fixture
def schedules(engine: Engine) -> ScheduleRepository:
    return ScheduleRepository(engine, Vault(SECRET))


def job(job_id: str = "a", **values: object) -> Job:
    spec = JobSpec(sources=(URL, "cam-1"), tags=("night",), name="Yard")
    parts = [Part("open", URL, SHOWN, 3.5, 99.0), Part("stream", "cam-1", "cam-1")]
    made = Job(job_id, spec, parts=parts, name="Yard", tags=("night",))
    return replace(made, **values)  # type: ignore[arg-type]


def line(job_id: str, kind: str, step: int = 0) -> JobLine:
    return JobLine(
        kind,  # type: ignore[arg-type]
        job_id,
        f"{kind} {step}",
        JobState.RUNNING,
        step,
        5,
        20.0 * step,
        None,
        10**12,
        5,
        0.5,
        time.time(),
    )


def recording(job_id: str = "a", path: str = "a/1.mp4") -> Recording:
    facts = FileFacts(1.5, 30, "h264", 640, 360, 5 * 2**30, "f" * 64)
    return Recording(job_id, "cam-1", path, 1234.5, facts)


def test_a_job_comes_back_as_it_was(jobs: JobRepository) -> None:
    saved = job(gaps=[Gap("cam-1", 1.0, 2.5, "no data")], retries=3, bytes=2**40, flagged=True)
    jobs.save(saved)
    assert jobs.get("a") == saved
    jobs.save(replace(saved, state=JobState.FAILED, error="away", ended_ts=5.0))
    assert (jobs.get("a").state, jobs.get("a").error) == (JobState.FAILED, "away")


def test_passwords_are_encrypted(
    jobs: JobRepository, schedules: ScheduleRepository, engine: Engine
) -> None:
    jobs.save(job())
    schedules.save(Schedule("s", "0 3 * * *", JobSpec(sources=(URL,))))
    with engine.connect() as connection:
        for table in ("collect_jobs", "collect_schedules"):
            row = connection.execute(text(f"SELECT * FROM {table}")).one()
            assert "hidden" not in str(row)
    assert jobs.get("a").parts[0].source == URL
    assert schedules.all()[0].spec.sources == (URL,)


def test_with_another_key_the_job_is_there_and_its_passwords_are_not(
    jobs: JobRepository, engine: Engine
) -> None:
    jobs.save(job())
    other = JobRepository(engine, Vault(b"another-key-here"))
    lost = other.get("a").parts[0]
    assert lost.source == "rtsp://192.0.2.1"
    assert KEY_FILE in lost.label


def test_with_another_key_a_running_job_fails_instead_of_being_resumed(
    jobs: JobRepository, engine: Engine
) -> None:
    jobs.save(job(state=JobState.RUNNING))
    other = JobRepository(engine, Vault(b"another-key-here"))
    (lost,) = other.unfinished()
    assert lost.state is JobState.FAILED
    assert KEY_FILE in (lost.error or "")
    other.save(lost)
    assert other.unfinished() == []
    assert jobs.get("a").spec == job().spec, "the old key still decrypts it"


def test_what_another_key_encrypted_is_kept_for_it(
    jobs: JobRepository, schedules: ScheduleRepository, engine: Engine
) -> None:
    schedule = Schedule("s", "0 3 * * *", JobSpec(sources=(URL,)))
    jobs.save(job())
    schedules.save(schedule)
    other_vault = Vault(b"another-key-here")
    other_jobs, other_schedules = (
        JobRepository(engine, other_vault),
        ScheduleRepository(engine, other_vault),
    )
    other_jobs.save(replace(other_jobs.get("a"), state=JobState.FAILED))
    (lost,) = other_schedules.all()
    assert KEY_FILE in (lost.error or "")
    lost.skipped = 3
    other_schedules.save(lost)
    assert jobs.get("a") == job(state=JobState.FAILED, created_ts=jobs.get("a").created_ts)
    assert schedules.all() == [replace(schedule, skipped=3)]


@pytest.mark.parametrize("job_id", ["none", "", "a'; DROP TABLE collect_jobs; --"])
def test_unknown_jobs_are_not_found(
    jobs: JobRepository, recordings: RecordingRepository, job_log: JobLogRepository, job_id: str
) -> None:
    for read in (jobs.get, job_log.lines, recordings.of_job, jobs.delete):
        with pytest.raises(JobNotFound):
            read(job_id)
    with pytest.raises(JobNotFound):
        job_log.entries(job_id, limit=1, offset=0)


def test_jobs_are_found_by_what_they_are(jobs: JobRepository) -> None:
    jobs.save(job("a", created_ts=100.0))
    jobs.save(job("b", created_ts=200.0, name="100% gate", tags=("día", "x")))
    jobs.save(job("c", created_ts=300.0, state=JobState.FAILED, schedule_id="s", tags=()))

    def found(**filters: object) -> str:
        return "".join(one.job_id for one in jobs.find(**filters)[0])  # type: ignore[arg-type]

    assert found() == "cba"
    assert found(state=JobState.FAILED) == "c"
    assert found(name="yard") == "ca"
    assert found(name="0%") == "b"
    assert found(name="_") == ""
    assert found(tag="día") == "b"
    assert found(tag="nig") == ""
    assert found(tag="%") == ""
    assert found(schedule_id="s") == "c"
    assert found(since_ts=200.0) == "cb"
    assert found(until_ts=200.0) == "a"
    assert found(limit=1, offset=1) == "b"
    assert jobs.find(limit=1)[1] == 3


def test_unfinished_jobs_are_those_that_ran(jobs: JobRepository) -> None:
    jobs.save(job("a", created_ts=2.0))
    jobs.save(job("b", created_ts=1.0))
    jobs.save(job("c", state=JobState.COMPLETED))
    assert [one.job_id for one in jobs.unfinished()] == ["b", "a"]


def test_lines_and_logs_are_in_order(jobs: JobRepository, job_log: JobLogRepository) -> None:
    jobs.save(job())
    said = [line("a", "started"), line("a", "progress", 1)]
    job_log.add_line(said[0])
    job_log.add_entry("a", "warning", "between")
    job_log.add_line(said[1])
    assert job_log.lines("a") == said
    entries, total = job_log.entries("a", limit=2, offset=1)
    assert [entry.text for entry in entries] == ["between", "progress 1"]
    assert (total, entries[0].level) == (3, "warning")


def test_files_are_kept_and_marked_when_they_are_removed(
    jobs: JobRepository, recordings: RecordingRepository
) -> None:
    jobs.save(job(flagged=True))
    recordings.add(recording())
    recordings.add(recording(path="a/2.mp4"))
    first, second = recordings.of_job("a")
    assert first == replace(recording(), file_id=first.file_id, flagged=True)
    assert recordings.get("a", second.file_id).path == "a/2.mp4"
    recordings.mark_removed(first.file_id)
    assert [one.file_id for one in recordings.all()] == [second.file_id]
    assert recordings.of_job("a")[0].removed_ts is not None
    with pytest.raises(FileNotFound):
        recordings.get("a", first.file_id)


def test_a_file_belongs_to_its_job_only(
    jobs: JobRepository, recordings: RecordingRepository
) -> None:
    jobs.save(job("a"))
    jobs.save(job("b"))
    recordings.add(recording("a"))
    with pytest.raises(FileNotFound):
        recordings.get("b", recordings.of_job("a")[0].file_id)


def test_a_job_goes_with_everything_that_belongs_to_it(
    jobs: JobRepository, recordings: RecordingRepository, job_log: JobLogRepository, engine: Engine
) -> None:
    for job_id in ("a", "b"):
        jobs.save(job(job_id))
        job_log.add_entry(job_id, "info", "x")
        recordings.add(recording(job_id))
    jobs.delete("a")
    with engine.connect() as connection:
        for table in ("collect_jobs", "collect_files", "collect_logs"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 1


def test_changing_a_label_leaves_the_rest(jobs: JobRepository) -> None:
    jobs.save(job())
    jobs.change(replace(job(), name="New", tags=("x",), flagged=True, state=JobState.FAILED))
    changed = jobs.get("a")
    assert (changed.name, changed.tags, changed.flagged) == ("New", ("x",), True)
    assert changed.state is JobState.RUNNING


def test_schedules_come_back_and_go(schedules: ScheduleRepository) -> None:
    schedule = Schedule("s", "0 3 * * *", JobSpec(duration_s=5, tags=("x",)), "Asia/Seoul")
    schedules.save(schedule)
    schedule.skipped, schedule.last_job_id = 4, "a"
    schedules.save(schedule)
    assert schedules.all() == [schedule]
    schedules.delete("s")
    assert schedules.all() == []
    with pytest.raises(ScheduleNotFound):
        schedules.delete("s")


def test_a_database_that_fails_is_a_store_error_without_values(
    jobs: JobRepository,
    schedules: ScheduleRepository,
    recordings: RecordingRepository,
    engine: Engine,
) -> None:
    with engine.begin() as connection:
        for table in ("collect_files", "collect_logs", "collect_jobs", "collect_schedules"):
            connection.execute(text(f"DROP TABLE {table}"))
    for call in (lambda: jobs.save(job()), jobs.unfinished, schedules.all, recordings.all):
        with pytest.raises(StoreError) as caught:
            call()
        assert "hidden" not in str(caught.value)


# ── files on nodes of a cluster ──────────────────────────────────────────────────────────────


def test_a_file_of_a_node_has_one_row_however_often_it_is_told(
    jobs: JobRepository, recordings: RecordingRepository
) -> None:
    jobs.save(job())
    there = replace(recording(), node="north")
    assert [recordings.add_once(there) for _ in range(2)] == [True, False]
    assert recordings.add_once(replace(there, node="south"))
    assert [one.node for one in recordings.of_job("a")] == ["north", "south"]


def test_a_file_that_comes_late_counts_and_has_the_source_of_its_part(
    jobs: JobRepository, recordings: RecordingRepository
) -> None:
    jobs.save(job(state=JobState.COMPLETED, frames=10, seconds=1.0, bytes=100))
    late = replace(recording(), source="", node="north")
    for _ in range(2):
        recordings.add_late(late, 0)
    (found,) = recordings.of_job("a")
    assert (found.source, found.node) == (SHOWN, "north")
    counted = jobs.get("a")
    assert (counted.frames, counted.seconds, counted.bytes) == (40, 2.5, 100 + late.facts.bytes)


def test_what_a_removed_job_has_on_nodes_is_deleted_there(
    engine: Engine, jobs: JobRepository, recordings: RecordingRepository
) -> None:
    nodes = NodeFileRepository(engine)
    jobs.save(job(flagged=True))
    for number, node in enumerate(["north", "north", "south", None, "north"], 1):
        recordings.add(recording(path=f"a/{number}.mp4"))
        recordings.add_once(replace(recording(path=f"a/{number}.mp4"), node=node or "east"))
    assert nodes.recordings("north") == {"a/1.mp4", "a/2.mp4", "a/5.mp4"}
    assert nodes.flagged("south") == {"recordings/a/3.mp4"}
    nodes.removed("north", ["recordings/a/5.mp4"])
    gone = next(one for one in recordings.of_job("a") if one.path == "a/5.mp4" and one.node)
    assert gone.removed_ts is not None
    with pytest.raises(FileNotFound):
        recordings.get("a", gone.file_id)
    erased = next(one for one in recordings.of_job("a") if one.node == "south")
    recordings.erase(erased)
    assert list(nodes.erasures("south").values()) == ["recordings/a/3.mp4"]
    jobs.delete("a")
    assert sorted(nodes.erasures("north").values()) == ["recordings/a/1.mp4", "recordings/a/2.mp4"]
    assert list(nodes.erasures("south").values()) == ["recordings/a/3.mp4"]
    recordings.add_late(replace(recording(), node="west"), 0)  # found after the job was removed
    assert list(nodes.erasures("west").values()) == ["recordings/a/1.mp4"]


def test_older_files_are_on_this_machine(empty_database_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", empty_database_url.replace("%", "%%"))
    command.upgrade(config, "0100")
    old = create_engine(empty_database_url)
    facts = json.dumps(asdict(recording().facts))
    part = '[{"kind": "stream", "source": "cam-1", "label": "cam-1"}]'
    options = '{"sources": [], "tags": []}'
    with old.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO collect_jobs (job_id, state, tags, flagged, options, parts, gaps, "
                "frames, seconds, total_bytes, retries, created_ts) VALUES ('a', 'running', '[]', "
                ":no, :options, :part, '[]', 30, 1.5, 9, 0, 1.0)"
            ),
            {"no": False, "options": options, "part": part},
        )
        connection.execute(
            text(
                "INSERT INTO collect_files (job_id, source, path, started_ts, facts) "
                "VALUES ('a', 'cam-1', 'a/1.mp4', 1.0, :facts)"
            ),
            {"facts": facts},
        )
    old.dispose()
    engine = open_database(empty_database_url)
    (found,) = RecordingRepository(engine, Vault(SECRET)).of_job("a")
    assert (found.path, found.node) == ("a/1.mp4", None)
    (unfinished,) = JobRepository(engine, Vault(SECRET)).unfinished()
    assert [part.node for part in unfinished.parts] == [None]
    engine.dispose()
