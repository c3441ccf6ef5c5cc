"""What counts as a plate, what comes first, and images that are not upright."""

from __future__ import annotations

from typing import cast
from unittest import mock

import numpy as np
import pytest

from app.models.plates.candidates import with_joined, with_pieces
from app.models.plates.evidence import FoundPlate, evidence, is_sure, ranked
from app.models.plates.light import brightened
from app.models.plates.line_candidates import LineCandidate, LineCandidates
from app.models.plates.reader import PlateReader
from app.models.plates.recogniser import StripRead
from app.models.plates.smeared_search import SmearedSearch, SqueezedCopy, agreement, squeezed
from app.models.plates.text_lines import TextLine
from app.models.plates.tuning import DEFAULT_TUNING
from app.models.plates.turned import turned, turned_back
from app.models.plates.voting import Decision, LineVotes, PlateLineReader, confidence, decide
from app.types import Box

SIZE = 1000, 700
HERE = Box(400, 500, 550, 550)
NOTHING = np.eye(1, 37, dtype=np.float32)
"""The recogniser's answer for a strip without text: one blank column."""


def found(text: str, detected: float, is_number: float = 0.999, box: Box = HERE) -> FoundPlate:
    """A plate that reads like this without doubt; unreadable without a text."""
    if not text:
        return FoundPlate(box, detected, None)
    quad = np.array([(box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2)])
    line = TextLine(quad.astype(np.float32), 0.9)
    candidate = LineCandidate((line,), LineVotes({text: 0.97}, is_number), decide({text: 0.97}))
    return FoundPlate(box, detected, candidate)


def unclear(detected: float, is_number: float, box: Box) -> FoundPlate:
    """A plate on whose text the votes do not agree."""
    votes = LineVotes({"5CJP3S": 0.4, "5CJP35": 0.3, "SCJP3B": 0.3}, is_number)
    line = line_at(box.x1, box.y1, box.width, box.height)
    return FoundPlate(box, detected, LineCandidate((line,), votes, decide(votes.votes)))


def line_at(x: float, y: float, width: float, height: float = 30) -> TextLine:
    quad = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], np.float32)
    return TextLine(quad, 0.9)


def texts(plates: list[FoundPlate]) -> list[str]:
    return [plate.number.decision.text if plate.number else "" for plate in plates]


def test_a_plate_comes_before_a_sign_that_reads_like_one() -> None:
    sign = found("4FCW533", 0.0, box=Box(100, 50, 400, 150))
    assert texts(ranked([sign, found("8KHB271", 0.9)], SIZE, DEFAULT_TUNING))[0] == "8KHB271"


def test_a_slogan_is_no_plate() -> None:
    slogan = found("PRIVATE", 0.0, is_number=0.02)
    assert ranked([slogan], SIZE, DEFAULT_TUNING) == []


def test_what_looks_like_a_number_is_one_also_where_the_detector_is_blind() -> None:
    assert texts(ranked([found("8KHB271", 0.0)], SIZE, DEFAULT_TUNING)) == ["8KHB271"]


def test_two_cars_have_two_plates() -> None:
    other = found("4FCW533", 0.8, box=Box(100, 450, 220, 490))
    assert len(ranked([found("8KHB271", 0.9), other], SIZE, DEFAULT_TUNING)) == 2


def test_a_plate_that_cannot_be_read_is_a_plate() -> None:
    assert texts(ranked([found("", 0.8)], SIZE, DEFAULT_TUNING)) == [""]


def test_a_doubtful_box_counts_only_where_there_is_nothing_else() -> None:
    doubtful = found("", 0.3, box=Box(100, 450, 220, 490))
    assert texts(ranked([doubtful], SIZE, DEFAULT_TUNING)) == [""]
    assert texts(ranked([doubtful, found("8KHB271", 0.9)], SIZE, DEFAULT_TUNING)) == ["8KHB271"]
    assert ranked([found("", 0.12)], SIZE, DEFAULT_TUNING) == []


def test_evidence_grows_with_the_detectors_confidence_and_the_looks() -> None:
    unsure, sure = found("8KHB271", 0.2), found("8KHB271", 0.9)
    assert evidence(unsure, SIZE) < evidence(sure, SIZE)
    assert evidence(found("8KHB271", 0.0, is_number=0.1), SIZE) < evidence(unsure, SIZE)


def test_a_number_is_clear_by_its_votes_and_not_by_a_format() -> None:
    assert decide({"SGTE5": 0.97}).strength < 1
    assert is_sure(found("SGTE5", 0.9), SIZE, DEFAULT_TUNING.sure_evidence)
    assert not is_sure(unclear(0.9, 0.999, HERE), SIZE, DEFAULT_TUNING.sure_evidence)


