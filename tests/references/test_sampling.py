"""From frames to summaries: which frames are sampled, the fields of a window, and that faulty frames stay out."""

import dataclasses
import json

import numpy as np
import pytest

from agent.config.schema import DriftSettings
from agent.core.types import Detections, Frame, FrameResult, StageSeconds
from agent.delivery.messages import Stamp, encode
from agent.drift.sketch import WindowSketch
from agent.pipeline.camera_window import CameraSummary
from agent.references.monitors import DriftMonitors
from agent.references.recorder import LEAST_WINDOWS
from tests.clocks import Machine
from tests.payloads import check_payload
from tests.references.conftest import NOON, SUBJECT, Room


class Scene:
    """A monitor on a folder of its own, fed with frames of noise at 10 fps."""

    def __init__(self, folder, monkeypatch, **settings):
        self.room = Room(folder, dataclasses.replace(SUBJECT, window_seconds=5.0), **settings)
        self.monotonic = 100.0
        self.box = Machine(true=NOON, up=100.0)
        self.box.install(monkeypatch)
        self.room.monitor.restart()
        self.room.monitor.open(NOON)
        self.now, self.index = NOON, 0
        self.random = np.random.default_rng(1)

    def frames(self, seconds, usable=True, brightness=100):
        for _ in range(round(seconds * 10)):
            image = self.random.normal(brightness, 20, (72, 128, 3)).clip(0, 255).astype(np.uint8)
            count = int(self.random.integers(1, 4))
            corner = self.random.uniform(0, 60, (count, 2))
            boxes = np.hstack((corner, corner + self.random.uniform(5, 12, (count, 2)))).astype(np.float32)
            frame = Frame(
                camera="front",
                index=self.index,
                image=image,
                captured_at=self.now,
                monotonic_ns=round(self.monotonic * 1e9),
                decode_seconds=0.0,
                media_seconds=0.0,
                usable=usable,
            )
            seen = Detections(
                boxes=boxes,
                scores=self.random.uniform(0.3, 0.9, count).astype(np.float32),
                class_ids=np.zeros(count, dtype=np.int64),
                threshold=0.25,
                candidates=count + 2,
            )
            nothing = StageSeconds(
                decode=0.0, wait=0.0, preprocess=0.0, inference=0.0, postprocess=0.0, total=0.0
            )
            self.room.monitor.add_frame(FrameResult(frame=frame, detections=seen, stages=nothing, batch=1))
            self.index += 1
            self.monotonic += 0.1
            self.now += 0.1

    def close(self, step=0.0, seconds=5.0):
        summary = CameraSummary(camera="front", start=self.now - seconds, end=self.now, body={}, sketches={})
        self.box.step(step)
        told = self.room.monitor.close(summary, self.now)
        self.room.settle()
        return told

    def window(self, **more):
        self.frames(5.0, **more)
        return self.close()


@pytest.fixture
def scene(tmp_path, monkeypatch):
    return lambda **settings: Scene(tmp_path, monkeypatch, **settings)


def recorded(scene, **settings):
    made = scene(auto_reference=False, **settings)
    made.room.monitor.record(5.0 * LEAST_WINDOWS * 2, made.now)
    for _ in range(2 * LEAST_WINDOWS):
        made.window()
    assert made.room.monitor.status()["reference"]
    return made


def test_frames_are_sampled_at_the_rate_asked_for(scene):
    slow, fast = scene(feature_fps=2.0), scene(feature_fps=30.0)
    for made in (slow, fast):
        made.window()  # the first one begins out of step
    assert slow.window()[0]["feature_samples"] == 10
    assert fast.window()[0]["feature_samples"] == 50


def test_faulty_pictures_stay_out_of_the_window_the_recording_and_the_judge(scene):
    made = recorded(scene)
    assert made.window()[0]["drift_state"] == "normal"
    for _ in range(4):
        fields, observations = made.window(usable=False, brightness=3)
        assert fields["feature_samples"] == 0
        assert fields["feature_samples_kept_out"] == 10
        assert fields["drift_state"] == "silent"
        assert observations == []
    made.frames(2.5)
    made.frames(2.5, usable=False, brightness=3)
    fields, _ = made.close()
    assert (fields["feature_samples"], fields["feature_samples_kept_out"]) == (5, 5)
    assert fields["feature_brightness_mean"] == pytest.approx(100, abs=2)
    for _ in range(20):
        assert made.window()[0]["drift_state"] == "normal", "black frames left no trace"


