"""Plate reading: votes, formats, uploads, and the shipped networks on drawn plates."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
import pytest
from PIL import Image as Pillow
from support.plates import photo, plate

from app import plate_text
from app.errors import BadUpload, NotAnImage, UploadTooLarge
from app.models.objects import ObjectDetector
from app.models.plates import ctc, formats
from app.models.plates.networks import load_plates
from app.models.plates.photo import pixels, to_jpeg
from app.models.plates.reader import CropRead, PlateReader
from app.models.plates.text_lines import decode, ordered
from app.models.plates.turned import turned
from app.models.plates.voting import confidence, decide, two_line_votes
from app.types import Box, Detection


def columns(*steps: dict[str, float]) -> np.ndarray:
    """Probabilities by character; ``_`` is the blank and gets the remainder."""
    table = np.zeros((len(steps), 37), np.float32)
    for row, step in enumerate(steps):
        for character, share in step.items():
            table[row, 0 if character == "_" else 1 + ctc.ALPHABET.index(character)] = share
        table[row, 0] += 1 - table[row].sum()
    return table


# ── CTC decoding ─────────────────────────────────────────────────────────────────────────────


def test_repeated_characters_collapse_unless_a_blank_separates_them() -> None:
    table = columns({"A": 1}, {"A": 1}, {"_": 1}, {"A": 1}, {"B": 1})
    text, confidence = max(ctc.beam_search(table).items(), key=lambda item: item[1])
    assert text == "AAB"
    assert confidence == pytest.approx(1)


def test_paths_to_the_same_text_add_up() -> None:
    table = columns({"A": 0.6}, {"A": 0.5})
    texts = ctc.beam_search(table)
    assert texts["A"] == pytest.approx(0.6 * 0.5 + 0.6 * 0.5 + 0.4 * 0.5)
    assert texts[""] == pytest.approx(0.4 * 0.5)


@pytest.mark.parametrize("wrong", [np.full((4, 37), np.nan), np.zeros((4, 5)), np.zeros(37)])
def test_invalid_probabilities_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        ctc.beam_search(wrong.astype(np.float32))


# ── formats ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("A123BC77", "A123BC77"),
        ("4FCW533", "4FCW533"),
        ("PJY5472", "PJY5472"),
        ("CEMENT", "CEMENT"),  # a vanity plate stays
        ("1268205", "1268205"),  # so does a clear reading that fits no format
    ],
)
def test_formats_correct_only_identical_shapes(read: str, meant: str) -> None:
    assert decide({read: 0.98}).text == meant


def test_a_format_decides_between_uncertain_look_alikes() -> None:
    doubt = {"PJYS472": 0.55, "PJY5472": 0.45}
    assert decide(doubt, ("BR",)).text == "PJY5472"
    assert decide({"PJYS472": 0.99}, ("BR",)).text == "PJYS472"  # no doubt, no change


def test_an_o_among_digits_is_a_nought() -> None:
    assert decide({"RK3OOAG": 0.98}, ("SK",)).text == "RK300AG"


def test_clear_readings_are_more_confident_than_split_votes() -> None:
    clear = decide({"PJY5472": 0.99})
    torn = decide({"PJY5472": 0.5, "PJY5412": 0.4, "PJV5472": 0.1})
    assert confidence(clear) > confidence(torn)
    assert {text for text, _ in torn.ranked[:2]} == {"PJY5472", "PJY5412"}


def test_words_are_weak_and_plates_are_strong() -> None:
    assert decide({"TOYOTA": 1.0}).strength < 0.2 < decide({"A123BC77": 1.0}).strength
    assert decide({}).text == ""


def test_countries_can_be_chosen() -> None:
    assert "RU" in formats.countries_of("A123BC77")
    assert formats.countries_of("A123BC77", ("KZ",)) == ()
    assert all(fit.country == "BR" for fit in formats.fits("PJY5472", ("BR",)))


def test_every_format_has_a_known_length() -> None:
    assert set(formats.FORMATS) <= set(formats.LENGTHS)
    countries = {form.country for forms in formats.FORMATS.values() for form in forms}
    assert countries >= {"RU", "KZ", "BY", "UA", "DE", "FR", "IT", "ES", "GB", "US", "BR", "KR"}


def test_two_lines_are_joined() -> None:
    assert two_line_votes({"AB": 0.9, "": 0.1}, {"1234": 1.0}) == {"AB1234": 0.9}


@pytest.mark.parametrize(
    ("typed", "stored", "key"),
    [
        ("  GÖ-AB  123 ", "GÖ-AB 123", "GOAB123"),
        ("GO\u0308-AB 123", "GÖ-AB 123", "GOAB123"),
        ("12가3456", "12가3456", "12가3456"),
        ("京A12345", "京A12345", "京A12345"),
        ("京Ａ·１２３４５", "京A·12345", "京A12345"),
        ("А123ВС77", "А123ВС77", "A123BC77"),
        ("а123вс 77", "а123вс 77", "A123BC77"),
        ("ΙΚΥ-1234", "ΙΚΥ-1234", "IKY1234"),
        ("١٢٣ ا ب", "١٢٣ ا ب", "123اب"),
        ("ab-12 cd", "ab-12 cd", "AB12CD"),
    ],
)
def test_a_number_is_kept_as_typed_beside_a_key(typed: str, stored: str, key: str) -> None:
    assert plate_text.written(typed) == stored
    assert plate_text.folded(typed) == plate_text.folded(stored) == key
    assert plate_text.is_writable(stored)


def test_a_shape_is_also_equal_for_what_cameras_confuse() -> None:
    assert plate_text.shape("OQI-А") == plate_text.shape("001A") == "001A"
    assert plate_text.folded("O0") == "O0"


@pytest.mark.parametrize("text", ["<A1>", "A1;", "A\t1\n😀", "A=1"])
def test_what_no_plate_has_is_known(text: str) -> None:
    assert not plate_text.is_writable(text)


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [
        ("AB12", "AB13", True),
        ("AB12", "AB1", True),
        ("AB12", "XAB12", True),
        ("AB12", "AB12", False),
        ("AB12", "BA12", False),
        ("AB12", "AB", False),
        ("", "A", True),
    ],
)
def test_one_edit(a: str, b: str, apart: bool) -> None:
    assert plate_text.one_edit_apart(a, b) is apart
    assert plate_text.one_edit_apart(b, a) is apart


# ── lines ────────────────────────────────────────────────────────────────────────────────────


def test_a_core_grows_to_its_line() -> None:
    heat = np.zeros((100, 200), np.float32)
    heat[40:50, 30:150] = 0.9
    (line,) = decode(heat, 0.3, 0.5)
    assert line.width > 120
    assert 15 < line.height < 40
    assert line.centre == pytest.approx([90, 45], abs=2)


def test_corners_begin_at_the_top_left() -> None:
    corners = [[100, 60], [10, 50], [100, 10], [10, 5]]
    assert ordered(corners).tolist() == [[10, 5], [100, 10], [100, 60], [10, 50]]


# ── uploads ──────────────────────────────────────────────────────────────────────────────────


def encoded(image: Pillow.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_four_image_formats_are_read(kind: str) -> None:
    assert pixels(encoded(Pillow.new("RGB", (64, 32), "red"), kind), 10_000).shape == (32, 64, 3)


def test_exif_orientation_is_applied() -> None:
    image = Pillow.new("RGB", (64, 32))
    exif = image.getexif()
    exif[0x0112] = 6
    assert pixels(encoded(image, "JPEG", exif=exif), 10_000).shape == (64, 32, 3)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", BadUpload),
        (b"hello, this is no picture", NotAnImage),
        (encoded(Pillow.new("RGB", (64, 64)), "GIF"), NotAnImage),
        (encoded(Pillow.new("RGB", (64, 64)), "TIFF"), NotAnImage),
        (encoded(Pillow.new("RGB", (200, 64)), "PNG"), UploadTooLarge),
        (encoded(Pillow.effect_noise((90, 90), 50), "JPEG")[:-900], BadUpload),
        (encoded(Pillow.new("RGB", (4, 64)), "PNG"), BadUpload),
    ],
    ids=["empty", "text", "gif", "tiff", "pixels", "cut off", "tiny"],
)
def test_unusable_uploads_are_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(BadUpload) as caught:
        pixels(data, 10_000)
    assert type(caught.value) is error


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "I;16", "CMYK"])
def test_every_kind_of_colour_becomes_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert pixels(encoded(Pillow.new(mode, (40, 30)), kind), 10_000).shape == (30, 40, 3)


# ── the shipped networks ─────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def reader() -> Iterator[PlateReader]:
    networks = load_plates()
    yield networks.reader(None)
    networks.close()


def test_drawn_plates_are_found_and_read(reader: PlateReader) -> None:
    found = reader.read(photo(plate("PJY5472"), plate("RK884AL")))
    assert {each.read.text for each in found} == {"PJY5472", "RK884AL"}
    for each in found:
        assert each.read.confidence > 0.8
        assert each.read.box.width > 200
        assert each.crop.shape[1] >= each.read.box.width


class WhiteAreaDetector:
    """A plate detector that takes the bounding box of what is white for a plate, if it is wide."""

    labels = ("plate",)

    def for_labels(self, _: object) -> WhiteAreaDetector:
        return self

    def with_threshold(self, *_: object) -> WhiteAreaDetector:
        return self

    def submit(self, image: np.ndarray) -> WhiteArea:
        ys, xs = np.nonzero(image.min(axis=2) > 200)
        if not len(xs) or np.ptp(xs) <= np.ptp(ys):
            return WhiteArea([])
        box = Box(float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))
        return WhiteArea([Detection("plate", 0.9, box)])


class WhiteArea(NamedTuple):
    """What the detector found in one image."""

    found: list[Detection]

    def detections(self, *_: object) -> list[Detection]:
        return self.found


@pytest.fixture(scope="module")
def detecting() -> Iterator[PlateReader]:
    networks = load_plates()
    yield networks.reader(cast(ObjectDetector, WhiteAreaDetector()))
    networks.close()


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_photo_is_read_however_it_lies(detecting: PlateReader, quarters: int) -> None:
    image = turned(photo(plate("PJY5472")), quarters)
    (found,) = detecting.read(image)
    assert found.read.text == "PJY5472"
    ys, xs = np.nonzero(image.min(axis=2) > 200)
    box = found.read.box
    assert (box.x1, box.y1) == pytest.approx((xs.min(), ys.min()), abs=2)
    assert (box.x2, box.y2) == pytest.approx((xs.max(), ys.max()), abs=2)
    assert found.crop.shape[1] > 2 * found.crop.shape[0], "the crop is upright"


def test_a_plate_that_cannot_be_read_has_no_number_but_a_crop(detecting: PlateReader) -> None:
    image = photo(np.full((70, 300, 3), 245, np.uint8))
    (found,) = detecting.read(image)
    assert (found.read.text, found.read.confidence) == ("", 0.0)
    assert found.crop.shape[1] > 300


def test_a_slogan_beside_a_plate_is_not_read(detecting: PlateReader) -> None:
    image = photo(plate("PJY5472"))
    sign = 255 - plate("TOYOTA")[6:-6, 6:-6]
    image[400 : 400 + sign.shape[0], 500 : 500 + sign.shape[1]] = sign // 2
    assert [found.read.text for found in detecting.read(image)] == ["PJY5472"]


def test_a_turned_plate_is_straightened(reader: PlateReader) -> None:
    (found,) = reader.read(photo(plate("PJY5472"), turn=12))
    assert found.read.text == "PJY5472"


def test_a_scene_without_text_has_no_plate(reader: PlateReader) -> None:
    assert reader.read(photo()) == []


def test_words_are_not_plates(reader: PlateReader) -> None:
    assert reader.read(photo(plate("TOYOTA"))) == []


def test_crops_of_a_stream_are_read_and_combined(reader: PlateReader) -> None:
    whole = np.pad(plate("PJY5472"), ((20, 20), (20, 20), (0, 0)), mode="edge")
    for again in (False, True):
        votes, width, where = reader.read_crop(whole, again=again)
        assert reader.combine([(votes, 1.0)]).text == "PJY5472"
        assert 0.5 * whole.shape[1] < width < whole.shape[1]
        assert where.width == pytest.approx(width, rel=0.1)
        assert abs(where.x1 + where.x2 - whole.shape[1]) < 0.1 * whole.shape[1], "in the middle"
    assert reader.read_crop(np.full((60, 200, 3), 120, np.uint8)) == CropRead({})


def test_a_plate_cut_off_by_its_crop_is_not_read(reader: PlateReader) -> None:
    whole = np.pad(plate("PJY5472"), ((20, 20), (20, 20), (0, 0)), mode="edge")
    for cut in (whole[:, whole.shape[1] // 3 :], whole[:, : -whole.shape[1] // 3]):
        assert reader.read_crop(cut) == CropRead({})


def test_jpeg_and_back(reader: PlateReader) -> None:
    assert pixels(to_jpeg(photo()), 10**7).shape == (540, 960, 3)
