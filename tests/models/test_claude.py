"""Claude as the second reader, against a server that implements its API."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Iterator

import pytest
from support.plates import Messages, message, messages_api, plate

from app.models.plates.claude import ClaudeReader
from app.models.plates.voting import ReadPlate
from app.plates import ClaudeCall, PlateRead
from app.types import Box

KEY = "sk-ant-a-secret-that-nobody-may-see"


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Import the SDK, which takes seconds, before the first test, so that none waits for it."""
    importlib.import_module("anthropic")


class Log:
    """A call log in memory; the database has its own tests."""

    def __init__(self) -> None:
        self.calls: list[ClaudeCall] = []
        self.plates: list[tuple[str, int]] = []

    def answer(self, crop_hash: str, model: str) -> ClaudeCall | None:
        known = [c for c in self.calls if c.crop_hash == crop_hash and c.outcome == "read"]
        return known[-1] if known else None

    def begin(self, crop_hash: str, model: str, daily: int) -> int | None:
        if len(self.calls) >= daily:
            return None
        self.calls.append(ClaudeCall(crop_hash, model, "asked"))
        return len(self.calls) - 1

    def record_outcome(self, number: int, call: ClaudeCall) -> None:
        self.calls[number] = call

    def assign(self, crop_hash: str, plate_id: int) -> None:
        self.plates.append((crop_hash, plate_id))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Messages]:
    with messages_api() as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        yield running


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def claude(service: Messages, log: Log) -> Iterator[ClaudeReader]:
    reader = ClaudeReader(KEY, "claude-test", log, daily=5)
    yield reader
    reader.close()


def doubtful(text: str = "A1Z3BC", confidence: float = 0.4) -> ReadPlate:
    read = PlateRead(text, confidence, Box(0, 0, 10, 10), ("A123BC",))
    return ReadPlate(read, plate("A123BC"))


def soon(seconds: float = 8.0) -> float:
    return time.monotonic() + seconds


def test_a_better_reading_is_taken(claude: ClaudeReader, service: Messages, log: Log) -> None:
    service.says("А123ВС")  # in Cyrillic letters
    read = claude.review(doubtful(), soon()).read
    assert (read.text, read.processed_by) == ("A123BC", "claude")
    assert read.alternatives == ("A1Z3BC",)
    (call,) = log.calls
    assert (call.outcome, call.answer, call.input_tokens) == ("read", "A123BC", 321)


def test_only_the_crop_is_sent(claude: ClaudeReader, service: Messages) -> None:
    claude.review(doubtful(), soon())
    ((body, headers),) = service.asked
    kinds = [part["type"] for part in body["messages"][0]["content"]]  # type: ignore[index]
    assert kinds == ["image", "text"]
    assert "A1Z3BC" not in str(body)  # nor the networks' reading
    assert KEY in " ".join(headers.values())


def test_the_same_crop_is_sent_once(claude: ClaudeReader, service: Messages) -> None:
    first, second = claude.review(doubtful(), soon()), claude.review(doubtful(), soon())
    assert first.read == second.read
    assert len(service.asked) == 1


def test_agreement_raises_the_confidence(claude: ClaudeReader, service: Messages) -> None:
    service.says("A123BC")
    assert claude.review(doubtful("A123BC", 0.5), soon()).read.confidence == 0.9


@pytest.mark.parametrize(
    ("status", "answer", "outcome"),
    [
        (500, {"type": "error", "error": {"type": "api_error", "message": "x"}}, "status 500"),
        (429, {"type": "error", "error": {"type": "rate_limit_error"}}, "status 429"),
        (401, {"type": "error", "error": {"message": KEY}}, "status 401"),
        (200, message("", readable=False), "unreadable"),
        (200, message("!!!"), "nonsense"),
        (200, message("A" * 40), "nonsense"),
        (200, message("A123BC") | {"content": [{"type": "text", "text": "A123BC"}]}, "nonsense"),
        (200, message("A123BC") | {"stop_reason": "refusal"}, "refused"),
        (200, {"hello": "world"}, "nonsense"),
        (200, [], "nonsense"),
    ],
)  # fmt: skip
def test_after_any_failure_the_first_reading_stands(
    claude: ClaudeReader, service: Messages, log: Log, status: int, answer: object, outcome: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    service.answers = [(status, answer)]
    with caplog.at_level(logging.DEBUG):
        assert claude.review(doubtful(), soon()).read == doubtful().read
    assert log.calls[-1].outcome == outcome
    assert KEY not in caplog.text
    assert KEY not in str(log.calls)


def test_a_busy_service_is_retried_once(claude: ClaudeReader, service: Messages, log: Log) -> None:
    service.answers = [(529, {"type": "error"}), (200, message("A123BC"))]
    assert claude.review(doubtful(), soon()).read.processed_by == "claude"
    assert [call.outcome for call in log.calls] == ["status 529", "read"]


def test_a_slow_service_is_not_waited_for(
    claude: ClaudeReader, service: Messages, log: Log
) -> None:
    service.delay_s = 4
    begun = time.monotonic()
    assert claude.review(doubtful(), soon(1.5)).read == doubtful().read
    assert time.monotonic() - begun < 2.5
    assert log.calls[-1].outcome == "too late"


def test_claude_is_not_called_when_no_time_is_left(claude: ClaudeReader, service: Messages) -> None:
    assert claude.review(doubtful(), soon(0.1)).read == doubtful().read
    assert service.asked == []


def test_calls_are_limited_per_day(service: Messages, log: Log) -> None:
    reader = ClaudeReader(KEY, "claude-test", log, daily=0)
    assert reader.review(doubtful(), soon()).read == doubtful().read
    assert service.asked == []
    reader.close()


def test_an_unreachable_service_is_handled(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    reader = ClaudeReader(KEY, "claude-test", log, daily=5)
    assert reader.review(doubtful(), soon()).read == doubtful().read
    assert log.calls[-1].outcome == "unreachable"
    reader.close()
