"""Under load a face may move under its cover for a moment without being looked at again."""

from __future__ import annotations

import numpy as np
import pytest
from support.doubles import PATIENCE_S, FaceNetwork

from app.analytics.face_scanner import FaceScanner, Image, PendingFaces
from app.config import FaceSettings
from app.models.faces import FaceDetector
from app.types import Box

from .test_motion import scene, with_patch

RARELY = FaceSettings(recheck_s=1000)
GAP_S = 0.2
FACE = (400, 200, 40, 60, 0.9)
"""Its centre, size and confidence; the box is 380, 170, 420, 230."""
UNDER_THE_COVER = Box(390, 180, 410, 220)
BEYOND_THE_COVER = Box(390, 180, 470, 220)
ELSEWHERE = Box(800, 300, 840, 340)


class Stage:
    """A stream in which a face was seen at 0 s."""

    def __init__(self, network: FaceNetwork, faces: FaceDetector, confidence: float = 0.9) -> None:
        network.sees = [(*FACE[:4], confidence)]
        self.network = network
        self.scanner = FaceScanner(faces, RARELY)
        self.look(scene(), 0.0)
        self.asked = network.asked
        network.sees = []  # its places are those of the whole image

    def look(self, image: Image, at: float, gap_s: float = GAP_S) -> PendingFaces:
        pending = self.scanner.submit(image, at, gap_s=gap_s)
        self.found = pending.detections(PATIENCE_S, (image.shape[1], image.shape[0]))
        return pending

    @property
    def inferences(self) -> int:
        """Since the first."""
        return self.network.asked - self.asked


@pytest.fixture
def stage(network: FaceNetwork, faces: FaceDetector) -> Stage:
    return Stage(network, faces)


def test_what_happens_under_a_cover_needs_no_inference_for_a_moment(stage: Stage) -> None:
    pending = stage.look(with_patch(scene(), UNDER_THE_COVER, 30), 0.1)
    assert stage.inferences == 0
    assert stage.found == []  # where it is now is not known, only what covers it
    (cover,) = pending.held_covers((scene().shape[1], scene().shape[0]))
    assert np.allclose(cover, (370, 155, 430, 245), atol=1)


def test_the_moment_is_over_after_the_gap(stage: Stage) -> None:
    for at in (0.1, 0.2):
        stage.look(with_patch(scene(), UNDER_THE_COVER, round(300 * at)), at)
    assert stage.inferences == 0
    pending = stage.look(with_patch(scene(), UNDER_THE_COVER, 90), 0.3)
    assert stage.inferences == 1
    assert not pending.held


def test_a_clock_that_goes_back_does_not_make_the_moment_longer(stage: Stage) -> None:
    pending = stage.look(with_patch(scene(), UNDER_THE_COVER, 30), -0.8)
    assert stage.inferences == 1
    assert not pending.held


def test_without_a_gap_every_change_is_looked_at(stage: Stage) -> None:
    pending = stage.look(with_patch(scene(), UNDER_THE_COVER, 30), 0.1, gap_s=0.0)
    assert stage.inferences == 1
    assert not pending.held


def test_a_face_that_moves_out_from_under_its_cover_is_looked_at_at_once(stage: Stage) -> None:
    pending = stage.look(with_patch(scene(), BEYOND_THE_COVER, 30), 0.1)
    assert stage.inferences == 1
    assert not pending.held


def test_so_is_everything_that_changes_elsewhere_meanwhile(stage: Stage) -> None:
    image = with_patch(with_patch(scene(), UNDER_THE_COVER, 30), ELSEWHERE, 30)
    pending = stage.look(image, 0.1)
    assert stage.inferences == 1
    assert pending.regions is not None
    assert [face.box for face in pending.held]
    assert all(region.owns(ELSEWHERE) for region in pending.regions)


def test_a_face_that_may_not_be_covered_is_not_held(
    network: FaceNetwork, faces: FaceDetector
) -> None:
    stage = Stage(network, faces, confidence=RARELY.min_confidence - 0.02)
    pending = stage.look(with_patch(scene(), UNDER_THE_COVER, 30), 0.1)
    assert stage.inferences == 1
    assert not pending.held


def test_while_it_is_held_changes_add_up_until_they_leave_the_cover(stage: Stage) -> None:
    """Slow changes outside are compared with the last look, not with the frame before."""
    for number in range(1, 4):
        image = with_patch(scene(), UNDER_THE_COVER, 30)
        stage.look(with_patch(image, ELSEWHERE, 2 * number), 0.05 * number)
    assert stage.inferences == 1
