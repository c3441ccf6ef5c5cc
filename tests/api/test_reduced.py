"""What a stream goes without is said in numbers, in words, and as metrics."""

from __future__ import annotations

import pytest

from app.api.camera_schemas import Camera
from app.api.i18n import LANGUAGES, Language
from app.api.metrics import MetricsSnapshot
from app.api.reduced import ReducedReply
from app.types import Rate, Reduced, StreamSpec, StreamState, StreamStats, StreamStatus

EVERYTHING = Reduced(Rate(1.96, 5.0), no_crops=True, face_gap_s=0.2, frames=Rate(8.1, 15.0))


def status(reduced: Reduced | None) -> StreamStatus:
    spec = StreamSpec("cam", "rtsp://192.0.2.1/")
    return StreamStatus(spec, StreamState.RUNNING, StreamStats(reduced=reduced))


def test_it_is_said_in_words() -> None:
    only_objects = Camera.of(status(Reduced(Rate(1.96, 5.0))), "en").reduced
    assert only_objects is not None
    words = "This machine looks for objects 2 instead of 5 times a second."
    assert only_objects.message == words
    everything = Camera.of(status(EVERYTHING), "en").reduced
    assert everything is not None
    assert everything.message.startswith(words)
    assert everything.message.endswith("It shows 8 of 15 frames a second.")


def test_without_analytics_the_machine_is_named_too() -> None:
    """``It`` alone could be the camera."""
    message = Camera.of(status(Reduced(frames=Rate(8, 15))), "en").reduced
    assert message is not None
    words = "This machine cannot do everything. It shows 8 of 15 frames a second."
    assert message.message == words


def test_and_in_numbers() -> None:
    reply = ReducedReply.of(EVERYTHING, "en")
    assert reply is not None
    assert reply.model_dump(exclude={"message"}) == {
        "object_fps": 2.0,
        "crops": False,
        "face_gap_ms": 200,
        "fps": 8.1,
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_all_of_it(language: Language) -> None:
    reply = ReducedReply.of(EVERYTHING, language)
    assert reply is not None
    assert all(number in reply.message for number in ("2", "5", "200", "8", "15"))
    assert "{" not in reply.message


def test_a_rate_below_one_is_not_said_to_be_none() -> None:
    reply = ReducedReply.of(Reduced(Rate(0.4, 5.0)), "en")
    assert reply is not None
    assert "0.4 instead of 5 times" in reply.message


def test_nothing_given_up_is_null() -> None:
    assert Camera.of(status(None), "en").reduced is None


def test_each_part_has_a_series() -> None:
    streams = [(status(Reduced(frames=Rate(8, 15))), None)]
    snapshot = MetricsSnapshot(streams, None, [], 0, 0, 0, 0, 0.0, None, 0, 0, None, 0)
    (family,) = (one for one in snapshot.collect() if one.name == "watchpost_stream_reduced")
    values = {sample.labels["what"]: sample.value for sample in family.samples}
    assert values == {"objects": 0, "crops": 0, "faces": 0, "frames": 1}
