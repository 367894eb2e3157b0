"""The scheduler, with a real detector on real threads; its failures by detectors that break on purpose."""

import shutil
import threading
import time

import numpy as np
import pytest

from agent.config.schema import ModelSettings
from agent.core.errors import InferenceError, InferenceFailure, ModelError
from agent.core.frame_slots import FrameSlots
from agent.core.types import Frame, Observation
from agent.detection.scheduler import Scheduler
from agent.detection.session import Detector
from agent.detection.thermal.governor import Governor
from agent.detection.thermal.pace import LEAST
from tests.waiting import wait_until

RED = np.zeros((64, 64, 3), np.uint8)
RED[..., 2] = 255


def frame(camera="a", index=0, image=RED):
    now = time.monotonic_ns()
    return Frame(
        camera=camera, index=index, image=image, captured_at=0.0, monotonic_ns=now, decode_seconds=0.5
    )


class Rig:
    """A scheduler on its own thread, with what it delivered and how it ended."""

    def __init__(self, detector, **options):
        self.slots, self.results, self.error = FrameSlots(), [], None
        options = {"max_batch": 8, "first_batch": 8, "batch_wait": 0.0, **options}
        self.scheduler = Scheduler(detector, self.slots, self.results.append, **options)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self.scheduler.run(self.stop)
        except (InferenceError, ModelError) as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def until(self, done):
        wait_until(done)


@pytest.fixture
def detector(tiny):
    return Detector(ModelSettings(path=str(tiny()), lanes=1))


def test_every_result_carries_its_frame_boxes_and_stage_times(detector):
    with Rig(detector) as rig:
        rig.slots.put(sent := frame())
        rig.until(lambda: rig.results)
    result = rig.results[0]
    assert result.frame is sent
    assert len(result.detections) == 4
    stages = result.stages
    assert stages.decode == 0.5
    inside = stages.wait + stages.preprocess + stages.inference + stages.postprocess
    assert 0 < inside <= stages.total < 5
    assert min(stages.wait, stages.preprocess, stages.inference, stages.postprocess) >= 0


def test_frames_of_several_cameras_share_a_run_and_one_camera_alone_does_not_wait(detector):
    detector.open()
    with Rig(detector, batch_wait=5.0, cameras=lambda: 3) as rig:
        for camera in "abc":
            rig.slots.put(frame(camera))
        rig.until(lambda: len(rig.results) == 3)
        assert [result.batch for result in rig.results] == [3, 3, 3]
    with Rig(detector, batch_wait=60.0, cameras=lambda: 1) as rig:
        rig.slots.put(frame("a"))
        rig.until(lambda: len(rig.results) == 1)


def test_a_static_model_gets_one_frame_a_run(tiny):
    with Rig(Detector(ModelSettings(path=str(tiny(batch=1)))), batch_wait=5.0, cameras=lambda: 2) as rig:
        rig.slots.put(frame("a"))
        rig.slots.put(frame("b"))
        rig.until(lambda: len(rig.results) == 2)
    assert [result.batch for result in rig.results] == [1, 1]


def test_one_bad_frame_is_counted_and_the_other_cameras_of_its_batch_are_served(detector):
    detector.open()
    grey = np.zeros((64, 64), np.uint8)
    notes = []
    with Rig(detector, batch_wait=5.0, cameras=lambda: 3, note=lambda *note: notes.append(note)) as rig:
        for camera, image in (("a", RED), ("bad", grey), ("c", RED)):
            rig.slots.put(frame(camera, image=image))
        rig.until(lambda: len(rig.results) == 2)
        rig.until(lambda: rig.slots.take_counts("bad").failed == 1)
        rig.until(lambda: notes)
        assert rig.slots.take_counts("bad").failed == 0
        assert rig.slots.take_counts("a").failed == 0
        rig.slots.put(frame("bad", image=RED))
        rig.until(lambda: len(rig.results) == 3)
        rig.until(lambda: len(notes) == 2)
    assert [result.frame.camera for result in rig.results] == ["a", "c", "bad"]
    assert rig.error is None
    assert notes[0][0] == "bad"
    assert notes[0][1].startswith("the model fails on its frames: camera bad: frame")
    assert notes[1] == ("bad", "")


class Breaking:
    """A real detector that fails as told for its first runs."""

    def __init__(self, detector, breaks):
        self._detector, self._breaks, self.sizes, self.opened = detector, breaks, [], 0

    def open(self):
        self.opened += 1
        self._detector.open()

    def close(self):
        self._detector.close()

    @property
    def info(self):
        return self._detector.info

    def bound(self):
        return self.detect

    def detect(self, frames):
        self.sizes.append(len(frames))
        if kind := self._breaks(frames):
            raise InferenceError("told to break", kind=kind)
        return self._detector.detect(frames)


