"""Every text is there in every language, with the same placeholders."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator

import pytest
from fixtures import ROOT
from pydantic_core import PydanticKnownError

from app import errors
from app.api import errors as http
from app.api.i18n import (
    LANGUAGES,
    LOCALES,
    PHRASES,
    Language,
    default_of,
    describe,
    language_of,
    phrase_in,
    reason_in,
    reply,
)
from app.errors import WatchpostError
from app.failure_reason import WORDS as WORDS_IN_ENGLISH
from app.failure_reason import FailureReason
from app.models.detections import TASKS
from docs.generate import first_sentence


def tree(kind: type[WatchpostError] = WatchpostError) -> Iterator[type[WatchpostError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


KINDS = sorted(set(tree()), key=lambda kind: kind.code)
WORDS = {reason.value for reason in FailureReason}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_words_with_the_same_placeholders(
    kind: type[WatchpostError], language: Language
) -> None:
    text = LOCALES[language].errors[kind.code]
    assert text.strip()
    assert placeholders(text) == placeholders(kind.template)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_words_are_left_over(language: Language) -> None:
    known = {kind.code for kind in KINDS} | {"METHOD_NOT_ALLOWED"}
    assert set(LOCALES[language].errors) == known


def test_english_is_said_once() -> None:
    """English texts are in the classes of errors; the file has only the others."""
    path = ROOT / "app" / "api" / "locales" / "en.json"
    file = json.loads(path.read_text(encoding="utf-8"))
    assert set(file) == {"errors", "replies"}
    assert not set(file["errors"]) & {kind.code for kind in KINDS}


def test_codes_are_stable_words_and_no_two_errors_share_one() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code) for code in codes)


def test_the_contracts_own_example_is_word_for_word() -> None:
    error = errors.StreamNotFound(stream_id="d4633bc5")
    assert describe(error, "ko") == "스트림을 찾을 수 없습니다: d4633bc5"
    assert (error.code, error.details) == ("STREAM_NOT_FOUND", {"stream_id": "d4633bc5"})


@pytest.mark.parametrize("word", sorted(WORDS))
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_is_spelled_out_in_every_language(word: str, language: Language) -> None:
    words = LOCALES[language].reasons[word]
    assert words
    assert placeholders(words) == placeholders(WORDS_IN_ENGLISH[word])
    error = errors.SourceError(end="input", reason=word, url="rtsp://192.0.2.1/x")
    assert words in describe(error, language)
    assert error.details["reason"] == word, "programs compare the word"


def test_logs_and_jobs_say_it_in_words_too() -> None:
    error = errors.SourceError(end="input", reason="unfit_codec", url="file:x.mkv")
    said = "The input failed: its video codec cannot be stored in MP4; leave out blur: false"
    assert str(error) == f"{said} (file:x.mkv)"
    frame = errors.BadFrame(reason="message_too_large", max_bytes=16)
    assert "more than 16 bytes" in str(frame)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_reason_is_left_over(language: Language) -> None:
    assert set(LOCALES[language].reasons) == WORDS


@pytest.mark.parametrize(
    "code", sorted(set().union(*(texts.replies for texts in LOCALES.values())))
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reply_has_every_language(code: str, language: Language) -> None:
    text = reply(code, language)
    assert text.strip()
    assert placeholders(text) == placeholders(reply(code, "en"))


def test_the_replies_of_the_contract_are_word_for_word() -> None:
    assert reply("DISCONNECTED", "ko") == "연결이 완전히 종료되었습니다."
    assert reply("STREAM_FOUND", "ko") == "기존 스트림을 찾았습니다."
    assert reply("STREAM_CREATED", "ko") == "새로운 스트림이 생성되었습니다."


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_its_status(kind: type[WatchpostError]) -> None:
    expected = {
        errors.UpgradeRequired: 426,
        errors.UploadTooLarge: 413,
        errors.NotAnImage: 415,
        errors.BadRange: 416,
        errors.RequestError: 400,
        errors.Unauthorized: 401,
        errors.Forbidden: 403,
        errors.NotFound: 404,
        errors.TooManyAttempts: 429,
        errors.TooManyUploads: 429,
        errors.Conflict: 409,
        errors.SecretUnreadable: 409,
        errors.FarEndError: 502,
        errors.Unavailable: 503,
        errors.DetectorError: 503,
    }
    status = next((expected[base] for base in kind.__mro__ if base in expected), 500)
    assert http.status_of(kind()) == status


def test_every_error_says_in_a_sentence_of_its_own_when_it_occurs() -> None:
    kinds = [kind for kind in KINDS if kind.__module__ == "app.errors"]
    sentences = [first_sentence(kind) for kind in kinds]
    assert [text for text in sentences if not re.fullmatch(r"[A-Z][^\n]+\.", text)] == []
    assert len({*sentences}) == len(kinds)


def test_braces_in_details_are_only_text() -> None:
    error = errors.NotFound(path="/{0.__class__}/{path}")
    for language in LANGUAGES:
        assert "/{0.__class__}/{path}" in describe(error, language)


def test_reasons_are_found_in_texts_of_errors() -> None:
    text = str(errors.SourceError(end="input", reason=FailureReason.TIMEOUT, url="rtsp://x/y"))
    assert reason_in(text, "ko") == LOCALES["ko"].reasons["timeout"]
    assert reason_in("Something else.", "ko") == "Something else."
    assert reason_in(None, "ko") is None


@pytest.mark.parametrize("header", [None, "", "xx", "*", ",", ";q=1", "en;q=-1", "q=1", "ko;q=0"])
def test_strange_languages_are_answered_in_english_or_that_of_the_contract(
    header: str | None,
) -> None:
    assert language_of(header) == "en"
    for path in ("/api/streams", "/api/streams/x/stop"):
        assert language_of(header, default_of(path)) == "ko"
    for path in ("/", "/cameras", "/api/streamsX", "/ws/stream/x"):
        assert language_of(header, default_of(path)) == "en"


def test_a_language_without_a_weight_is_the_first_choice() -> None:
    assert language_of("ko;q=") == "ko"


# ── what is English in the details of errors ─────────────────────────────────────────────────


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_every_phrase_has_every_language(language: Language) -> None:
    phrases = LOCALES[language].phrases
    assert set(phrases) == set(PHRASES)
    for template, translation in phrases.items():
        assert placeholders(translation) == placeholders(template)


def said() -> str:
    """All texts of the server's own code and of pydantic, which words many rejections."""
    own = [file.read_text(encoding="utf-8") for file in (ROOT / "app").rglob("*.py")]
    late = [str(errors.DetectorLate(task)) for task in (*TASKS.values(), "Plate reading")]
    kinds = [
        PydanticKnownError("missing"),
        PydanticKnownError("extra_forbidden"),
        PydanticKnownError("float_type"),
        PydanticKnownError("greater_than", {"gt": 1}),
        PydanticKnownError("greater_than_equal", {"ge": 1}),
        PydanticKnownError("less_than", {"lt": 1}),
        PydanticKnownError("less_than_equal", {"le": 1}),
        PydanticKnownError("string_too_long", {"max_length": 2}),
    ]
    # Long texts stand in several pieces.
    return re.sub(r'"\s+f?"', "", "\n".join([*own, *late, *(kind.message() for kind in kinds)]))


