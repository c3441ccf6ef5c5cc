"""Scores of reported events against ground truth: precision, recall, delay, and right persons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.events import RuleEvent


class Truth(NamedTuple):
    """An event that happens in a clip; times are in seconds.

    Attributes:
        at: when it happens.
        latest: when it must have been reported.
        who: the person who does it, or the owner; None if that does not matter.
    """

    type: str
    at: float
    latest: float
    who: str | None = None


class Reported(NamedTuple):
    """A reported event, and its time in seconds of the clip."""

    at: float
    rule_event: RuleEvent


class Verdict(NamedTuple):
    """A truth with the event that reports it, or either alone.

    Attributes:
        who: the person of the event, named as in the truth; None if unknown.
    """

    truth: Truth | None
    event: Reported | None
    who: str | None = None

    @property
    def in_time(self) -> bool:
        """Whether it was reported, and neither too early nor too late."""
        return (
            self.truth is not None
            and self.event is not None
            and self.truth.at - 0.5 <= self.event.at <= self.truth.latest
        )

    @property
    def right_person(self) -> bool | None:
        """Whether the event names the right person; None if that does not apply."""
        if self.truth is None or self.event is None or self.truth.who is None:
            return None
        return self.who == self.truth.who

    def row(self, clip: str) -> list[str]:
        """Return the row of the table with ``HEAD``."""
        truth, event = self.truth, self.event
        kind = truth.type if truth else event.rule_event.type if event else ""
        expected = f"{truth.at:g} s, by {truth.latest:g} s" if truth else ""
        reported = f"{event.at:.1f} s" if event else "never"
        person = {True: "correct", False: "wrong", None: ""}[self.right_person]
        verdict = "correct" if self.in_time else "missed" if event is None else "late"
        return [clip, kind, expected, reported, person, verdict if truth else "false alarm"]


HEAD = ["clip", "event", "expected", "reported at", "person", "verdict"]


def judge(
    truths: Sequence[Truth], events: Sequence[Reported], names: Mapping[int, str]
) -> list[Verdict]:
    """Match events with truths: same type, and the same person if there are several.

    Args:
        names: names of people by track id.
    """
    left = list(events)
    verdicts: list[Verdict] = []
    for truth in truths:
        alike = [item for item in left if item.rule_event.type == truth.type]
        theirs = [item for item in alike if _who(item, names) == truth.who]
        match = next(iter(theirs or alike), None)
        if match is not None:
            left.remove(match)
        verdicts.append(Verdict(truth, match, match and _who(match, names)))
    return verdicts + [Verdict(None, item, _who(item, names)) for item in left]


def _who(event: Reported, names: Mapping[int, str]) -> str | None:
    return names.get(event.rule_event.details.get("person_id", -1))


def score(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Return a row of scores for each event type, and one for all; see ``SCORE_HEAD``."""
    kinds = sorted({(v.truth or v.event.rule_event).type for v in verdicts if v.truth or v.event})  # type: ignore[union-attr]
    return [_score(kind, [v for v in verdicts if _kind(v) == kind]) for kind in kinds] + (
        [_score("all", verdicts)] if verdicts else []
    )


SCORE_HEAD = [
    "event",
    "happened",
    "reported",
    "precision",
    "recall",
    "mean delay",
    "person correct",
]


def _kind(verdict: Verdict) -> str:
    return verdict.truth.type if verdict.truth else verdict.event.rule_event.type  # type: ignore[union-attr]


def _score(name: str, verdicts: Sequence[Verdict]) -> list[str]:
    happened = sum(v.truth is not None for v in verdicts)
    reported = sum(v.event is not None for v in verdicts)
    right = [v for v in verdicts if v.in_time]
    delays = [v.event.at - v.truth.at for v in right if v.event and v.truth]
    persons = [v.right_person for v in verdicts if v.right_person is not None]
    return [
        name,
        str(happened),
        str(reported),
        f"{len(right) / reported:.2f}" if reported else "–",
        f"{len(right) / happened:.2f}" if happened else "–",
        f"{sum(delays) / len(delays):.1f} s" if delays else "–",
        f"{sum(persons)} of {len(persons)}" if persons else "–",
    ]