def test_a_batch_too_big_for_memory_is_served_singly_and_later_batches_are_smaller(detector):
    breaking = Breaking(detector, lambda frames: len(frames) > 2 and InferenceFailure.OUT_OF_MEMORY)
    with Rig(breaking, batch_wait=0.2, cameras=lambda: 4) as rig:
        for camera in "abcd":
            rig.slots.put(frame(camera))
        rig.until(lambda: len(rig.results) == 4)
        for camera in "abcd":
            rig.slots.put(frame(camera, 1))
        rig.until(lambda: len(rig.results) == 8)
    assert breaking.sizes[:5] == [4, 1, 1, 1, 1]
    assert max(breaking.sizes[5:]) == 2
    assert sum(rig.slots.take_counts(camera).failed for camera in "abcd") == 0


def test_a_model_whose_batch_is_free_by_name_only_is_soon_run_frame_by_frame(detector):
    breaking = Breaking(detector, lambda frames: len(frames) > 1 and InferenceFailure.OTHER)
    with Rig(breaking, batch_wait=0.2, cameras=lambda: 4) as rig:
        for turn in range(4):
            for camera in "abcd":
                rig.slots.put(frame(camera, turn))
            rig.until(lambda turn=turn: len(rig.results) == 4 * (turn + 1))
    assert sum(size > 1 for size in breaking.sizes) == 2
    assert sum(rig.slots.take_counts(camera).failed for camera in "abcd") == 0


def test_batches_that_fail_now_and_then_do_not_end_batching(detector):
    turns = [0]

    def every_second(frames):
        turns[0] += len(frames) > 1
        return len(frames) > 1 and turns[0] % 2 and InferenceFailure.OTHER

    breaking = Breaking(detector, every_second)
    with Rig(breaking, batch_wait=5.0, cameras=lambda: 4) as rig:
        for turn in range(6):
            for camera in "abcd":
                rig.slots.put(frame(camera, turn))
            rig.until(lambda turn=turn: len(rig.results) == 4 * (turn + 1))
    assert turns[0] == 6


@pytest.mark.parametrize("kind", [InferenceFailure.GPU_LOST, InferenceFailure.OUT_OF_MEMORY])
def test_a_lost_gpu_ends_the_run_counts_every_frame_and_a_new_run_opens_the_model_anew(detector, kind):
    lost = [kind]
    breaking = Breaking(detector, lambda _: lost[0])
    with Rig(breaking, batch_wait=0.2, cameras=lambda: 2) as rig:
        rig.slots.put(frame("a"))
        rig.slots.put(frame("b"))
        rig.thread.join(10)
    assert rig.error.kind is kind
    assert [rig.slots.take_counts(camera).failed for camera in "ab"] == [1, 1]
    lost[0] = None
    stop = threading.Event()
    again = threading.Thread(target=rig.scheduler.run, args=(stop,))
    again.start()
    rig.slots.put(frame("a", 1))
    rig.until(lambda: rig.results)
    stop.set()
    again.join(10)
    assert breaking.opened == 2


def test_opening_is_warm_up_and_exempt_from_the_watchdog(detector):
    seen = []
    breaking = Breaking(detector, lambda _: None)
    rig = Rig(breaking)
    rig.scheduler.patience_seconds = -1
    plain_open = breaking.open
    breaking.open = lambda: (seen.append((rig.scheduler.warming, rig.scheduler.stuck())), plain_open())
    with rig:
        rig.slots.put(frame())
        rig.until(lambda: rig.results)
    assert seen == [(True, False)]
    assert not rig.scheduler.warming


def test_a_model_that_is_missing_ends_the_run_with_a_model_error(tmp_path):
    with Rig(Detector(ModelSettings(path=str(tmp_path / "none.onnx")))) as rig:
        rig.thread.join(10)
    assert isinstance(rig.error, ModelError)
    assert not rig.scheduler.warming


def test_still_frames_are_left_out_and_counted_where_the_camera_asks_for_it(detector):
    detector.open()
    with Rig(detector, still_interval=lambda camera: 60.0 if camera == "gated" else 0.0) as rig:
        for index in range(5):
            for camera in ("gated", "plain"):
                rig.slots.put_when_free(frame(camera, index), rig.stop, lambda: None)
        rig.until(lambda: sum(result.frame.camera == "plain" for result in rig.results) == 5)
        rig.until(lambda: rig.slots.take_counts("gated").still == 4 or None)
    assert [result.frame.index for result in rig.results if result.frame.camera == "gated"] == [0]
    assert rig.slots.take_counts("gated").still == rig.slots.take_counts("plain").still == 0