def test_no_phrase_is_left_over() -> None:
    source = said()
    parts = {part for template in PHRASES for part in re.split(r"\{\w+\}", template)}
    assert [part for part in parts if part not in source] == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.BadUpload(reason="the image is damaged"), "изображение повреждено"),
        (errors.DetectorLate("Object detection"), "Сервер не успевает: поиск объектов."),
        (errors.Unauthorized(reason="the set-up code is wrong"), "неверный код настройки"),
        (
            errors.InvalidRequest(field="source", reason="the file does not exist: a.mp4"),
            "файла нет: a.mp4",
        ),
        (
            errors.InvalidRequest(
                field="max_fps", reason="Input should be less than or equal to 60"
            ),
            "max_fps: не больше 60",
        ),
    ],
)
def test_details_that_are_english_are_said_in_the_language(
    error: WatchpostError, text: str
) -> None:
    before = dict(error.details)
    assert text in describe(error, "ru")
    (english,) = {before.get("reason"), before.get("task")} - {None}
    assert str(english) not in describe(error, "ko")
    assert error.details == before, "programs compare them"
    assert describe(error, "en") == str(error)


def test_other_details_stay_as_they_are() -> None:
    assert phrase_in("what nobody translated", "ru") == "what nobody translated"
    assert phrase_in("the file does not exist: {path}", "ru") == "файла нет: {path}"
    assert reason_in("Plate reading is falling behind.", "ko") == "번호판 인식이 지연되고 있습니다."
