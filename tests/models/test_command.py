"""``python -m app.models``: its output, and its errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fixtures import PATIENCE_S, clean_environment
from support.faces import portrait
from support.networks import OURS, places, write_ir
from support.rtsp import make_video

from app.models.__main__ import main
from app.models.media import count_frames

FACE = 0.5


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment without settings."""
    import os

    for name in list(os.environ):
        if name.startswith("WATCHPOST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def weights(folder: Path) -> str:
    """A network that detects a person and a plate in every image, and never a face."""
    answer = places((320, 320, 600, 600, 0, 0.8), (100, 100, 60, 20, 2, 0.35))
    return str(write_ir(folder / "own.xml", answer))


def write_portrait(name: str, side: int = 320) -> str:
    Path(name).parent.mkdir(exist_ok=True)
    cv2.imwrite(name, portrait(side))
    return name


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_image_is_one_line_of_json(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [write_portrait("a.jpg"), write_portrait("b.png", 512)]
    assert main(["detect", "--json", "--weights", weights, *paths]) == 0
    printed_lines = lines(capsys.readouterr().out)
    assert [line["path"] for line in printed_lines] == paths
    assert [line["frame"] for line in printed_lines] == [0, 0]
    for line, side in zip(printed_lines, (320, 512), strict=True):
        assert set(line) == {"path", "frame", "detections"}
        by_label = {seen["label"]: seen for seen in line["detections"]}
        assert set(by_label) == {"person", "plate", "face"}, "the face network finds the face"
        for seen in line["detections"]:
            assert set(seen) == {"label", "confidence", "box"}
        box = np.array(by_label["plate"]["box"]) / side
        assert np.allclose(box, np.array([70, 90, 130, 110]) / 640, atol=0.001)
        x1, y1, x2, y2 = np.array(by_label["face"]["box"]) / side
        assert x1 < 0.43 < x2
        assert y1 < 0.25 < y2
        confidences = [seen["confidence"] for seen in line["detections"]]
        assert confidences == sorted(confidences, reverse=True)


def test_a_face_found_by_both_networks_is_reported_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = places((270, 160, 110, 140, 0, 0.4), (550, 500, 60, 60, 0, 0.5))
    write_ir(folder / "faces.xml", answer, {0: "face", 1: "car", 2: "plate"})
    assert main(["detect", "--json", "--weights", "faces.xml", write_portrait("a.jpg", 640)]) == 0
    (result,) = lines(capsys.readouterr().out)
    confidences = [seen["confidence"] for seen in result["detections"]]
    assert len(confidences) == 2
    assert confidences[0] > FACE, "the face network is more confident"
    assert confidences[1] == FACE, "only the object detector reports the second box"


def test_frames_of_a_video_are_reported_in_order_with_their_numbers(
    weights: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_video(folder / "clip.mp4", (160, 96), seconds=2)
    assert (
        main(["detect", "--json", "--weights", weights, str(video), write_portrait("a.jpg")]) == 0
    )
    printed_lines = lines(capsys.readouterr().out)
    assert [line["frame"] for line in printed_lines] == [*range(count_frames(video)), 0]
    assert printed_lines[-1]["path"] == "a.jpg"
    assert all(line["detections"] for line in printed_lines)


def test_output_is_readable_without_json(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", "--weights", weights, write_portrait("a.jpg")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("a.jpg: ")
    assert {"1 person", "1 plate", "1 face"} == set(line.removeprefix("a.jpg: ").split(", "))


def test_min_confidence_applies_to_all_networks(
    weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "detect",
        "--json",
        "--weights",
        weights,
        write_portrait("a.jpg"),
        "--min-confidence",
    ]
    counts = []
    for least in ("0.05", "0.5", "0.999"):
        assert main([*command, least]) == 0
        (result,) = lines(capsys.readouterr().out)
        assert all(seen["confidence"] >= float(least) for seen in result["detections"])
        counts.append(len(result["detections"]))
    assert counts[0] >= 3
    assert counts[1:] == [2, 0]


def test_crops_find_what_the_whole_image_does_not_show(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """This network detects a cigarette only on a square canvas, in its middle (mirrored or not)."""
    import openvino as ov
    from openvino import opset13 as ops

    shown = ops.parameter([-1, 3, -1, -1], np.float32)
    first = places((320, 180, 60, 120, 0, 0.9), (256, 190, 8, 4, 2, 0.1))
    size = ops.convert(ops.shape_of(shown), np.float32)
    height = ops.gather(size, ops.constant(2), ops.constant(0))
    width = ops.gather(size, ops.constant(3), ops.constant(0))
    square = ops.convert(ops.equal(height, width), np.float32)
    lift = np.zeros_like(first)
    lift[6, 1] = 0.6
    nothing = ops.multiply(
        ops.reduce_mean(shown, ops.constant([1, 2, 3]), keep_dims=False),
        ops.constant(np.float32(0)),
    )
    each = ops.reshape(nothing, ops.constant([-1, 1, 1]), special_zero=False)
    answer = ops.add(ops.constant(first[None]), ops.multiply(ops.constant(lift[None]), square))
    model = ov.Model([ops.add(each, answer)], [shown], "closer")
    model.set_rt_info("['person', 'car', 'cigarette']", ["model_info", "names"])
    ov.save_model(model, folder / "closer.xml", compress_to_fp16=False)
    cv2.imwrite("wide.png", np.full((720, 1280, 3), 90, np.uint8))

    command = ["detect", "--json", "--weights", "closer.xml", "wide.png"]
    found = []
    for more in ([], ["--crops"]):
        assert main([*command, *more]) == 0
        (result,) = lines(capsys.readouterr().out)
        found.append({seen["label"]: seen["box"] for seen in result["detections"]})
    assert set(found[0]) == {"person"}
    assert set(found[1]) == {"person", "cigarette"}
    x1, y1, x2, y2 = found[1]["cigarette"]
    # The person is at 580..700 x 240..480; the crop is 156 wide, 562..718 x 227..383.
    assert (x1 + x2) / 2 == pytest.approx(562 + 256 / 512 * 156, abs=1.5)
    assert (y1 + y2) / 2 == pytest.approx(227 + 190 / 512 * 156, abs=1.5)


def test_detections_are_drawn(weights: str, folder: Path) -> None:
    video = make_video(folder / "clip.mp4", (160, 96), seconds=1)
    paths = [write_portrait("photos/a.jpg"), str(video)]
    assert main(["detect", "--weights", weights, "--out", "seen", *paths]) == 0
    assert sorted(path.name for path in Path("seen").iterdir()) == ["a.jpg", "clip.mp4"]
    before, after = cv2.imread("photos/a.jpg"), cv2.imread("seen/a.jpg")
    assert before is not None
    assert after is not None
    assert np.abs(before.astype(int) - after).max() > 100
    assert count_frames(folder / "seen" / "clip.mp4") == count_frames(video)


def test_a_folder_is_searched(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("photos/b.jpg", "photos/a.png"):
        write_portrait(name)
    Path("photos/labels.txt").write_text("0 0 0 1 1", encoding="utf-8")
    assert main(["detect", "--json", "--weights", weights, "photos"]) == 0
    assert [line["path"] for line in lines(capsys.readouterr().out)] == [
        "photos/a.png",
        "photos/b.jpg",
    ]


# ── errors ───────────────────────────────────────────────────────────────────────────────────


def test_an_unreadable_file_is_reported_and_skipped(
    weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("words.jpg").write_text("hello", encoding="utf-8")
    Path("empty.mp4").touch()
    paths = ["words.jpg", write_portrait("a.jpg"), "empty.mp4", write_portrait("b.jpg")]
    assert main(["detect", "--json", "--weights", weights, *paths]) == 1
    printed = capsys.readouterr()
    assert [line["path"] for line in lines(printed.out)] == ["a.jpg", "b.jpg"]
    assert len(printed.err.splitlines()) == 2
    for name in ("words.jpg", "empty.mp4"):
        assert name in printed.err


def test_a_missing_file_is_reported_before_detection_starts(
    weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["detect", "--json", "--weights", weights, write_portrait("a.jpg"), "none.jpg"]) == 2
    )
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "none.jpg" in printed.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--weights", "broken.xml"], "broken.xml"),
        (["--weights", "yolo11m.pt"], "yolo11m.pt"),
        (["--out", "."], "--out"),
        (["nothing-here"], "nothing-here"),
    ],
)
def test_a_usage_error_is_one_sentence(
    arguments: list[str], word: str, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.xml").write_text("hello", encoding="utf-8")
    Path("nothing-here").mkdir()
    assert main(["detect", "--weights", weights, write_portrait("a.jpg"), *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert word in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("value", ["0", "1", "-1", "2", "much", "nan"])
def test_a_confidence_is_between_0_and_1(value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["detect", "--min-confidence", value, "a.jpg"])
    assert caught.value.code == 2


def test_a_network_failure_is_not_an_empty_result(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its output is finite only for the grey image of the check at load."""
    import openvino as ov
    from openvino import opset13 as ops

    shown = ops.parameter([-1, 3, -1, -1], np.float32)
    mean = ops.reduce_mean(shown, ops.constant([1, 2, 3]), keep_dims=False)
    apart = ops.abs(ops.subtract(mean, ops.constant(np.float32(114 / 255))))
    far = ops.relu(ops.subtract(apart, ops.constant(np.float32(0.005))))
    off = ops.multiply(far, ops.constant(np.float32(1e6)))
    each = ops.reshape(off, ops.constant([-1, 1, 1]), special_zero=False)
    model = ov.Model([ops.add(each, ops.constant(places()[None]))], [shown], "moody")
    model.set_rt_info(repr(OURS), ["model_info", "names"])
    ov.save_model(model, folder / "moody.xml", compress_to_fp16=False)
    cv2.imwrite("a.jpg", np.zeros((90, 160, 3), np.uint8))
    assert main(["detect", "--json", "--weights", "moody.xml", "a.jpg"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "a.jpg" in printed.err
    assert "invalid output" in printed.err


def test_settings_of_the_environment_apply(
    weights: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHPOST_OBJECTS__WEIGHTS", weights)
    monkeypatch.setenv("WATCHPOST_OBJECTS__MIN_CONFIDENCE", "0.5")
    assert main(["detect", write_portrait("a.jpg")]) == 0
    assert "1 person" in (printed := capsys.readouterr().out)
    assert "plate" not in printed
    monkeypatch.setenv("WATCHPOST_OBJECTS__MIN_CONFIDENCE", "7")
    assert main(["detect", "a.jpg"]) == 2
    assert "min_confidence" in capsys.readouterr().err


# ── as a process ─────────────────────────────────────────────────────────────────────────────


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.models", *arguments],
        cwd=folder,
        env=clean_environment(folder),
        capture_output=True,
        encoding="utf-8",
        timeout=2 * PATIENCE_S,
        check=False,
    )


def test_info_says_what_is_loaded_where_and_how_fast(weights: str, folder: Path) -> None:
    done = run(folder, "info", "--weights", weights)
    assert done.returncode == 0, done.stderr
    for words in ("yunet", weights, "fp32", "CPU, OpenVINO", "person from 0.30"):
        assert words in done.stdout
    faces, objects, text_lines, text, accelerators = done.stdout.split("\n\n")
    assert "weights     fp32\n" in faces
    assert "weights     fp32\n" in objects
    assert "text_lines.xml" in text_lines
    assert "plate_text.xml" in text
    assert done.stdout.count(" ms latency") == 5
    assert "cuda        NVIDIA GPU: " in accelerators
    assert sorted(path.name for path in folder.iterdir()) == ["own.bin", "own.xml"]


def test_only_json_is_on_stdout_and_nothing_is_written(weights: str, folder: Path) -> None:
    write_portrait("a.jpg")
    done = run(folder, "detect", "--json", "--weights", weights, "--device", "cuda", "a.jpg")
    assert done.returncode == 0, done.stderr
    assert len(lines(done.stdout)) == 1
    assert len(done.stderr.splitlines()) == 1, "one warning: there is no CUDA for it"
    assert "cuda" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["a.jpg", "own.bin", "own.xml"]


def test_a_closed_pipe_is_not_an_error(weights: str, folder: Path) -> None:
    make_video(folder / "clip.mp4", (160, 96))
    command = f"'{sys.executable}' -m app.models detect --weights {weights} clip.mp4 | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=folder,
        env=clean_environment(folder),
        capture_output=True,
        encoding="utf-8",
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
