"""Rules as binary sensors: which events switch one on, and which switch it off.

A sensor is on as long as any of its subjects is: if two people smoke and one stops, it stays on.
A new one is one line in ``RULE_SENSORS``.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.events import EventRow

COUNTS_PLACES = "objects"
"""The rule that counts what is in zones and crosses lines."""


@dataclass(frozen=True, slots=True)
class RuleSensor:
    """One binary sensor.

    Attributes:
        rule: the entry of a stream's analytics that it needs.
        ends: the types that switch it off; without any, it switches itself off after ``off_s``.
    """

    name: str
    rule: str
    begins: frozenset[str]
    ends: frozenset[str] = frozenset()
    off_s: int | None = None


RULE_SENSORS: dict[str, RuleSensor] = {
    "smoking": RuleSensor(
        "Smoking", "smoking", frozenset({"smoking_started"}), frozenset({"smoking_ended"})
    ),
    "bag_abandoned": RuleSensor(
        "Abandoned bag",
        "bags",
        frozenset({"bag_abandoned"}),
        frozenset({"bag_reclaimed", "bag_taken"}),
    ),
    "plate": RuleSensor("Number plate", "plates", frozenset({"plate_seen"}), off_s=30),
    "plate_match": RuleSensor("Watch-list", "plates", frozenset({"plate_match"}), off_s=30),
    "loitering": RuleSensor(
        "Loitering", COUNTS_PLACES, frozenset({"zone_loitering"}), frozenset({"zone_left"})
    ),
}


class RuleStates:
    """Which sensors of which cameras are on, from the events that were seen."""

    def __init__(self) -> None:
        self._subjects: dict[tuple[str, str], set[object]] = {}
        self._sessions: dict[str, str] = {}

    def is_on(self, camera_id: str, key: str) -> bool:
        """Whether a sensor that does not switch itself off is on."""
        return bool(self._subjects.get((camera_id, key)))

    def begin(self, camera_id: str, session_id: str | None) -> bool:
        """Take the session number of a camera's run; whether it is another one than before.

        What was going on in the run before has no end, so its subjects are forgotten.
        """
        if session_id is None:
            return False
        before = self._sessions.get(camera_id, session_id)
        if before != session_id:
            self.forget(camera_id)
        self._sessions[camera_id] = session_id
        return before != session_id

    def seen(self, event: EventRow) -> dict[str, bool]:
        """The sensors that an event switches, or confirms."""
        self.begin(event.stream_id, event.session_id)
        states: dict[str, bool] = {}
        for key, sensor in RULE_SENSORS.items():
            if event.type not in sensor.begins | sensor.ends:
                continue
            subjects = self._subjects.setdefault((event.stream_id, key), set())
            subject = _subject(event)
            if event.type in sensor.ends:
                subjects.discard(subject)
            elif sensor.ends:
                subjects.add(subject)
            states[key] = bool(subjects) or event.type in sensor.begins
        return states

    def forget(self, camera_id: str) -> None:
        """Switch the sensors of a camera that no longer runs off."""
        self._sessions.pop(camera_id, None)
        for camera, key in list(self._subjects):
            if camera == camera_id:
                del self._subjects[camera, key]


def _subject(event: EventRow) -> object:
    """What the beginning and the end of something have in common; a track may break meanwhile."""
    object_id = event.details.get("object_id")
    if object_id is not None:  # it may stay in two zones at once
        return object_id, event.details.get("zone")
    return event.bag_id or event.person_id or event.track_id