def test_a_camera_that_was_removed_and_came_back_begins_anew(detector):
    detector.open()
    with Rig(detector, still_interval=lambda _: 60.0) as rig:
        rig.slots.put(frame("a"))
        rig.until(lambda: rig.results)
        rig.scheduler.remove("a")
        rig.slots.put(frame("a", 1))
        rig.until(lambda: len(rig.results) == 2)


def test_while_the_box_is_hot_the_model_rests_between_runs_and_the_newest_frame_is_taken(detector):
    governor = Governor(95.0)
    detector.open()
    governor.heed([Observation(metric="host.temperature_celsius", value=99.0, at=0.0)], 0.0)
    assert governor.pace.limit == LEAST  # the model had not run at all
    started = time.monotonic()
    governor.ran(started, 0.03)
    with Rig(detector, governor=governor) as rig:
        for index in range(3):
            rig.slots.put(frame("a", index))
        rig.until(lambda: rig.results)
        assert time.monotonic() - started >= 0.3
    assert [result.frame.index for result in rig.results] == [2]
    assert rig.slots.take_counts("a").dropped == 2


def test_cameras_of_any_speed_get_the_same_share_of_a_busy_model(detector):
    detector.open()
    stop = threading.Event()

    def feed(camera, period):
        while not stop.wait(period):
            rig.slots.put(frame(camera))

    def slow(frames):
        time.sleep(0.02)

    with Rig(Breaking(detector, slow), max_batch=1) as rig:
        feeders = [
            threading.Thread(target=feed, args=(f"{n}", period))
            for n, period in enumerate((0.001, 0.01, 0.03))
        ]
        for feeder in feeders:
            feeder.start()
        rig.until(lambda: len(rig.results) >= 60)
        stop.set()
        for feeder in feeders:
            feeder.join(5)
    counts = [sum(result.frame.camera == str(n) for result in rig.results[:60]) for n in range(3)]
    assert min(counts) >= 15


@pytest.mark.parametrize(("threads", "lanes"), [(2, 2), (4, 2), (4, 4), (1, 3)])
def test_lanes_keep_each_cameras_order_and_see_what_one_lane_sees(tiny, threads, lanes):
    detector = Detector(ModelSettings(path=str(tiny()), threads=threads, lanes=lanes))
    with Rig(detector, max_batch=2) as rig:
        for index in range(100):
            for camera in "ab":
                rig.slots.put_when_free(frame(camera, index), rig.stop, lambda: None)
        rig.until(lambda: len(rig.results) == 200)
    for camera in "ab":
        assert [r.frame.index for r in rig.results if r.frame.camera == camera] == list(range(100))
    for result in rig.results:
        assert np.array_equal(result.detections.boxes, rig.results[0].detections.boxes)
        stages = result.stages
        inside = stages.wait + stages.preprocess + stages.inference + stages.postprocess
        assert inside == pytest.approx(stages.total, abs=1e-6)


def test_a_gpu_lost_in_one_lane_ends_both(tiny):
    detector = Detector(ModelSettings(path=str(tiny()), lanes=2))
    sent = iter(range(1000))
    breaking = Breaking(detector, lambda _: next(sent) == 5 and InferenceFailure.GPU_LOST)
    with Rig(breaking) as rig:
        index = 0
        while rig.thread.is_alive() and index < 1000:
            rig.slots.put(frame("a", index := index + 1))
            time.sleep(0.002)
        rig.thread.join(10)
    assert rig.error.kind is InferenceFailure.GPU_LOST
    assert len(rig.results) >= 5


def test_on_few_cores_frames_go_through_the_model_singly(tiny):
    detector = Detector(ModelSettings(path=str(tiny()), threads=2))
    detector.open()
    with Rig(detector, first_batch=None, batch_wait=5.0, cameras=lambda: 3) as rig:
        for camera in "abc":
            rig.slots.put(frame(camera))
        rig.until(lambda: len(rig.results) == 3)
    assert [result.batch for result in rig.results] == [1, 1, 1]


def test_a_result_that_cannot_be_delivered_is_counted_and_the_next_ones_are(detector):
    detector.open()
    with Rig(detector) as rig:
        deliver = rig.scheduler._deliver

        def fail_on_first(result):
            if result.frame.index == 0:
                raise ZeroDivisionError("a defect")
            deliver(result)

        rig.scheduler._deliver = fail_on_first
        for index in range(3):
            rig.slots.put_when_free(frame("a", index), rig.stop, lambda: None)
        rig.until(lambda: len(rig.results) == 2)
        assert rig.scheduler.discarded == 1


