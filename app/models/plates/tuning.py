"""Thresholds that decide which text in an image counts as a number plate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlateReaderTuning:
    """Thresholds of a ``PlateReader``, chosen on folds 1 and 2 of ``bench/plates.py``.

    Strengths are those of ``voting.Decision``: above 1 for a clear text that fits a format, far
    below 1 for other text.

    Attributes:
        clear_strength: with ``clear_share``, a text this strong is not read again; lines this
            strong are not paired with others.
        clear_share: share of the votes; see ``clear_strength``.
        plain_share: a text with this share of the votes is not read again, whether it fits a format
            or not, if it looks like a number and is not so short that it may be a part of one.
        plain_number: how much such a text has to look like a number.
        plain_length: how many characters it has at least.
        min_strength_text_only: for text outside of the detector's boxes.
        min_strength_in_plate: for text in a detected plate.
        min_detection: boxes of the detector with a lower confidence are not looked at.
        min_plate_confidence: confidence of the detector from which a plate counts even if it
            cannot be read. Lamps and tow bars stay below it; plates of other cars that are too
            small to read do not.
        min_evidence: less likely plates are dropped, unless the detector is sure; see
            ``evidence``.
        sure_evidence: if a plate is this likely, no other is searched.
        certain_confidence: the same for a box of the detector with a text that looks like a number;
            stickers on plates are often as certain, but rarely look like one.
        min_certain_number: how much the text of such a box has to look like a number.
        turned_evidence: the same, for the plate of a turned image.
        min_turned_share: with a smaller share of the votes, the text in a turned image is not read
            again; a plate that lies so has more.
        min_is_number: with less, by its looks, the text in a box of the detector is a sticker's.
        min_worth_rereading: with less, by its looks, an unclear text is not read again.
        min_lone_confidence: confidence of the detector from which an image has a plate, even if
            nothing is likely to be one.
        min_lone_evidence: in such an image, less likely texts outside of the detector's boxes are
            not reported in place of what it sees.
        min_smeared_confidence: confidence of the network for smeared plates from which a plate
            counts.
        min_smeared_beside: the same beside a plate with a text.
        min_smeared_agreement: with less, an unreadable plate of the detector is none.
        longest_side: pixels to which the longer side of an image is scaled, to search all of it
            for lines of text.
        max_boxes: boxes of the detector that are read, the most confident ones.
        max_text_only: plates that are found by their text alone.
        max_lines: lines outside of the boxes that are read, the largest ones.
        crop_margin: how much larger the stored crop of a plate is than its box.
        crop_edge_pixels: a line that ends this close to the edge of a crop may be cut off.
    """

    clear_strength: float = 4.0
    clear_share: float = 0.9
    plain_share: float = 0.99
    plain_number: float = 0.98
    plain_length: int = 5
    min_strength_text_only: float = 0.001
    min_strength_in_plate: float = 0.02
    min_detection: float = 0.1
    min_plate_confidence: float = 0.55
    min_evidence: float = 0.5
    sure_evidence: float = 0.8
    certain_confidence: float = 0.75
    min_certain_number: float = 0.9
    turned_evidence: float = 0.6
    min_turned_share: float = 0.6
    min_is_number: float = 0.3
    min_worth_rereading: float = 0.1
    min_lone_confidence: float = 0.15
    min_lone_evidence: float = 0.3
    min_smeared_confidence: float = 0.25
    min_smeared_beside: float = 0.5
    min_smeared_agreement: float = 0.05
    longest_side: int = 768
    max_boxes: int = 4
    max_text_only: int = 3
    max_lines: int = 10
    crop_margin: float = 0.25
    crop_edge_pixels: float = 1.0


DEFAULT_TUNING = PlateReaderTuning()
