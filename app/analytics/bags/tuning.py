"""The thresholds of the bag rule that nobody sets for a stream, but the benchmarks may vary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BagTuning:
    """How evidence about bags is weighed. Lengths are in body heights, shares are of a box.

    Attributes:
        small_width: width in pixels of the image in which static objects are detected.

        standing_s: a detected bag that stood still for this long was set down.
        standing_drift: how far its box may move meanwhile.
        largest, smallest: size of a bag; other static objects do not count.
        smallest_unknown: size of an object that the network does not detect as a bag: papers and
            cups are not luggage.
        min_owner_confidence: for such an object; in a crowd, anybody may have set it down.
        gone_s: without any evidence for this long, an item is gone.
        uncovered_s: without crops, an object counts once nobody hid it for this long.
        clear_gap: a person nearer than this may hide a part of an item with their legs.
        touched_s: who took an item must have touched it within this time.
        same_patch: similarity from which the appearance of a place is unchanged.
        hidden_share: an item with more of it behind a person may still be there.
        changed_share: an item of which less differs from the background is part of it, or gone.
        parts_apart: distance between the static regions of one object.
        edge_share: margin in which objects may be cut off, as a share of the image's longer side.

        arm_share: reach of the arms on both sides together, as a share of a person's height.
        in_hand: an object nearer than this, ending this far above the feet, may be held.

        held_share: share of a bag that must be within the arms of who carries it.
        sure_confidence: one detection with this confidence means a carried bag; else it takes two.
        carried_forget_s: a carried bag that is not detected for this long is no longer carried.
        carrier_gone_s: a carrier who is not detected for this long is out of view.

        crop_heights: side of the crop around an object.
        clean_crops: crops in a row that must show no person.
        crop_again_s: pause before the next crop, after one that showed a person.
        crop_forget_s: the check of an object that is not requested for this long is dropped.
        person_confidence: from which a person in a crop counts.
        person_height: a detection smaller than this is not a person.
        covered_share: an object with more of it inside a person is that person.

        history_s: how long positions of people are remembered.
        before_s, after_s: an owner must be there this long before or after an object comes to rest.
        carrier_weight: how much more likely a person detected with a bag sets one down.
        broken_s, broken_iou: a track that begins where another was, this soon after it, is of the
            same person.
        speed_s: longest time between two frames from which the speed of a person is measured.
        stop_speed, walk_speed: in body heights a second; slower is standing, faster is walking.
        near: people within this distance give the height of people at a place.
        heights: how many heights of people are remembered.
    """

    small_width: int = 320

    standing_s: float = 2.0
    standing_drift: float = 0.12
    largest: float = 0.75
    smallest: float = 0.06
    smallest_unknown: float = 0.18
    min_owner_confidence: float = 0.6
    gone_s: float = 1.2
    uncovered_s: float = 0.7
    clear_gap: float = 0.1
    touched_s: float = 4.0
    same_patch: float = 0.6
    hidden_share: float = 0.4
    changed_share: float = 0.2
    parts_apart: float = 0.08
    edge_share: float = 0.005

    arm_share: float = 0.25
    in_hand: float = 0.07

    held_share: float = 0.5
    sure_confidence: float = 0.45
    carried_forget_s: float = 20.0
    carrier_gone_s: float = 2.0

    crop_heights: float = 2.5
    clean_crops: int = 2
    crop_again_s: float = 1.0
    crop_forget_s: float = 3.0
    person_confidence: float = 0.3
    person_height: float = 0.5
    covered_share: float = 0.4

    history_s: float = 30.0
    before_s: float = 5.0
    after_s: float = 2.0
    carrier_weight: float = 2.0
    broken_s: float = 1.5
    broken_iou: float = 0.5
    speed_s: float = 3.0
    stop_speed: float = 0.3
    walk_speed: float = 0.6
    near: float = 0.5
    heights: int = 200


DEFAULT = BagTuning()
