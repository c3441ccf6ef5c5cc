"""A finding: one thing that was checked, how it is, and what to do about it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """How a finding is: ``warning`` costs something, with ``problem`` the server cannot work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One thing that was checked.

    Attributes:
        name: what was checked, such as ``disk``.
        text: how it is, for people.
        advice: what to do; empty if there is nothing to do.
    """

    name: str
    status: Status
    text: str
    advice: str = ""


def ok(name: str, text: str, advice: str = "") -> Finding:
    """Everything is well; the advice may still make it better."""
    return Finding(name, Status.OK, text, advice)


def warning(name: str, text: str, advice: str) -> Finding:
    """The server works, but with less than it could have."""
    return Finding(name, Status.WARNING, text, advice)


def problem(name: str, text: str, advice: str) -> Finding:
    """The server cannot work like this."""
    return Finding(name, Status.PROBLEM, text, advice)
