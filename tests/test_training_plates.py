"""The training data of the recogniser must be correct, and what is trained must be what ships."""

from __future__ import annotations

import importlib
import string
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from app.models.plates.ctc import ALPHABET
from app.models.plates.networks import RECOGNISER
from app.types import Box
from bench.plate_copies import COPIES
from training.dies import DIES
from training.draw_plates import HEIGHT, MAX_WIDTH, draw, random_text, stroke_letters
from training.draw_regions import letters_with_region
from training.letters import CAP, Letters
from training.plate_ageing import aged_strip, dark, dirty, smeared
from training.plate_lines import FOLDS, photos
from training.plate_samples import Backbone
from training.plate_stacked import with_stacked

STATES = ("nh", "va", "nc", "ca", "tx", "wa")


def test_every_letter_has_a_die_inside_its_box() -> None:
    assert set(DIES) == set(ALPHABET) == set(string.digits + string.ascii_uppercase)
    for character, dies in DIES.items():
        points = np.array([point for die in dies for line in die.lines for point in line])
        assert points.min() >= 0, character
        assert points.max() <= 1.05, character


def test_texts_contain_only_characters_of_the_recogniser() -> None:
    rng = np.random.default_rng(0)
    texts = [random_text(rng) for _ in range(300)]
    assert all(set(text) <= set(ALPHABET) and 4 <= len(text) <= 10 for text in texts)
    assert len(set(texts)) > 290


@pytest.mark.parametrize("seed", range(20))
def test_a_strip_is_a_valid_input_of_the_recogniser(seed: int) -> None:
    strip, text = draw(np.random.default_rng(seed), [])
    assert strip.dtype == np.uint8
    assert strip.shape[0] == HEIGHT
    assert 32 <= strip.shape[1] <= MAX_WIDTH
    assert text


def test_the_same_seed_draws_the_same() -> None:
    first, again = (draw(np.random.default_rng(5), [Path("/nowhere")][:0]) for _ in range(2))
    assert first.text == again.text
    assert (first.strip == again.strip).all()


def test_the_region_of_a_russian_number_is_smaller() -> None:
    rng = np.random.default_rng(1)
    heights = []

    def letters_of(text: str) -> Letters:
        return stroke_letters(rng, text)

    for _ in range(20):
        whole = letters_with_region(rng, "A123BC77", letters_of)
        columns = np.flatnonzero(whole.mask.max(axis=0) > 0.5)
        last = whole.mask[:, columns[-1] - 8 : columns[-1] + 1]
        heights.append(np.ptp(np.flatnonzero(last.max(axis=1) > 0.5)))
    assert min(heights) < 0.85 * CAP
    assert letters_with_region(rng, "PJY5472", letters_of).mask.any()


@pytest.mark.parametrize("seed", range(6))
def test_an_aged_strip_is_a_valid_input_of_the_recogniser(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (200, 400, 3)).astype(np.uint8)
    strip = aged_strip(rng, image, [[50, 80], [350, 85], [350, 145], [50, 140]])
    assert strip.dtype == np.uint8
    assert strip.shape[0] == HEIGHT
    assert 32 <= strip.shape[1] <= MAX_WIDTH


def test_stacked_letters_are_painted_beside_a_number() -> None:
    rng = np.random.default_rng(1)
    image = np.full((120, 400, 3), 230, np.uint8)
    image[40:80, 100:300:12] = 20
    quad = np.array([(95, 35), (305, 35), (305, 85), (95, 85)], np.float32)
    painted = with_stacked(rng, image, quad)
    assert painted is not None
    wider = float(np.ptp(painted.quad[:, 0]))
    assert 215 < wider < 250
    assert float(np.ptp(painted.quad[:, 1])) == 50
    shift = (painted.image.shape[1] - image.shape[1]) // 2
    middle = painted.image[:, shift + 100 : shift + 300]
    assert np.array_equal(middle[:, 12:-12], image[:, 112:288]), "the number stays as it is"
    assert (painted.image[35:85] < 60).sum() > (image[35:85] < 60).sum()


