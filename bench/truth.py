"""What was told against what happened: precision, recall, delay, and whether the owner is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.events import RuleEvent


class Truth(NamedTuple):
    """Something that happens, in seconds of the clip.

    Attributes:
        at: when it happens.
        latest: when it should have been told.
        who: the person who does it, or whose it is; None where that does not matter.
    """

    type: str
    at: float
    latest: float
    who: str | None = None


class Told(NamedTuple):
    """An event, and when it was told, in seconds of the clip."""

    at: float
    rule_event: RuleEvent


class Verdict(NamedTuple):
    """One truth with the event that tells it, or either alone.

    Attributes:
        who: the person of the event, as the truth names them; None for somebody unknown.
    """

    truth: Truth | None
    told: Told | None
    who: str | None = None

    @property
    def in_time(self) -> bool:
        """Told, and neither too early nor too late."""
        return (
            self.truth is not None
            and self.told is not None
            and self.truth.at - 0.5 <= self.told.at <= self.truth.latest
        )

    @property
    def right_person(self) -> bool | None:
        """None where there is nobody to be right about."""
        if self.truth is None or self.told is None or self.truth.who is None:
            return None
        return self.who == self.truth.who

    def row(self, clip: str) -> list[str]:
        truth, told = self.truth, self.told
        kind = truth.type if truth else told.rule_event.type if told else ""
        happens = f"{truth.at:g} s, told by {truth.latest:g}" if truth else ""
        said = f"{told.at:.1f} s" if told else "never"
        person = {True: "right", False: "wrong", None: ""}[self.right_person]
        verdict = "right" if self.in_time else "missed" if told is None else "late"
        return [clip, kind, happens, said, person, verdict if truth else "false alarm"]


HEAD = ["clip", "event", "happens at", "told at", "person", "verdict"]


def judge(truths: Sequence[Truth], told: Sequence[Told], names: Mapping[int, str]) -> list[Verdict]:
    """Pair what was told with what happened: same type, same person if there are several.

    Args:
        names: who the person ids are.
    """
    left = list(told)
    verdicts: list[Verdict] = []
    for truth in truths:
        alike = [item for item in left if item.rule_event.type == truth.type]
        theirs = [item for item in alike if _who(item, names) == truth.who]
        match = next(iter(theirs or alike), None)
        if match is not None:
            left.remove(match)
        verdicts.append(Verdict(truth, match, match and _who(match, names)))
    return verdicts + [Verdict(None, item, _who(item, names)) for item in left]


def _who(told: Told, names: Mapping[int, str]) -> str | None:
    return names.get(told.rule_event.details.get("person_id", -1))


def score(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Rows of event type, how many, precision, recall, mean delay, and right persons."""
    kinds = sorted({(v.truth or v.told.rule_event).type for v in verdicts if v.truth or v.told})  # type: ignore[union-attr]
    return [_score(kind, [v for v in verdicts if _kind(v) == kind]) for kind in kinds] + (
        [_score("all", verdicts)] if verdicts else []
    )


SCORE_HEAD = ["event", "happened", "told", "precision", "recall", "mean delay", "person right"]


def _kind(verdict: Verdict) -> str:
    return verdict.truth.type if verdict.truth else verdict.told.rule_event.type  # type: ignore[union-attr]


def _score(name: str, verdicts: Sequence[Verdict]) -> list[str]:
    happened = sum(v.truth is not None for v in verdicts)
    told = sum(v.told is not None for v in verdicts)
    right = [v for v in verdicts if v.in_time]
    delays = [v.told.at - v.truth.at for v in right if v.told and v.truth]
    persons = [v.right_person for v in verdicts if v.right_person is not None]
    return [
        name,
        str(happened),
        str(told),
        f"{len(right) / told:.2f}" if told else "–",
        f"{len(right) / happened:.2f}" if happened else "–",
        f"{sum(delays) / len(delays):.1f} s" if delays else "–",
        f"{sum(persons)} of {len(persons)}" if persons else "–",
    ]
