"""Messages for people, in three languages; a file beside this one has the words of each."""

from __future__ import annotations

import json
from datetime import datetime
from importlib.resources import files
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from app.events import EventRow
from app.notify.base import Message

Language = Literal["en", "ko", "ru"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
MAX_LINES = 20
TEST_TITLE = "Watchpost"


class Words(NamedTuple):
    """The words of one language: of events by type, of labels, and of messages."""

    events: dict[str, str]
    labels: dict[str, str]
    more: dict[str, str]


def _load(language: Language) -> Words:
    file = files("app.notify").joinpath("texts", f"{language}.json")
    return Words(**json.loads(file.read_text(encoding="utf-8")))


WORDS: dict[Language, Words] = {language: _load(language) for language in LANGUAGES}


class Text(NamedTuple):
    """A message for people."""

    title: str
    body: str


def text_of(message: Message, language: Language, zone: ZoneInfo | None) -> Text:
    """A message in a language, with times of a time zone; None for that of the process."""
    words = WORDS[language]
    if not message.events:
        return Text(TEST_TITLE, words.more["test"])
    if len(message.events) == 1:
        event = message.events[0]
        title = f"{message.camera_name}: {_event(event, words)}"
        return Text(title, " · ".join([*_details(event, words), _time(event, zone)]))
    title = words.more["several"].format(count=len(message.events))
    lines = [
        " · ".join([_event(event, words), *_details(event, words), _time(event, zone)])
        for event in message.events[:MAX_LINES]
    ]
    if len(message.events) > MAX_LINES:
        lines.append("…")
    return Text(f"{message.camera_name}: {title}", "\n".join(lines))


def _event(event: EventRow, words: Words) -> str:
    return words.events.get(event.type, event.type)


def _details(event: EventRow, words: Words) -> list[str]:
    """What distinguishes the event: label, place, and number of a plate."""
    details = event.details
    label = details.get("label")
    found = [words.labels.get(label, label) if isinstance(label, str) else None]
    found += [details.get(name) for name in ("zone", "line", "plate_number")]
    return [one for one in found if isinstance(one, str) and one]


def _time(event: EventRow, zone: ZoneInfo | None) -> str:
    return datetime.fromtimestamp(event.ts, zone).strftime("%Y-%m-%d %H:%M:%S")
