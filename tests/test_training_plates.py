"""Drawn plates: the training data of the recogniser's head must be correct."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import pytest

from app.models.plates.ctc import ALPHABET
from training.dies import DIES
from training.draw_plates import HEIGHT, MAX_WIDTH, draw, random_text


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
