"""Thresholds that decide which text in an image counts as a number plate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlateReaderTuning:
    """Thresholds of a ``PlateReader``, chosen on the dev photos of ``bench/plates.py``.

    Strengths are those of ``voting.Decision``: above 1 for a clear text that fits a format, far
    below 1 for other text.

    Attributes:
        clear_strength: with ``clear_share``, a text this strong is not read again; lines this
            strong are not paired with others.
        clear_share: share of the votes; see ``clear_strength``.
        min_strength_text_only: for text in an image in which the detector found no plate.
        min_strength_beside_plate: for text outside the detected plates: date stamps, shop signs
            and slogans.
        min_strength_in_plate: for text in a detected plate.
        min_strength_to_stop: if a plate is read this well, no larger canvas is searched.
        min_plate_confidence: confidence of the detector. Less certain plates count only if they
            read like one. Lamps and tow bars stay below it; plates of other cars that are too
            small to read do not.
        reread_share: a line outside the plates is read again from this share of the strength
            that it needs.
        min_line_pixels: smaller lines, as measured on the canvas, are searched again in an
            enlarged crop.
        small_print_height: lines smaller than this share of a plate's tallest line are unlikely
            to be its number.
        small_print_weight: factor for the strength of such lines.
        crop_margin: how much larger the stored crop of a plate is than its box.
        crop_edge_pixels: a line that ends this close to the edge of a crop may be cut off.
    """

    clear_strength: float = 4.0
    clear_share: float = 0.9
    min_strength_text_only: float = 0.3
    min_strength_beside_plate: float = 4.0
    min_strength_in_plate: float = 0.02
    min_strength_to_stop: float = 1.0
    min_plate_confidence: float = 0.55
    reread_share: float = 0.05
    min_line_pixels: float = 16.0
    small_print_height: float = 0.55
    small_print_weight: float = 0.05
    crop_margin: float = 0.25
    crop_edge_pixels: float = 1.0


DEFAULT_TUNING = PlateReaderTuning()
