"""Texts of errors and replies, keyed by code, in English, Korean and Russian.

``locales/`` has a file for each language. The English texts of errors are in ``app/errors.py`` and
those of reasons in ``app/failure_reason.py``, because logs and the Python API need them, too; those
of the doctor are in ``app/doctor``. ``en.json`` has the rest. Placeholders of errors are the names
in their ``details``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Literal, NamedTuple, get_args

from app.errors import WatchpostError
from app.failure_reason import WORDS

Language = Literal["ko", "en", "ru"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT: Language = "en"
CONTRACTS: Mapping[str, Language] = {"/api/streams": "ko"}
"""Where the texts of a contract are in another language, by the start of the path."""


class Locale(NamedTuple):
    """The texts of one language.

    Attributes:
        errors: templates by code.
        reasons: texts by ``FailureReason``.
        replies: texts of successful calls and of sockets that end.
        phrases: what is said in English below this room, such as in the details of errors, by its
            template; empty for English.
        doctor: templates of the doctor's texts by their English ones; empty for English.
    """

    errors: dict[str, str]
    reasons: dict[str, str]
    replies: dict[str, str]
    phrases: dict[str, str]
    doctor: dict[str, str]


def _load(language: Language) -> Locale:
    file = files("app.api").joinpath("locales", f"{language}.json")
    texts = json.loads(file.read_text(encoding="utf-8"))
    if language == "en":
        texts["errors"] |= {kind.code: kind.template for kind in _kinds(WatchpostError)}
        texts["reasons"], texts["phrases"], texts["doctor"] = WORDS, {}, {}
    return Locale(**texts)


def _kinds(kind: type[WatchpostError]) -> Iterator[type[WatchpostError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


LOCALES: dict[Language, Locale] = {language: _load(language) for language in LANGUAGES}


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)  # a text, a name, a text, …
    named = (f"(?P<{part}>.+)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
    return re.compile("".join(named), re.DOTALL)


PHRASES = {
    template: _pattern(template)
    for template in sorted(LOCALES["ru"].phrases, key=len, reverse=True)
}
"""What filled templates look like; all languages but English have the same ones."""
PHRASED = ("reason", "task")
"""The details whose text is English."""


def advice(reason: str, language: Language) -> str | None:
    """What to do about a source that failed for a ``FailureReason``; None: nothing is known."""
    return LOCALES[language].replies.get(f"ADVICE_{reason.upper()}")


def reply(code: str, language: Language) -> str:
    """The text of a successful call, or of a socket that ends."""
    return LOCALES[language].replies[code]


def doctor_template(template: str, language: Language) -> str:
    """The template of one of the doctor's texts, which is in English."""
    return LOCALES[language].doctor.get(template, template)


def default_of(path: str) -> Language:
    """The language of a call that names none of ours."""
    for start, language in CONTRACTS.items():
        if path == start or path.startswith(f"{start}/"):
            return language
    return DEFAULT


def language_of(accept_language: str | None, default: Language = DEFAULT) -> Language:
    """The caller's preferred language of ours (RFC 9110, 12.5.4); the default if there is none."""
    choices: list[tuple[float, Language]] = []
    for part in (accept_language or "").split(","):
        tag, _, weight = part.replace(" ", "").lower().partition(";q=")
        primary = tag.partition("-")[0]
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        for language in LANGUAGES:
            if primary == language and quality > 0:
                choices.append((quality, language))
    return max(choices, key=lambda choice: choice[0])[1] if choices else default


def describe(error: WatchpostError, language: Language) -> str:
    """The text of an error, with its reason as text, too."""
    locale = LOCALES[language]
    template = locale.errors.get(error.code, error.template)
    details = dict(error.details)
    for name in PHRASED:
        if isinstance(text := details.get(name), str):
            details[name] = phrase_in(text, language)
    if error.words:
        words = locale.reasons.get(str(details.get("reason")))
        if words is not None:
            details["reason"] = error.fill(words, details)
    return error.fill(template, details)


def phrase_in(text: str, language: Language) -> str:
    """What is English elsewhere, such as a part of an error's text, if the language has words."""
    phrases = LOCALES[language].phrases
    for template, pattern in PHRASES.items() if phrases else ():
        if found := pattern.fullmatch(text):
            return phrases[template].format_map(found.groupdict())
    return text


def reason_in(text: str | None, language: Language) -> str | None:
    """The reason that an error's English text contains, in a language; else the whole text."""
    if text is None:
        return None
    known = [code for code, words in WORDS.items() if words in text]
    if not known:
        return phrase_in(text, language)
    return LOCALES[language].reasons[max(known, key=lambda code: len(WORDS[code]))]
