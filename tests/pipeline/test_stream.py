"""What happens to a frame, and how a stream lives and dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from av import VideoFrame
from fixtures import eventually
from support.doubles import (
    PATIENCE_S,
    Camera,
    FaceNetwork,
    FarEnd,
    face_maps,
    luma,
    noise,
    planes,
    sink_error,
    source_error,
    threads_of,
)
from support.stream_fixtures import OUTPUT, SOURCE

from app.analytics.rules import FramePixels
from app.budget import LEVELS, Budget
from app.config import FaceSettings, StreamSettings
from app.errors import SourceError, StartCancelled, WatchpostError
from app.events import RuleEvent
from app.failure_reason import FailureReason
from app.pipeline.blur import SOLID_YUV
from app.pipeline.channel import FILE_QUEUE
from app.pipeline.sinks import preview
from app.pipeline.stream import Stream
from app.types import StreamState

Start = Callable[..., Stream]

pytestmark = pytest.mark.usefixtures("camera", "far_end")


def runs(stream: Stream) -> bool:
    return stream.supervisor.state is StreamState.RUNNING


# ── one frame ────────────────────────────────────────────────────────────────────────────────


def test_a_face_leaves_without_detail_and_the_rest_as_it_was(
    start: Start, far_end: FarEnd, network: FaceNetwork
) -> None:
    network.sees = [(160, 96, 64, 64, 0.9)]
    start(blur_margin=0.0)
    result = far_end.next()
    before, after = luma(noise()).astype(int), luma(result.frame.image).astype(int)
    assert before[66:126, 130:190].std() > 50
    assert after[66:126, 130:190].std() < 20
    assert np.array_equal(before[:, :120], after[:, :120])
    assert np.array_equal(before[:, 200:], after[:, 200:])
    assert [track.label for track in result.tracks] == ["face"]


def test_boxes_are_in_pixels_of_what_comes_out(
    start: Start, far_end: FarEnd, camera: Camera, network: FaceNetwork
) -> None:
    camera.images = [noise(1280, 704)]
    network.sees = [(160, 96, 64, 64, 0.9)]  # of the 640 pixels that the network gets
    start(downscale=0.5, blur_margin=0.0)
    result = far_end.next()
    assert result.frame.size == (640, 352)
    box = result.tracks[0].box
    assert np.allclose(box, (128, 64, 192, 128), atol=2)


class BusyMachine(Budget):
    """A budget at its last step."""

    level = LEVELS[-1]


def test_a_face_that_moves_under_its_cover_on_a_busy_machine_stays_covered(
    start: Start, far_end: FarEnd, camera: Camera, network: FaceNetwork
) -> None:
    still = noise(640, 384)
    moved = VideoFrame.from_ndarray(_with_brighter_patch(still), format="yuv420p")
    camera.images = [still, moved]
    # In the middle of the frame, and of the part around it that is looked at alone.
    network.answers = lambda images: face_maps(
        images.shape, [(images.shape[2] / 2, images.shape[1] / 2, 96, 96, 0.9)]
    )
    stream = start(
        budget=BusyMachine().stream(analyzes=False), blur="solid", blur_margin=0.0, max_fps=60
    )
    grown = 0
    for _ in range(8):
        shown = luma(far_end.next().frame.image)
        assert (shown[144:240, 272:368] == SOLID_YUV[0]).all()
        grown += bool((shown[122:262, 250:390] == SOLID_YUV[0]).all())
    assert grown > 0

    def fewer_looks_than_frames() -> bool:
        shown = stream.status().stats.frames_published  # read first: more are asked for meanwhile
        return network.asked < shown

    eventually(fewer_looks_than_frames)
    reduced = stream.status().stats.reduced
    assert reduced is not None
    assert reduced.face_gap_s == LEVELS[-1].face_gap_s


def test_a_stream_that_has_ended_goes_without_nothing(start: Start, camera: Camera) -> None:
    camera.live, camera.interval_s, camera.count = False, 0.02, 40
    stream = start(budget=BusyMachine().stream(analyzes=False))
    eventually(lambda: stream.status().stats.reduced is not None)
    eventually(lambda: stream.supervisor.state is StreamState.STOPPED)
    assert stream.status().stats.reduced is None


def _with_brighter_patch(image: VideoFrame) -> np.ndarray:
    """The planes of an image in which something has moved in the middle."""
    changed = image.to_ndarray()
    patch = changed[170:214, 298:342]
    patch[...] = np.clip(patch.astype(int) + 60, 0, 255)
    return changed


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("shape")])
def test_nothing_leaves_while_the_detector_fails(
    start: Start, far_end: FarEnd, network: FaceNetwork, error: Exception
) -> None:
    network.fails_with = error
    stream = start()
    eventually(lambda: stream.status().stats.frames_withheld >= 3)
    assert far_end.results.empty()
    assert stream.preview.snapshot() is None
    assert stream.supervisor.state is not StreamState.RUNNING
    network.fails_with = None
    far_end.next()
    eventually(lambda: runs(stream))


def test_nothing_leaves_while_the_detector_is_late(
    start: Start, far_end: FarEnd, network: FaceNetwork, face_settings: FaceSettings
) -> None:
    face_settings.timeout_s = 0.01
    network.answering.clear()
    stream = start()
    eventually(lambda: stream.status().stats.frames_withheld >= 3)
    assert far_end.results.empty()
    face_settings.timeout_s = 15
    network.answering.set()
    far_end.next()


def _lacks_a_map(images: np.ndarray) -> list[np.ndarray]:
    return face_maps(images.shape, [])[:2]


def _not_numbers(images: np.ndarray) -> list[np.ndarray]:
    return [np.full_like(output, np.nan) for output in face_maps(images.shape, [])]


def _infinite_size(images: np.ndarray) -> list[np.ndarray]:
    heat, size, offset = face_maps(images.shape, [(160, 96, 64, 64, 0.9)])
    return [heat, size + np.float32(1e4), offset]


def _wrong_shape(images: np.ndarray) -> list[np.ndarray]:
    return [np.zeros((len(images), 3), np.float32)] * 3


def test_a_detector_that_fails_is_no_reconnect(
    start: Start, far_end: FarEnd, network: FaceNetwork
) -> None:
    stream = start()
    far_end.next()
    network.fails_with = RuntimeError("out of memory")
    eventually(lambda: stream.status().stats.frames_withheld > 0)
    assert stream.status().stats.reconnects == 0


@pytest.mark.parametrize("nonsense", [_lacks_a_map, _not_numbers, _wrong_shape])
def test_an_answer_that_is_nonsense_withholds_the_frame_and_counts_it(
    start: Start, far_end: FarEnd, network: FaceNetwork, nonsense: Callable[..., list[np.ndarray]]
) -> None:
    network.answers = nonsense
    stream = start(keeps_trying=True)
    eventually(
        lambda: stream.status().stats.frames_withheld >= 2 or not far_end.results.empty(),
        "frames are withheld",
        timeout_s=10,
    )
    assert far_end.results.empty()


def test_a_face_without_a_usable_size_never_leaves_uncovered(
    start: Start, far_end: FarEnd, network: FaceNetwork
) -> None:
    network.answers = _infinite_size
    stream = start(keeps_trying=True)
    eventually(
        lambda: stream.status().stats.error_count >= 2 or not far_end.results.empty(), timeout_s=10
    )
    while not far_end.results.empty():
        picture = luma(far_end.next().frame.image).astype(int)
        assert picture[66:126, 130:190].std() < 30


def test_with_blur_off_no_inference_runs_and_the_frame_is_as_it_was(
    start: Start, far_end: FarEnd, network: FaceNetwork
) -> None:
    network.fails_with = RuntimeError()
    start(blur="off")
    result = far_end.next()
    for before, after in zip(planes(noise()), planes(result.frame.image), strict=True):
        assert np.array_equal(before, after)
    assert network.asked == 0


def test_at_the_end_of_a_clear_view_faces_are_covered_without_a_restart(
    start: Start, far_end: FarEnd, network: FaceNetwork
) -> None:
    network.sees = [(160, 96, 64, 64, 0.9)]
    start(blur="off", clear_until=time.time() + 1.0, blur_margin=0.0)
    assert far_end.next().tracks == ()
    covered = eventually(lambda: next((r for r in [far_end.next()] if r.tracks), None))
    assert luma(covered.frame.image).astype(int)[70:120, 135:185].std() < 20


def test_a_missed_face_stays_covered(
    start: Start, far_end: FarEnd, network: FaceNetwork, face_settings: FaceSettings
) -> None:
    network.sees = [(160, 96, 64, 64, 0.9)]
    stream = start(blur_margin=0.0)
    far_end.next()
    network.sees = []
    shown = network.asked
    eventually(lambda: network.asked >= shown + 3)
    far_end.forget()
    result = far_end.next()
    if not result.tracks:
        pytest.skip("the machine was too slow: more than hold_s passed")
    assert luma(result.frame.image).astype(int)[70:120, 135:185].std() < 20
    eventually(lambda: stream.status().stats.faces == 0)


def test_a_face_that_is_missed_when_the_resolution_changes_stays_covered(
    start: Start, far_end: FarEnd, camera: Camera, network: FaceNetwork
) -> None:
    network.sees = [(160, 96, 64, 64, 0.9)]
    start(blur_margin=0.0)
    far_end.next()
    network.sees, camera.images = [], [noise(640, 384)]
    result = eventually(lambda: next((r for r in [far_end.next()] if r.frame.size[0] == 640), None))
    if not result.tracks:
        pytest.skip("the machine was too slow: more than hold_s passed")
    assert luma(result.frame.image).astype(int)[140:240, 270:370].std() < 20


def test_no_more_than_max_fps_leaves(start: Start, far_end: FarEnd, camera: Camera) -> None:
    camera.live, camera.interval_s, camera.count = False, 0.02, 200
    stream = start(max_fps=10)
    eventually(lambda: stream.supervisor.state is StreamState.STOPPED)
    assert 39 <= far_end.results.qsize() <= 41
    assert stream.status().stats.frames_in == 200


def test_of_a_file_no_frame_is_lost_and_the_order_is_kept(
    start: Start, far_end: FarEnd, camera: Camera
) -> None:
    camera.live, camera.interval_s, camera.count = False, 0.02, 40
    stream = start()
    eventually(lambda: stream.supervisor.state is StreamState.STOPPED)
    assert [far_end.next().number for _ in range(40)] == list(range(1, 41))
    assert stream.status().stats.frames_dropped == 0


class Asked:
    """An analysis that sees nothing, and knows by how many frames it was asked early."""

    numbers = None
    held_frames: frozenset[float] = frozenset()

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.asked: list[float] = []
        self.early: list[int] = []

    def submit(self, captured_at: float, see: object) -> None:
        self.asked.append(captured_at)

    def process(
        self, look: None, faces: object, seen: FramePixels, size: object
    ) -> tuple[tuple[()], list[RuleEvent]]:
        self.early.append(len(self.asked) - 1 - self.asked.index(seen.captured_at))
        return (), []

    def end(self) -> list[RuleEvent]:
        return []


def test_for_a_file_object_inference_starts_some_frames_early(
    start: Start, far_end: FarEnd, camera: Camera
) -> None:
    camera.live, camera.interval_s, camera.count = False, 0.02, 40
    analyzer = Asked()
    stream = start(analyzer=analyzer)
    eventually(lambda: stream.supervisor.state is StreamState.STOPPED)
    assert len(analyzer.early) == 40
    assert min(analyzer.early[: 40 - FILE_QUEUE]) >= FILE_QUEUE
    assert [far_end.next().number for _ in range(40)] == list(range(1, 41))


def test_of_a_live_input_no_frame_waits_for_later_ones(
    start: Start, far_end: FarEnd, camera: Camera
) -> None:
    camera.interval_s = 0.05
    analyzer = Asked()
    start(analyzer=analyzer)
    for _ in range(3):
        far_end.next()
    assert max(analyzer.early[:3]) < FILE_QUEUE


def test_of_a_live_input_a_slow_output_gets_the_newest_and_the_rest_is_counted(
    start: Start, far_end: FarEnd, camera: Camera
) -> None:
    stream = start()
    far_end.next()
    far_end.taking.clear()
    eventually(lambda: stream.status().stats.frames_dropped >= 10)
    far_end.forget()
    before = stream.status().stats.frames_in
    far_end.taking.set()
    numbers = [far_end.next().number for _ in range(5)]
    assert numbers == sorted(numbers)
    assert max(numbers) >= before - 5


def test_preview_and_output_get_the_same_frame(
    start: Start, far_end: FarEnd, network: FaceNetwork
) -> None:
    network.sees = [(160, 96, 64, 64, 0.9)]
    stream = start(blur="solid", blur_margin=0.0)
    far_end.next()
    jpeg = eventually(stream.preview.snapshot)
    import cv2

    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert decoded is not None
    assert decoded.shape == (192, 320)
    assert decoded[76:116, 140:180].std() < 5


# ── start ────────────────────────────────────────────────────────────────────────────────────


def test_it_runs_once_the_far_end_has_taken_a_frame_and_not_before(
    start: Start, far_end: FarEnd
) -> None:
    far_end.silent = True
    stream = start()
    far_end.next()
    assert stream.supervisor.state is StreamState.STARTING
    assert not stream.supervisor.started.done()
    far_end.silent = False
    assert stream.supervisor.started.result(PATIENCE_S) is None
    assert runs(stream)


def test_without_an_output_it_runs_with_the_first_preview(start: Start) -> None:
    stream = start(output=None)
    assert stream.supervisor.started.result(PATIENCE_S) is None
    assert runs(stream)
    assert stream.preview.snapshot()


@pytest.mark.parametrize(
    "reason",
    [
        FailureReason.UNAUTHORIZED,
        FailureReason.NOT_FOUND,
        FailureReason.REFUSED,
        FailureReason.UNKNOWN_HOST,
    ],
)
def test_an_input_that_refuses_ends_the_start_at_once_and_says_why(
    start: Start, camera: Camera, reason: str
) -> None:
    camera.refuses_with = source_error(reason)
    stream = start()
    failure = stream.supervisor.started.exception(PATIENCE_S)
    assert isinstance(failure, SourceError)
    assert failure.details["reason"] == reason
    assert stream.supervisor.state is StreamState.FAILED
    eventually(lambda: not threads_of("cam"), "all threads end")
    assert camera.opened == camera.closed == 1


def test_an_output_that_refuses_ends_the_start_at_once_and_says_why(
    start: Start, far_end: FarEnd
) -> None:
    far_end.refuses_with = sink_error(FailureReason.UNAUTHORIZED)
    stream = start()
    assert stream.supervisor.started.exception(PATIENCE_S) is far_end.refuses_with
    assert stream.supervisor.state is StreamState.FAILED


def test_a_silent_input_is_tried_again_until_it_answers(start: Start, camera: Camera) -> None:
    camera.refuses_with = source_error(FailureReason.TIMEOUT)
    stream = start()
    eventually(lambda: camera.opened >= 3)
    assert stream.supervisor.state is StreamState.STARTING
    camera.refuses_with = None
    assert stream.supervisor.started.result(PATIENCE_S) is None


def test_what_has_run_before_is_never_given_up(start: Start, camera: Camera) -> None:
    camera.refuses_with = source_error(FailureReason.NOT_FOUND)
    stream = start(keeps_trying=True)
    eventually(lambda: camera.opened >= 5)
    assert stream.supervisor.state is StreamState.RECONNECTING
    assert not stream.supervisor.started.done()
    camera.refuses_with = None
    eventually(lambda: runs(stream))


def test_an_input_that_ends_before_its_first_frame_does_not_keep_the_caller_waiting(
    start: Start, camera: Camera
) -> None:
    camera.live, camera.count = False, 0
    stream = start()
    eventually(lambda: stream.supervisor.state is not StreamState.STARTING)
    assert isinstance(stream.supervisor.started.exception(5), WatchpostError)


# ── life ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "error", [source_error(FailureReason.ENDED), RuntimeError("a bug"), OSError("cable")]
)
def test_an_input_that_breaks_is_opened_again(
    start: Start, camera: Camera, far_end: FarEnd, error: Exception
) -> None:
    camera.count, camera.breaks_with = 5, error
    stream = start(keeps_trying=True)
    eventually(lambda: camera.opened >= 3)
    camera.count = None
    far_end.forget()
    far_end.next()
    eventually(lambda: runs(stream))
    stats = stream.status().stats
    assert stats.reconnects >= 1
    assert stats.error_count >= 2
    assert stats.last_error


def test_a_stalled_input_shows_as_reconnecting_and_comes_back(
    start: Start, camera: Camera, settings: StreamSettings
) -> None:
    settings.stall_timeout_s = 0.5
    stream = start()
    stream.supervisor.started.result(PATIENCE_S)
    camera.stall()
    eventually(lambda: stream.supervisor.state is StreamState.RECONNECTING)
    eventually(lambda: camera.opened >= 2)
    camera.release()
    eventually(lambda: runs(stream))


def test_an_output_that_breaks_is_connected_again_and_the_preview_goes_on(
    start: Start, far_end: FarEnd
) -> None:
    stream = start()
    stream.supervisor.started.result(PATIENCE_S)
    far_end.refuses_with = sink_error(FailureReason.CLOSED)
    eventually(lambda: stream.supervisor.state is StreamState.RECONNECTING)
    first = stream.preview.snapshot()
    assert first
    eventually(lambda: stream.status().stats.error_count >= 3)
    far_end.refuses_with = None
    eventually(lambda: runs(stream))
    assert stream.status().stats.reconnects == 1


def test_a_preview_that_failed_once_is_no_lost_stream(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = start()
    stream.supervisor.started.result(PATIENCE_S)
    failed = threading.Event()
    write = preview.Preview.write

    def fail_once(self: preview.Preview, result: object) -> None:
        if not failed.is_set():
            failed.set()
            raise MemoryError
        write(self, result)  # type: ignore[arg-type]

    monkeypatch.setattr(preview.Preview, "write", fail_once)
    assert failed.wait(PATIENCE_S)
    frames = stream.status().stats.frames_published
    eventually(lambda: stream.status().stats.frames_published > frames + 5)
    eventually(lambda: runs(stream), "the stream counts as running again", timeout_s=5)


def test_a_preview_that_fails_at_the_start_does_not_end_the_stream(
    start: Start, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: preview.Preview, result: object) -> None:
        raise MemoryError

    monkeypatch.setattr(preview.Preview, "write", fail)
    far_end.taking.clear()  # the output is slower than the preview
    stream = start()
    eventually(lambda: stream.status().stats.error_count >= 1)
    far_end.taking.set()
    assert stream.supervisor.started.result(PATIENCE_S) is None


def test_an_end_of_a_file_is_a_stop(start: Start, camera: Camera) -> None:
    camera.live, camera.count = False, 3
    stream = start()
    stream.supervisor.started.result(PATIENCE_S)
    eventually(lambda: stream.supervisor.state is StreamState.STOPPED)
    eventually(lambda: not threads_of("cam"))


def test_after_stop_no_thread_is_left_and_nothing_leaves(
    start: Start, camera: Camera, far_end: FarEnd
) -> None:
    stream = start()
    stream.supervisor.started.result(PATIENCE_S)
    assert threads_of("cam")
    assert stream.supervisor.stop(PATIENCE_S) is True
    assert threads_of("cam") == []
    assert stream.supervisor.state is StreamState.STOPPED
    assert camera.opened == camera.closed
    assert far_end.in_use == set()
    assert stream.preview.snapshot() is None


def test_twenty_starts_and_stops_leave_no_thread(start: Start) -> None:
    before = threading.active_count()
    for _ in range(20):
        stream = start()
        stream.supervisor.started.result(PATIENCE_S)
        assert stream.supervisor.stop(PATIENCE_S)
    assert threading.active_count() <= before


def test_stop_does_not_wait_for_an_input_that_hangs(
    start: Start, camera: Camera, far_end: FarEnd
) -> None:
    camera.holds_open = True
    stream = start()
    eventually(lambda: camera.opened)
    assert stream.supervisor.stop(0.1) is False
    assert isinstance(stream.supervisor.started.exception(0), StartCancelled)
    assert stream.supervisor.state is StreamState.STOPPED
    camera.release()
    eventually(lambda: not threads_of("cam"), "the thread ends by itself")
    assert far_end.results.empty()


def test_stop_wakes_a_stream_that_waits_to_try_again(
    start: Start, camera: Camera, settings: StreamSettings
) -> None:
    settings.backoff_first_s = settings.backoff_max_s = 600
    camera.refuses_with = source_error(FailureReason.REFUSED)
    stream = start(keeps_trying=True)
    eventually(lambda: camera.opened)
    assert stream.supervisor.stop(PATIENCE_S) is True


def test_a_second_stop_is_harmless(start: Start) -> None:
    stream = start()
    assert stream.supervisor.stop(PATIENCE_S)
    assert stream.supervisor.stop(PATIENCE_S)


def test_one_stream_that_hangs_does_not_touch_another(
    start: Start, far_end: FarEnd, camera: Camera
) -> None:
    camera.holds_open = True
    hanging = start(stream_id="hanging")
    eventually(lambda: camera.opened)
    camera.holds_open = False
    other = start(stream_id="other", output=OUTPUT + "-other")
    assert other.supervisor.started.result(PATIENCE_S) is None
    assert runs(other)
    assert not hanging.supervisor.started.done()


# ── what is shown and logged ─────────────────────────────────────────────────────────────────


def test_statistics_tell_what_happened(start: Start, far_end: FarEnd, network: FaceNetwork) -> None:
    network.sees = [(160, 96, 64, 64, 0.9), (60, 60, 40, 40, 0.8)]
    stream = start()
    for _ in range(10):
        far_end.next()
    stats = eventually(lambda: (s := stream.status().stats).frames_published >= 10 and s)
    assert stats.frames_in >= stats.frames_published
    assert (stats.width, stats.height, stats.codec, stats.faces) == (320, 192, "test", 2)
    assert 0 <= stats.latency_p50_ms <= stats.latency_p95_ms
    assert stats.output_fps > 0
    assert stats.last_frame_ts > 1_600_000_000


def test_no_password_is_in_errors_states_or_logs(
    start: Start, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    camera.breaks_with, camera.count = OSError(f"cannot read {SOURCE}"), 1
    stream = start(keeps_trying=True)
    eventually(lambda: camera.opened >= 2)
    assert "hidden" not in repr(stream.status())
    camera.breaks_with = source_error(f"said no to {SOURCE}")
    before = camera.opened
    eventually(lambda: camera.opened >= before + 2)
    assert "hidden" not in repr(stream.status())
    assert "hidden" not in str(stream.status().stats.last_error)


def test_a_loss_is_one_line_in_the_log_however_often_it_is_tried(
    start: Start, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    camera.refuses_with = source_error(FailureReason.REFUSED)
    start(keeps_trying=True)
    eventually(lambda: camera.opened >= 6)
    lines = [
        r for r in caplog.records if r.name == "app.pipeline.supervisor" and "cam" in r.message
    ]
    assert len(lines) == 1
    assert lines[0].exc_info is None


def test_every_delivered_frame_is_in_the_histogram_of_latencies(
    start: Start, far_end: FarEnd
) -> None:
    stream = start()
    for _ in range(5):
        far_end.next()
    far_end.taking.clear()
    eventually(lambda: stream.gauges().waiting["output"] == 2)
    gauges = stream.gauges()
    assert set(gauges.waiting) == {"frames", "looks", "preview", "output"}
    assert gauges.latency.count == stream.status().stats.frames_published >= 5
    assert gauges.latency.total > 0
    far_end.taking.set()