def test_a_run_started_anew_owes_nothing_to_the_one_that_failed(detector):
    detector.open()
    rig = Rig(detector)
    rig.scheduler._outlook.begun(8, time.monotonic())
    rig.scheduler._outlook._free_at = time.monotonic() + 3600  # as a batch that never ended leaves it
    rig.scheduler._turns.begin()
    with rig:
        rig.slots.put(frame("a"))
        rig.until(lambda: rig.results)
        assert rig.scheduler._outlook.choose_in(1, time.monotonic()) < 60


def test_of_a_camera_that_is_watched_no_more_no_frame_is_run_and_nothing_kept(detector):
    detector.open()
    with Rig(detector, watches=lambda one: one.camera != "gone", still_interval=lambda _: 60.0) as rig:
        rig.slots.put(frame("gone"))
        rig.slots.put(frame("here"))
        rig.until(lambda: rig.results)
        assert [one.frame.camera for one in rig.results] == ["here"]
        assert set(rig.scheduler._gate._seen) == {"here"}


def test_an_exchange_waits_for_no_run_and_each_frame_keeps_the_model_it_was_chosen_for(tiny):
    """The old model is held in the middle of a run: frames go on through the new one, and results stay in order."""
    old, new = (Detector(ModelSettings(path=str(tiny()), lanes=2)) for _ in range(2))
    old.open()
    new.open()
    models = {id(old._opened): "old", id(new._opened): "new"}
    held, release, ran_new = threading.Event(), threading.Event(), threading.Event()
    chosen, order, frees = {}, [], []

    def detect(opened, frames):
        name = models[id(opened)]
        chosen.update({one.index: name for one in frames})
        if frames[0].index == 0:
            held.set()
            assert release.wait(10)
        (ran_new if name == "new" else threading.Event()).set()
        return Detector._detect(old, opened, frames)

    old._detect = detect
    with Rig(old, max_batch=1) as rig:
        rig.scheduler._deliver = lambda result: order.append(result.frame.index)
        rig.slots.put(frame(index=0))
        assert held.wait(10)

        def exchange():
            rig.scheduler.between_batches(lambda: old.exchange(new), lambda: order.append("anew"), 10)
            frees.append(order.copy())

        thread = threading.Thread(target=exchange)
        thread.start()
        rig.until(lambda: models[id(old._opened)] == "new")
        rig.slots.put(frame(index=1))
        assert ran_new.wait(10), "the new model runs while the old one is still at work"
        assert not order, "and its results wait for those before"
        assert thread.is_alive(), "so does who may free the old model after it"
        release.set()
        thread.join(10)
        rig.until(lambda: len(order) == 3)
    assert order == [0, "anew", 1]
    assert frees[0][:2] == [0, "anew"]
    assert chosen == {0: "old", 1: "new"}
    assert rig.scheduler._outlook._pending == 0


def test_what_fails_between_two_batches_fails_for_who_wanted_it_alone(detector):
    def broken():
        raise ModelError("no such model")

    ran = []
    with Rig(detector) as rig:
        with pytest.raises(ModelError, match="no such model"):
            rig.scheduler.between_batches(broken, lambda: ran.append("then"), 10)
        with pytest.raises(ModelError, match="no such model"):
            rig.scheduler.between_batches(lambda: ran.append("task"), broken, 10)
        assert ran == ["task"]
        rig.slots.put(frame())
        rig.until(lambda: rig.results)


def test_what_cannot_run_in_time_never_runs(detector):
    ran = []
    rig = Rig(detector)
    with pytest.raises(InferenceError, match="at work"):
        rig.scheduler.between_batches(lambda: ran.append(1), lambda: ran.append(2), 0.01)
    with rig:
        rig.slots.put(frame())
        rig.until(lambda: rig.results)
    assert not ran


def test_models_are_exchanged_whole_while_frames_are_in_work(tiny, tmp_path):
    one = shutil.copy(tiny(), tmp_path / "one.onnx")
    first = Detector(ModelSettings(path=str(one), lanes=2))
    second = Detector(ModelSettings(path=str(tiny("end2end", "float16")), lanes=2))
    with pytest.raises(ModelError, match="closed"):
        first.exchange(second)
    first.open()
    second.open()
    infos = first.info, second.info
    stop, wrong, found = threading.Event(), [], []

    def work():
        while not stop.is_set() and not wrong:
            detect()

    def detect():
        try:
            found.append(len(first.detect([frame()]).detections[0]))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(201):
        first.exchange(second)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert set(found) == {4}
    assert (first.info, second.info) == infos[::-1]
    assert first.settings.path == infos[1].path
    second.close()
    assert first.opened, "the one that was given away can be closed"
    first.close()
