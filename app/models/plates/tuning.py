"""The thresholds by which writing in an image counts as a number plate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlateReaderTuning:
    """Thresholds of a ``PlateReader``, chosen on the dev photos of ``bench/plates.py``.

    Strengths are those of ``voting.Decision``: above 1 for a clear text that fits a format, far
    below it for other writing.

    Attributes:
        clear_strength: a text this strong and with ``clear_share`` is not read again; lines this
            strong are not paired with others.
        clear_share: see there.
        min_strength_text_only: for writing in an image where the detector saw no plate.
        min_strength_beside_plate: for writing outside the plates that the detector saw: date
            stamps, shop signs and slogans.
        min_strength_in_plate: for writing in a plate that the detector saw.
        min_strength_to_stop: where a plate reads this well, no larger canvas is searched.
        min_plate_confidence: of the detector. What it saw with less counts only if it reads like
            a plate. Lamps and tow bars stay below; plates of other cars, too small to be read,
            do not.
        reread_share: a line outside the plates is read again from this share of the strength that
            it needs.
        min_line_pixels: lower lines, as measured on the canvas, are searched for again in a close
            crop.
        small_print_height: lines lower than this share of a plate's highest line are hardly its
            number.
        small_print_weight: how much the strength of such lines counts.
        crop_margin: the kept crop of a plate is this much larger than its box.
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
