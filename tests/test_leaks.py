"""The labelled faces, and the counting of faces that the blur leaves visible."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import cv2
import numpy as np
import pytest
from av import VideoFrame

from app.config import FaceSettings
from app.models.detections import PendingDetections, RawDetections
from app.models.faces import FaceDetector
from app.types import Box
from bench import leak_sheets, leak_tables, leaks
from bench.copies import COPIES
from bench.face_labels import Face, LabelledImage, labelled_images
from bench.leak_tables import ENOUGH, Outcome, leaking_tracks, size_class, source_name

SIZE = (320, 240)
LEFT = Face(Box(40, 60, 80, 110), "front", 1)
RIGHT = Face(Box(200, 60, 240, 110), "side", 2)
LABELS = LabelledImage("videos/drawn.mp4", 0, SIZE, (LEFT, RIGHT))
SURE = 0.9


class Scripted(FaceDetector):
    """Answers every image with the same boxes."""

    def __init__(self, *boxes: Box, confidence: float = SURE) -> None:
        self._boxes = boxes
        self._confidence = confidence

    def submit(self, image: leaks.Image) -> PendingDetections:
        answer: Future[list[np.ndarray]] = Future()
        answer.set_result([])
        boxes = np.array([(b.x1, b.y1, b.x2, b.y2) for b in self._boxes], np.float32).reshape(-1, 4)
        sure = np.full(len(boxes), self._confidence, np.float32)
        found = RawDetections(boxes, sure, ["face"] * len(boxes))
        size = image.shape[1], image.shape[0]
        return PendingDetections("faces", answer, size, lambda _: found)


def picture() -> VideoFrame:
    return VideoFrame.from_ndarray(np.full((*SIZE[::-1], 3), 90, np.uint8), format="rgb24")


def alone(*boxes: Box, confidence: float = SURE) -> Outcome:
    detector = Scripted(*boxes, confidence=confidence)
    return leaks.alone(detector, FaceSettings(), [(LABELS, picture())])


def leaking(outcome: Outcome) -> list[bool]:
    return [sighting.leaks for sighting in outcome.sightings]


def half(face: Face) -> Box:
    """A box whose blur, with its margin, ends at the middle of the face."""
    box = face.box
    height = box.height / 2 / (1 + leaks.MARGIN)
    return Box(box.x1, box.y1, box.x2, box.y1 + height)


def test_a_face_leaks_unless_nearly_all_of_it_is_covered() -> None:
    assert leaking(alone(LEFT.box, RIGHT.box)) == [False, False]
    assert leaking(alone(LEFT.box)) == [False, True]
    assert leaking(alone(LEFT.box, half(RIGHT))) == [False, True]


def test_half_a_face_counts_as_half() -> None:
    covered = alone(half(RIGHT)).sightings[1].covered
    assert covered == pytest.approx(0.5, abs=0.07)


def test_the_margin_of_the_blur_counts() -> None:
    box = LEFT.box
    inner = Box(box.x1 + 6, box.y1 + 8, box.x2 - 6, box.y2 - 8)
    assert LEFT.box.intersection(inner) / LEFT.box.area < ENOUGH
    assert leaking(alone(inner, RIGHT.box)) == [False, False]


def test_alone_only_what_would_start_a_track_counts() -> None:
    assert leaking(alone(LEFT.box, RIGHT.box, confidence=0.12)) == [True, True]


def test_boxes_on_no_face_are_counted() -> None:
    nowhere = Box(120, 180, 160, 220)
    outcome = alone(LEFT.box, nowhere, half(RIGHT))
    assert (outcome.stray, outcome.frames) == (1, 1)


def test_sizes_are_those_in_the_networks_input() -> None:
    small = FaceSettings(width=160)
    outcome = leaks.alone(Scripted(), small, [(LABELS, picture())])
    assert [sighting.size for sighting in outcome.sightings] == [20, 20]
    assert alone().sightings[0].size == 40  # never enlarged
    names = [size_class(size) for size in (5.9, 6, 11.9, 12, 24)]
    assert names == ["0 to 6 px", "6 to 12 px", "6 to 12 px", "12 to 24 px", "24 px and more"]


def test_a_track_leaks_when_it_does_in_any_frame() -> None:
    first, second = alone(LEFT.box, RIGHT.box), alone(LEFT.box)
    assert leaking_tracks([first]) == (0, 2)
    assert leaking_tracks([first, second]) == (1, 2)
    assert leaking_tracks([second, first]) == (1, 2)


def test_the_tables_show_each_group_and_all(capsys: pytest.CaptureFixture[str]) -> None:
    all_covered, one_leaks = alone(LEFT.box, RIGHT.box), alone(LEFT.box, Box(120, 180, 160, 220))
    leak_tables.table_alone({"good": all_covered, "bad": one_leaks})
    leak_tables.table_pipeline({"bad": {LABELS.source: one_leaks, "videos/other.gif": all_covered}})
    printed = capsys.readouterr().out.splitlines()
    assert "| all | 0 of 2 (0%) | 1 of 2 (50%) |" in printed
    assert "| 24 px and more | 0 of 2 (0%) | 1 of 2 (50%) |" in printed
    assert "| side | 0 of 1 (0%) | 1 of 1 (100%) |" in printed
    assert "| boxes on no face, a frame | 0.0 | 1.0 |" in printed
    assert "| other.gif | 0 of 2 (0%) | 0 of 2 | 0.0 |" in printed
    assert "| all | 1 of 4 (25%) | 1 of 2 | 0.5 |" in printed


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "drawn.png"), np.zeros((100, 100, 3), np.uint8))
    labels = LabelledImage("drawn.png", 0, SIZE, (LEFT,))
    with pytest.raises(ValueError, match=r"drawn\.png is not the file that was labelled"):
        list(leaks.labelled_frames(tmp_path, [labels]))


@pytest.mark.parametrize("name", [name for name in COPIES if name.startswith("turned")])
def test_labels_turn_with_the_picture(name: str) -> None:
    """What is white only inside a face is white under its moved points."""
    image = np.zeros((*SIZE[::-1], 3), np.uint8)
    box = LEFT.box
    image[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)] = 255
    drawn, move = COPIES[name](image)
    inner = Face(Box(box.x1 + 3, box.y1 + 3, box.x2 - 3, box.y2 - 3), "front")
    assert leaks.share_painted(move(leaks.inner_points(inner)), drawn[..., 0] > 128) == 1.0
    assert leaks.share_painted(leaks.inner_points(inner), drawn[..., 0] > 128) < ENOUGH


def test_faces_turned_out_of_the_frame_do_not_count() -> None:
    corner = Face(Box(2, 2, 40, 40), "front")
    labels = LABELS._replace(faces=(LEFT, corner))
    copy = COPIES["turned by 30°"]
    outcome = leaks.alone(Scripted(), FaceSettings(), [(labels, picture())], copy)
    assert len(outcome.sightings) == 1


def test_a_clip_is_played_through_scanner_and_tracker(tmp_path: Path) -> None:
    """The detector sees one face; the tracker must not lose it, nor invent the other."""
    path = tmp_path / "drawn.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
    for _ in range(6):
        writer.write(np.full((*SIZE[::-1], 3), 90, np.uint8))
    writer.release()
    wanted = {number: LABELS._replace(frame=number) for number in (2, 5)}
    outcome = leaks.through_pipeline(Scripted(LEFT.box), FaceSettings(), path, wanted)
    assert leaking(outcome) == [False, True, False, True]
    assert leaking_tracks([outcome]) == (1, 2)


def test_enough_frames_are_labelled() -> None:
    labels = labelled_images()
    assert len(labels) >= 80
    assert len({(entry.source, entry.frame) for entry in labels}) == len(labels)
    assert sum(not entry.faces for entry in labels) <= 8
    kinds = Counter(face.kind for entry in labels for face in entry.faces)
    assert set(kinds) == {"front", "side", "covered"}
    assert len({source_name(entry.source) for entry in labels}) >= 5


def test_a_person_is_labelled_once_in_a_frame() -> None:
    for entry in labelled_images():
        tracks = [face.track for face in entry.faces if face.track is not None]
        assert len(tracks) == len(set(tracks)), f"{entry.source}, frame {entry.frame}"


@pytest.mark.parametrize(
    "face",
    [
        {"box": [10, 10, 5, 20], "kind": "front"},
        {"box": [10, 10, 400, 20], "kind": "front"},
        {"box": [10, 10, 20, 20], "kind": "back"},
    ],
)
def test_a_label_that_cannot_be_is_refused(face: dict[str, object], tmp_path: Path) -> None:
    entry = {"source": "a.png", "frame": 0, "width": 320, "height": 240, "faces": [face]}
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"images": [entry]}), encoding="utf-8")
    with pytest.raises(ValueError, match="not a label"):
        labelled_images(path)


def test_sheets_show_what_leaks_and_what_is_blurred_for_nothing() -> None:
    sheets = leak_sheets.Sheets()
    detector = Scripted(LEFT.box, Box(5, 190, 35, 230))
    leaks.alone(detector, FaceSettings(), [(LABELS, picture())], look=sheets.look)
    [(side, leak)], [(other_side, stray)] = sheets.leaks, sheets.stray
    assert (side, other_side) == (RIGHT.box.width, 30)
    assert leak.shape == stray.shape == (leak_sheets.TILE, leak_sheets.TILE, 3)
    grey = 90
    assert leak[..., 1].max() > 1.3 * grey  # the label
    assert leak[..., 2].max() < 1.1 * grey  # nothing is blurred there
    assert stray[..., 2].max() > 1.3 * grey