def test_the_same_picture_again_is_no_evidence(scene):
    made = recorded(scene)
    made.window()
    state = made.random.bit_generator.state
    for _ in range(50):
        made.random.bit_generator.state = state
        made.frames(0.1)
    fields, _ = made.close()
    assert fields["feature_samples"] <= 1
    assert fields["feature_samples_kept_out"] >= 9
    assert fields["drift_state"] in {"normal", "silent"}


def test_a_darker_picture_is_found_and_named(scene):
    made = recorded(scene)
    for _ in range(4):
        fields, observations = made.window(brightness=60)
    assert fields["drift_state"] == "drift"
    ratio = next(each for each in observations if each.metric == "drift.ratio")
    assert "brightness" in ratio.evidence["features"]
    now = ratio.evidence["features"]["brightness"]["now_p10_p50_p90"]
    then = ratio.evidence["features"]["brightness"]["normal_p10_p50_p90"]
    assert now[1] < then[0]


def test_the_sketches_sent_are_those_of_the_window_and_can_be_read_back(scene):
    made = scene()
    made.window()
    made.window()
    draft = made.room.published[-1]
    message = encode(draft, Stamp(prefix="v/s/d", device="d", boot="b-1", seq=1, at=made.now))
    body = json.loads(message.payload)
    check_payload("sketch", body)
    assert len(message.payload) < 6000
    window = WindowSketch.from_body(body)
    assert window.frames == 10
    assert window.sketches[0].quantiles([0.5])[0] == pytest.approx(100, abs=2)
    assert sum(window.classes.values()) >= 10


def test_sketches_need_not_be_sent(scene):
    made = scene(sketch_seconds=None)
    made.window()
    assert made.room.published == []


def test_a_window_without_any_frame_tells_so_and_nothing_more(scene):
    made = scene()
    made.monotonic += 5.0
    made.now += 5.0
    fields, observations = made.close()
    assert fields["feature_samples"] == 0
    assert observations == []
    assert made.room.published == []


@pytest.mark.parametrize("step", [3600.0, -86400.0])
def test_a_clock_that_was_set_is_noticed_and_its_window_left_out(scene, step):
    made = recorded(scene)
    made.frames(5.0)
    fields, observations = made.close(step=step)
    assert fields["drift_state"] == "silent"
    assert f"the clock was set by {step:+.0f} s" in fields["drift_reason"]
    assert not [each for each in observations if each.metric == "drift.ratio"]
    assert made.window()[0]["drift_state"] in {"normal", "silent"}


def test_leaving_keeps_what_was_recorded(scene):
    made = scene(reference_length=600.0)
    for _ in range(3):
        made.window()
    made.room.monitor.save(made.now)
    made.room.settle()
    made.room.new().open(made.now)
    assert made.room.monitor.status()["recording"]["windows"] == 3


def test_where_drift_is_off_nothing_is_measured(tmp_path):
    off = DriftMonitors(tmp_path, DriftSettings(enabled=False), 60.0, submit=print, publish=print)
    monitor = off.monitor("front", None)
    monitor.add_frame(None)
    monitor.save(0.0)
    assert monitor.close(None, 0.0) == ({}, [])
    assert monitor.skip(None) == {}


def test_a_camera_that_was_away_begins_with_an_empty_window_and_no_clock_was_set(scene):
    made = recorded(scene)
    made.frames(2.0)
    made.monotonic += 3600.0
    made.now += 3600.0
    made.room.monitor.restart()
    fields, _ = made.window()
    assert fields["feature_samples"] <= 11, "nothing of before"
    assert fields["drift_state"] == "normal"


def test_a_window_that_is_passed_over_is_told_but_neither_recorded_judged_nor_sent(scene):
    made = scene(reference_length=600.0)
    made.frames(2.0)
    summary = CameraSummary(camera="front", start=made.now - 2.0, end=made.now, body={}, sketches={})
    fields = made.room.monitor.skip(summary)
    assert fields["feature_samples"] == 5, "the first one begins out of step"
    assert fields["feature_brightness_mean"] == pytest.approx(100, abs=2)
    assert made.room.published == []
    assert made.room.monitor.status()["recording"]["windows"] == 0
    fields, _ = made.window()
    assert fields["feature_samples"] == 10, "the next window holds its own frames only"
    assert fields["drift_state"] == "learning", "and its clock was not set"
    assert made.room.monitor.status()["recording"]["windows"] == 1