def test_a_plate_that_is_read_clearly_is_not_read_upside_down() -> None:
    def strips_of_lines(strips: object) -> list[StripRead]:
        raise AssertionError("it was read again")

    recogniser = mock.Mock(read=strips_of_lines)
    reader = PlateReader(mock.Mock(), PlateLineReader(recogniser), None)
    clear = found("DL9E1U", 0.77, is_number=0.9, box=Box(513, 384, 577, 416))
    assert evidence(clear, SIZE) < DEFAULT_TUNING.sure_evidence
    image = np.zeros((700, 1000, 3), np.uint8)
    assert reader._upside_down(image, [clear]) == []
    torn = LineVotes({"NT3670": 0.5, "NI3670": 0.4}, 0.98)
    number = LineCandidate((line_at(513, 384, 64),), torn, decide(torn.votes))
    with pytest.raises(AssertionError, match="read again"):
        reader._upside_down(image, [clear._replace(number=number)])


def test_beside_a_clear_plate_only_what_may_be_reported_is_read_again() -> None:
    read = mock.Mock(side_effect=lambda strips: [StripRead(NOTHING, 0.9) for _ in strips])
    reader = PlateReader(mock.Mock(), PlateLineReader(mock.Mock(read=read)), None)
    image = np.zeros((700, 1000, 3), np.uint8)
    clear = found("8KHB271", 0.9)
    doubtful, second = (
        unclear(detected, is_number, Box(100, 450, 220, 490))
        for detected, is_number in ((0.15, 0.5), (0.8, 0.99))
    )
    assert evidence(doubtful, SIZE) < DEFAULT_TUNING.min_evidence < evidence(second, SIZE)

    assert reader._reread(image, [doubtful, clear]) == [doubtful, clear]
    assert not read.called
    again, _ = reader._reread(image, [second, clear])
    assert again.number is not None
    assert again.number.own.views == 4
    (alone,) = reader._reread(image, [doubtful])
    assert alone.number is not None
    assert alone.number.own.views == 4

    read.reset_mock()
    assert reader._reread(image, [second], min_share=0.5) == [second]
    sign = doubtful._replace(confidence=0.0)
    assert reader._reread(image, [sign]) == [sign]
    assert not read.called


def test_a_number_of_which_all_votes_are_sure_needs_no_format() -> None:
    read = mock.Mock(side_effect=lambda strips: [StripRead(NOTHING, 0.9) for _ in strips])
    lines = LineCandidates(PlateLineReader(mock.Mock(read=read)), DEFAULT_TUNING)
    image = np.zeros((700, 1000, 3), np.uint8)
    for text, is_number, is_read_again in (
        ("SGTE5", 0.999, False),
        ("SGTE5", 0.9, True),
        ("6033", 0.999, True),
    ):
        number = found(text, 0.9, is_number).number
        assert number is not None
        assert number.strength < DEFAULT_TUNING.clear_strength
        read.reset_mock()
        assert (lines.reread_if_unclear(image, number) != number) == is_read_again
        assert read.called == is_read_again


def test_a_line_turned_over_twice_is_the_same() -> None:
    line = line_at(10, 100, 60)
    assert line.upside_down.quad[0].tolist() == [70, 130]
    assert line.upside_down.upside_down.quad.tolist() == line.quad.tolist()


def test_an_unreadable_number_has_no_confidence() -> None:
    assert confidence(decide({"8KHB271": 0.6, "8KHB277": 0.4})) < confidence(decide({"8KHB271": 1}))
    assert confidence(Decision("", 0.0, 0.0, ())) == 0


def test_a_number_that_a_gap_divides_is_joined() -> None:
    left, right = line_at(10, 100, 60), line_at(90, 100, 80)
    far, above = line_at(500, 100, 60), line_at(12, 40, 60)
    lines = [left, right, far, above]
    (joined,) = with_joined(lines)[len(lines) :]
    assert joined.quad[:, 0].min() == pytest.approx(10, abs=1)
    assert joined.quad[:, 0].max() == pytest.approx(170, abs=1)


def test_a_sticker_on_a_plate_is_no_second_plate() -> None:
    plate = found("8KHB271", 0.3, box=Box(400, 500, 700, 650))
    sticker = found("AUG98", 0.9, is_number=0.5, box=Box(405, 605, 450, 645))
    beside = sticker._replace(box=Box(705, 605, 750, 645))
    assert texts(ranked([sticker, plate], SIZE, DEFAULT_TUNING)) == ["8KHB271"]
    assert texts(ranked([beside, plate], SIZE, DEFAULT_TUNING)) == ["8KHB271", "AUG98"]


def test_where_nothing_is_likely_the_likeliest_is_told_and_not_what_the_detector_sees() -> None:
    head = found("MICHIGAN", 0.26, is_number=0.25, box=Box(350, 10, 900, 100))
    number = found("AQE66", 0.0, is_number=0.84, box=Box(170, 126, 990, 450))
    sign = found("AQE66", 0.0, is_number=0.5, box=Box(170, 126, 390, 200))
    assert max(evidence(one, SIZE) for one in (head, number)) < DEFAULT_TUNING.min_evidence
    assert texts(ranked([head, number], SIZE, DEFAULT_TUNING)) == ["AQE66"]
    assert texts(ranked([found("", 0.2), sign], SIZE, DEFAULT_TUNING)) == [""]
    assert ranked([number], SIZE, DEFAULT_TUNING) == []


