"""The analyst: when windows close, and that the short first one is published and counted but judged by nothing."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from agent.core.types import CameraState, CameraStatus, Detections, Frame, FrameResult, StageSeconds
from agent.pipeline import analyst as analysis
from agent.pipeline.analyst import Analyst, CameraRun
from agent.pipeline.camera_window import FrameCounts
from agent.pipeline.observations import state_observations, window_observations


class Monitor:
    """Notes which of its windows were judged."""

    def __init__(self):
        self.closed, self.passed_over = [], []

    def add_frame(self, result):
        pass

    def close(self, summary, now):
        self.closed.append(summary)
        return {"judged": 1}, []

    def skip(self, summary):
        self.passed_over.append(summary)
        return {"passed_over": 1}

    def save(self, now):
        pass


def camera(name, *, state=None, seen=1, since_ns=None):
    status = state and CameraStatus(camera=name, state=state, since=time.time())
    return CameraRun(
        name=name,
        since_ns=time.monotonic_ns() if since_ns is None else since_ns,
        status=lambda: status,
        take_counts=lambda: FrameCounts(seen=seen),
    )


class Room:
    """An analyst at work in a thread of its own, and the sink of its results."""

    def __init__(self, length, make_monitor=None):
        self.monitor, self.summaries, self.observed = Monitor(), [], []
        self.frames, self.removed = [], []
        self.changed = threading.Condition()
        make_monitor = make_monitor or (lambda _name: self.monitor)
        self.analyst = Analyst(length, class_names=lambda: ("car",), monitor=make_monitor)
        self.analyst.sink, self.stop = self, threading.Event()
        self.front = camera("front", state=CameraState.ONLINE)
        self.analyst.set_cameras({"front": self.front})
        self.thread = threading.Thread(target=self.analyst.run, args=(self.stop,))
        self.thread.start()

    def frame(self, result):
        self.frames.append(result)

    def window(self, window):
        with self.changed:
            self.summaries.append(window.summary)
            self.observed += window_observations(window, ())
            self.changed.notify_all()

    def finish(self):
        pass

    def interval(self, start, end):
        pass

    def status(self, status, now):
        self.observed += state_observations(status, now)

    def tick(self, statuses, now):
        for status in statuses:
            self.observed += state_observations(status, now)

    def remove(self, camera):
        self.removed.append(camera)

    def wait(self, count, camera=None):
        def enough():
            return sum(camera in {None, one.camera} for one in self.summaries) >= count

        with self.changed:
            assert self.changed.wait_for(enough, 10)

    def end(self):
        self.stop.set()
        self.thread.join(10)


@pytest.fixture
def room(monkeypatch):
    monkeypatch.setattr(analysis, "OPENING_SECONDS", 0.3)
    monkeypatch.setattr(analysis, "LEAST_WINDOW", 0.6)
    made = []

    def make(length, make_monitor=None):
        made.append(Room(length, make_monitor))
        return made[-1]

    yield make
    for each in made:
        each.end()


def result():
    image = np.zeros((8, 8, 3), np.uint8)
    frame = Frame(
        camera="front", index=0, image=image, captured_at=time.time(), monotonic_ns=time.monotonic_ns()
    )
    nothing = Detections(
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        class_ids=np.zeros(0, np.int64),
        threshold=0.25,
        candidates=0,
    )
    times = StageSeconds(decode=0, wait=0, preprocess=0, inference=0, postprocess=0, total=0.01)
    return FrameResult(frame=frame, detections=nothing, stages=times, batch=1)


def test_the_first_summary_of_a_run_comes_early_and_the_next_a_whole_window_later(room):
    made = room(1.5)
    made.wait(2)
    first, second = made.summaries[:2]
    assert first.end - first.start < 1.0
    assert second.start == first.end
    assert second.end - second.start == pytest.approx(1.5, abs=0.4)
    assert first.body["passed_over"] == 1, "its features are told"
    assert made.monitor.passed_over[0].start == first.start
    assert [one.start for one in made.monitor.closed][:1] == [second.start]


def test_no_rule_judges_the_short_first_window(room):
    made = room(1.5)
    made.analyst.deliver(result())
    made.wait(2)
    made.end()
    seen = [one for one in made.observed if one.metric == "camera.frames_inferred"]
    assert [(one.value, one.judged) for one in seen[:2]] == [(1.0, False), (0.0, True)]
    assert all(one.judged for one in made.observed if one.metric == "camera.online"), (
        "states count from the start"
    )


def test_windows_that_are_short_anyway_are_all_alike(room):
    made = room(0.5)
    made.wait(2)
    assert made.monitor.passed_over == []
    assert made.summaries[0].end - made.summaries[0].start == pytest.approx(0.5, abs=0.3)


def test_a_run_that_ends_before_its_first_summary_is_judged_by_all_it_saw(room):
    made = room(1.5)
    made.analyst.deliver(result())
    made.end()
    assert [one.body["frames_inferred"] for one in made.monitor.closed] == [1]


def frame_of(camera, monotonic_ns=None):
    made = result()
    stamp = time.monotonic_ns() if monotonic_ns is None else monotonic_ns
    return replace(made, frame=replace(made.frame, camera=camera, monotonic_ns=stamp))


def test_a_frame_or_state_that_comes_late_brings_no_camera_back(room):
    made = room(0.5)
    ghost = camera("ghost", seen=7)
    made.analyst.set_cameras({"front": made.front, "ghost": ghost})
    made.analyst.deliver(frame_of("ghost"))
    made.analyst.set_cameras({"front": made.front})
    for _ in range(50):
        made.analyst.deliver(frame_of("ghost"))
        made.analyst.status_changed(
            CameraStatus(camera="ghost", state=CameraState.DOWN, since=1.0), ghost.since_ns
        )
    made.wait(4)
    made.end()
    assert made.removed == ["ghost"]
    last = [one for one in made.summaries if one.camera == "ghost"]
    assert [(one.body["frames_inferred"], one.body["frames_seen"]) for one in last] == [(1, 7)]
    assert [one.frame.camera for one in made.frames] == ["ghost"]
    assert not any(
        one.labels["camera"] == "ghost" for one in made.observed if one.metric == "camera.down" and one.value
    )


def test_a_changed_camera_begins_with_its_own_frames_states_and_counts(room):
    made = room(1.5)
    old, new = made.front, camera("front", state=CameraState.STARTING, seen=2)
    made.analyst.set_cameras({"front": new})
    made.analyst.deliver(frame_of("front", monotonic_ns=new.since_ns - 1))
    made.analyst.status_changed(
        CameraStatus(camera="front", state=CameraState.BLACK, since=1.0), old.since_ns
    )
    made.analyst.deliver(frame_of("front"))
    made.end()
    assert made.removed == ["front"]
    first, second = made.summaries
    assert (first.body["frames_seen"], first.body["state"]) == (1, "online")
    assert (second.body["frames_seen"], second.body["frames_inferred"], second.body["state"]) == (
        2,
        1,
        "starting",
    )


def test_the_short_window_of_a_camera_that_was_just_added_is_judged_by_no_rule(room):
    made = room(1.5)
    made.wait(1)
    time.sleep(1.2)  # late in the second window
    made.analyst.set_cameras({"front": made.front, "new": camera("new", seen=0)})
    made.wait(5)
    made.end()
    seen = [
        one.judged for one in made.observed if one.metric == "camera.fps_in" and one.labels["camera"] == "new"
    ]
    assert seen[-1], "a whole window counts"
    first = next(one for one in made.summaries if one.camera == "new")
    assert seen[0] == (first.end - first.start >= 0.75)


def test_one_item_that_cannot_be_processed_takes_no_other_with_it(room, capsys):
    made = room(1.5)
    done = []

    def broken():
        raise ZeroDivisionError("a defect")

    held = threading.Event()
    made.analyst.submit(lambda: held.wait(10))  # all that is submitted meanwhile is one batch
    for number in range(10):
        made.analyst.submit(broken if number % 2 else lambda number=number: done.append(number))
    made.analyst.submit(lambda: done.append("last"))
    held.set()
    made.wait(1)
    made.end()
    assert done == [0, 2, 4, 6, 8, "last"]
    assert made.analyst.discarded == 5
    assert "cannot process an item" in capsys.readouterr().out


def test_a_long_backlog_that_is_worked_off_item_by_item_is_not_taken_for_a_hang(room):
    held, silent, done = threading.Event(), [], threading.Event()
    at_work = room(60.0).analyst
    at_work.submit(held.wait)  # what comes meanwhile is one batch
    for _ in range(3):
        at_work.submit(lambda: time.sleep(0.2))
        at_work.submit(lambda: silent.append(at_work.silent_seconds()))
    at_work.submit(done.set)
    held.set()
    assert done.wait(10)
    assert max(silent) < 0.2


def test_a_camera_whose_monitor_fails_stops_no_other_and_is_tried_again(room):
    tries = []

    def make_monitor(name):
        if name == "bad":
            tries.append(name)
            if len(tries) < 3:
                raise OSError("no such disk")
        return Monitor()

    made = room(0.5, make_monitor)
    made.analyst.set_cameras({"bad": camera("bad"), "front": made.front, "good": camera("good")})
    made.wait(1, "bad")
    assert len(tries) == 3
    assert any(one.camera == "good" for one in made.summaries)
    assert made.analyst.discarded == 2


@pytest.mark.parametrize("where", ["close", "skip"])
def test_a_monitor_that_fails_at_the_end_of_a_window_costs_none_of_what_was_counted(room, where, capsys):
    def fail(*_):
        raise ZeroDivisionError("a defect")

    made = room(0.5 if where == "close" else 3600.0)
    setattr(made.monitor, where, fail)
    made.analyst.deliver(frame_of("front"))
    if where == "skip":
        assert made.analyst.settle(10)
        made.analyst.begin_anew()  # its window is too short to be judged
    made.wait(1)
    made.end()
    assert sum(one.body["frames_inferred"] for one in made.summaries) == 1
    assert any(one.metric == "camera.frames_inferred" for one in made.observed)
    assert "cannot judge the window of camera front" in capsys.readouterr().out


def test_another_model_begins_windows_and_monitors_of_its_own(room):
    monitors = []

    def make_monitor(_name):
        monitors.append(Monitor())
        return monitors[-1]

    here = room(3600.0, make_monitor)
    assert here.analyst.settle(10)
    here.analyst.deliver(frame_of("front"))
    here.analyst.begin_anew()
    here.analyst.deliver(frame_of("front"))
    here.analyst.deliver(frame_of("front"))
    here.wait(1)
    assert here.analyst.settle(10)
    here.end()
    assert [one.body["frames_inferred"] for one in here.summaries] == [1, 2]
    assert len(monitors) == 2
    assert not here.removed
