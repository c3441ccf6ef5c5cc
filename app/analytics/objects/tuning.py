"""The thresholds of the rule for objects that are not settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FollowTuning:
    """Thresholds; lengths without a unit are in sizes of the object, its longer side.

    Attributes:
        margin: a border must be passed by this share of the object's height, so that an object
            that stands on it does not enter and leave with every frame.
        settle: frames in a row on the other side of a border that count without that margin, and
            that it takes to leave.
        near: distance within which a new track goes on with an object lost just now...
        near_per_s: ...and how much more for each second since, as far as...
        found_again_s: ...this.
        alike: least ratio of the sizes of both.
        same_iou: overlap with an object that was lost while it stood still.
        same_share, same_height: share of the smaller box inside the other, and ratio of heights,
            above which two boxes are of one object.
        still_iou: overlap with where it stood, below which an object has moved.
        still_s: for at most this long an object that stood still may be out of sight.
        speed_memory: weight of the old speed in the new one.
    """

    margin: float = 0.1
    settle: int = 2
    near: float = 0.25
    near_per_s: float = 0.5
    found_again_s: float = 2.0
    alike: float = 0.6
    same_iou: float = 0.4
    same_share: float = 0.8
    same_height: float = 0.6
    still_iou: float = 0.6
    still_s: float = 60.0
    speed_memory: float = 0.5


DEFAULT = FollowTuning()