def test_a_single_character_belongs_to_the_number_beside_it() -> None:
    number, digit = line_at(60, 100, 150), line_at(10, 102, 20)
    far, sticker = line_at(400, 100, 20), line_at(10, 20, 20)
    kept = with_pieces([number, digit, far, sticker])
    assert kept[0] is number
    (joined,) = kept[1:]
    assert joined.quad[:, 0].min() == pytest.approx(10, abs=1)
    assert joined.quad[:, 0].max() == pytest.approx(210, abs=1)


def test_a_dark_photo_is_brightened_and_others_stay() -> None:
    rng = np.random.default_rng(0)
    bright = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert brightened(bright) is bright
    night = bright // 8
    assert brightened(night).max() > 240


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_box_of_a_turned_image_is_found_in_the_original(quarters: int) -> None:
    image = np.zeros((70, 100, 3), np.uint8)
    image[20:30, 10:40] = 255
    other = turned(image, quarters)
    ys, xs = np.nonzero(other[..., 0])
    box = Box(float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
    assert turned_back(box, quarters, (100, 70)) == Box(10, 20, 40, 30)


LAMP = Box(100, 400, 160, 430)


class Seen:
    """A search for smeared plates that finds these boxes in its first, second, … image."""

    def __init__(self, *boxes: list[tuple[Box, float]]) -> None:
        self._boxes = iter(boxes)

    def boxes(self, image: object) -> list[tuple[Box, float]]:
        return next(self._boxes)


def with_smeared(seen: Seen, *plates: FoundPlate) -> list[FoundPlate]:
    """What is reported of plates in an image in which nothing is read clearly."""
    lines = mock.Mock(lines_of_each=lambda crops, *_: [[] for _ in crops])
    reader = PlateReader(lines, mock.Mock(), None, cast(SmearedSearch, seen))
    assert reader._smeared is not None
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    return ranked(reader._smeared.added_to(image, plates), SIZE, DEFAULT_TUNING)


def test_the_network_for_smeared_plates_decides_what_cannot_be_read() -> None:
    lamp = found("", 0.6, box=LAMP)
    (smeared,) = with_smeared(Seen([(HERE, 0.3)]), lamp)
    assert (smeared.box, smeared.number, smeared.is_smeared) == (HERE, None, True)
    nothing: list[tuple[Box, float]] = []
    assert with_smeared(Seen(nothing, nothing, nothing), lamp) == []
    assert with_smeared(Seen([(LAMP, 0.1)]), lamp) == [lamp]
    assert len(with_smeared(Seen([(HERE, 0.9), (LAMP, 0.1)]), lamp)) == 2
    certain = found("", 0.8, box=LAMP)
    assert with_smeared(Seen(nothing), certain) == [certain]


def test_beside_a_text_a_smeared_plate_has_to_be_clearer() -> None:
    sign = found("8KHB271", 0.0, box=LAMP)
    assert evidence(sign, SIZE) >= DEFAULT_TUNING.min_evidence
    assert texts(with_smeared(Seen([(HERE, 0.4)]), sign)) == ["8KHB271"]
    assert sorted(texts(with_smeared(Seen([(HERE, 0.6)]), sign))) == ["", "8KHB271"]


def test_a_smeared_plate_is_found_in_a_photo_on_its_side() -> None:
    lying = [(Box(300, 500, 400, 530), 0.6)]
    (plate,) = with_smeared(Seen([(HERE, 0.1)], lying))
    assert (plate.box, plate.quarters) == (turned_back(lying[0][0], 1, SIZE), 1)
    (plate,) = with_smeared(Seen([], [], lying))
    assert (plate.box, plate.quarters) == (turned_back(lying[0][0], 3, SIZE), 3)
    doubtful = [(lying[0][0], 0.4)]
    assert with_smeared(Seen([], doubtful, doubtful)) == []


def test_copies_that_show_the_same_box_agree() -> None:
    near = Box(405, 502, 548, 553)
    elsewhere = Box(100, 100, 200, 140)
    copies = [[(HERE, 0.1), (elsewhere, 0.2)], [(near, 0.3)]]
    assert agreement(HERE, copies) == pytest.approx(0.2)
    assert agreement(elsewhere, copies) == pytest.approx(0.1)


def test_a_copy_is_squeezed_across() -> None:
    copy = SqueezedCopy(400, 0.5)
    assert squeezed(np.zeros((500, 1000, 3), np.uint8), copy).shape == (200, 200, 3)
    assert squeezed(np.zeros((1000, 500, 3), np.uint8), copy).shape == (400, 100, 3)
