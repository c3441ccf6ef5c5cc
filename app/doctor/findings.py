"""A finding: one thing that was checked, how it is, and what to do about it.

Its texts are English and know their templates, so that the page can show them in the caller's
language.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Self


class Phrase(str):
    """An English text that can be translated.

    Attributes:
        template: the text with placeholders, as ``str.format`` has them.
        values: what fills them; those that are texts are translated, too.
    """

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, **values: object) -> Self:
        """Fill the template."""
        text = super().__new__(cls, template.format(**values))
        text.template, text.values = template, values
        return text

    def translated(self, template_of: Callable[[str], str]) -> str:
        """The text in another language, of which ``template_of`` has the templates."""
        values = {
            name: value.translated(template_of) if isinstance(value, Phrase) else value
            for name, value in self.values.items()
        }
        return template_of(self.template).format(**values)


def verbatim(text: str) -> Phrase:
    """What is the same in all languages."""
    return Phrase("{text}", text=text)


NOTHING = Phrase("")


class Status(StrEnum):
    """How a finding is: ``warning`` costs something, with ``problem`` the server cannot work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One thing that was checked.

    Attributes:
        name: what was checked, such as ``disk``; the same in all languages.
        text: how it is, for people.
        advice: what to do; empty if there is nothing to do.
    """

    name: str
    status: Status
    text: Phrase
    advice: Phrase = NOTHING


def ok(name: str, text: Phrase, advice: Phrase = NOTHING) -> Finding:
    """Everything is well; the advice may still make it better."""
    return Finding(name, Status.OK, text, advice)


def warning(name: str, text: Phrase, advice: Phrase) -> Finding:
    """The server works, but with less than it could have."""
    return Finding(name, Status.WARNING, text, advice)


def problem(name: str, text: Phrase, advice: Phrase) -> Finding:
    """The server cannot work like this."""
    return Finding(name, Status.PROBLEM, text, advice)