def test_beside_a_slanted_or_small_number_nothing_is_painted() -> None:
    rng, image = np.random.default_rng(1), np.full((200, 400, 3), 230, np.uint8)
    slanted = np.array([(50, 20), (250, 80), (240, 130), (40, 70)], np.float32)
    small = np.array([(50, 20), (110, 20), (110, 35), (50, 35)], np.float32)
    assert with_stacked(rng, image, slanted) is None
    assert with_stacked(rng, image, small) is None


def test_photos_are_made_worse_and_keep_their_size() -> None:
    rng = np.random.default_rng(0)
    image = np.zeros((60, 200, 3), np.uint8)
    image[:, ::20] = 255
    for other in (smeared(image, 15), dirty(rng, image, 0.3), dark(rng, image, 0.1)):
        assert other.shape == image.shape
        assert other.std() < image.std()


@pytest.mark.parametrize("name", list(COPIES))
def test_a_copy_knows_where_its_plate_is(name: str) -> None:
    image = np.full((240, 320, 3), 60, np.uint8)
    image[150:180, 100:200] = (250, 30, 30)
    copy = COPIES[name](np.random.default_rng(3), image, Box(100, 150, 200, 180))
    left, top, right, bottom = copy.box.pixels((copy.image.shape[1], copy.image.shape[0]))
    redness = np.abs(copy.image[..., 0].astype(float) - copy.image[..., 1])
    inside = redness[top:bottom, left:right].mean()
    redness[top:bottom, left:right] = 0
    assert inside > 4 * redness.mean()


def test_an_exported_tail_answers_as_it_was_trained(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    fitting, tails = (importlib.import_module(f"training.plate_{n}") for n in ("fit", "tail"))
    torch.manual_seed(0)
    tail = tails.Tail().eval()
    torch.nn.init.normal_(tail.more.weight, std=0.1)
    torch.save(tail.state_dict(), tmp_path / "tail.pt")
    fitting.export([tmp_path / "tail.pt"], RECOGNISER, tmp_path / "plate_text.xml")

    strip = np.random.default_rng(0).integers(0, 255, (HEIGHT, 192, 3)).astype(np.uint8)
    features = Backbone(RECOGNISER).features(strip).astype(np.float32)
    with torch.no_grad():
        expected = tail(torch.from_numpy(features)[None])
    network = ov.Core().compile_model(tmp_path / "plate_text.xml", "CPU")
    text, number = network(strip.transpose(2, 0, 1)[None].astype(np.float32)).values()
    assert np.allclose(text, torch.softmax(expected.scores, -1).numpy(), atol=0.01)
    assert np.allclose(number, torch.sigmoid(expected.is_number).numpy(), atol=0.01)


def test_a_fold_has_whole_states_and_no_number_is_in_two(tmp_path: Path) -> None:
    folder = tmp_path / "plate_crops_us"
    (tmp_path / "plates" / "us").mkdir(parents=True)
    folder.mkdir()
    rows = [f"{state}{n}.webp\t{state}\t{state.upper()}{n}" for state in STATES for n in range(5)]
    (folder / "labels.tsv").write_text("\n".join(rows))
    for number in range(8):
        photo = tmp_path / "plates" / "us" / f"us{number}.jpg"
        photo.write_bytes(b"")
        label = f"us{number}.jpg\t1\t2\t30\t10\tNH{number % 4}"
        photo.with_suffix(".txt").write_text(label)
    found = photos(tmp_path)
    assert len(found) == len(rows) + 8
    by_state = {(photo.path.name[:2], photo.fold) for photo in found if photo.kind == "crops"}
    assert len(by_state) == len(STATES)
    assert len({fold for _, fold in by_state}) == FOLDS
    assert len({(photo.text, photo.fold) for photo in found}) == len({p.text for p in found})
