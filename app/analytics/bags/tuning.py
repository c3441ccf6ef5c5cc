"""The thresholds of the bag rule that nobody sets for a stream, but the benchmarks may vary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BagTuning:
    """How evidence about bags is weighed. Lengths are in body heights, shares are of a box.

    Attributes:
        small_width: width in pixels of the image in which static objects are looked for.

        standing_s: a detected bag that stood still for this long was set down.
        standing_drift: how far its box may move meanwhile.
        largest, smallest: size of a bag; other static objects are none.
        smallest_unknown: size of an object that the network does not see as a bag: papers and
            cups are no luggage.
        min_owner_confidence: for such an object; in a crowd, anybody may have set it down.
        gone_s: without any evidence for this long, an item is gone.
        uncovered_s: without close-ups, an object counts once nobody covered it for this long.
        clear_gap: somebody nearer than this may hide a part of an item with their legs.
        touched_s: how long ago somebody must have touched an item to have taken it.
        same_patch: similarity from which a place still looks as it did.
        hidden_share: an item with more of it behind somebody may still be there.
        changed_share: an item of which less differs from the background is part of it, or gone.
        parts_apart: distance of the static regions of one object.
        edge_share: width of the margin in which objects may be cut off, of the image's longer side.

        arm_share: how far the arms go on both sides together, of a person's height.
        in_hand: an object nearer than this that ends this far above the feet may be held.

        held_share: how much of a bag is within its carrier's arms.
        sure_confidence: a bag seen once with this confidence is carried; else it takes two.
        carried_forget_s: carried and not seen again for this long: set down, or none.
        carrier_gone_s: a carrier who was not seen for this long is out of view.

        crop_heights: side of the close-up of an object.
        clean_crops: close-ups in a row that must show nobody.
        crop_again_s: pause before the next close-up, after one that showed somebody.
        crop_forget_s: an object that nobody asked about for this long is forgotten.
        person_confidence: from which a person in a close-up counts.
        person_height: a person smaller than this is none.
        covered_share: an object with more of it inside a person is that person.

        history_s: how long it is known where people were.
        before_s, after_s: around the moment of rest, when an owner must have been there.
        carrier_weight: how much more likely somebody seen with a bag sets one down.
        broken_s, broken_iou: a track that begins where another was, this soon after, is of the same
            person.
        speed_s: the longest time between two frames that tell the speed of a person.
        stop_speed, walk_speed: in body heights a second; slower is standing, faster is walking.
        near: people within this distance tell the height of people at a place.
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
