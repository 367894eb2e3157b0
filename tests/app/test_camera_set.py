"""The camera set: real drawn cameras, each read by a worker of its own, added, changed and removed while others go on."""

import threading
import time
from dataclasses import replace

import pytest
import structlog

from agent.app.camera_set import CameraSet, still_interval
from agent.app.reload_plan import make_plan
from agent.app.supervisor import Supervisor
from agent.cameras.kinds.stream_options import StreamOptions
from agent.cameras.kinds.synthetic.camera import SyntheticOptions
from agent.config.schema import CameraSettings, DriftSettings, Settings
from agent.core.frame_slots import FrameSlots
from agent.core.scope import WHOLE
from tests.cameras.conftest import write_video
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def drawn(name, **settings):
    return CameraSettings(name=name, kind="synthetic", options=SyntheticOptions(fps=20.0), **settings)


class Observer:
    """Notes the active cameras, each time that they change."""

    def __init__(self):
        self.active = []

    def status_changed(self, status, since_ns):
        pass

    def set_cameras(self, active):
        self.active.append(active)


@pytest.fixture
def rig(tmp_path):
    """A camera set, and the active cameras that it reported."""
    supervisor, slots, observer = Supervisor(), FrameSlots(), Observer()
    camera_set = CameraSet(supervisor, slots, tmp_path, observer)
    yield camera_set, slots, observer.active
    supervisor.stop(5.0)


def change(camera_set, old, new):
    plan = make_plan(old, new, about=None)  # (what the exporter, unchanged here, would tell)
    return camera_set.change(old, new, plan.cameras)


def test_cameras_are_watched_changed_and_removed_and_the_others_never_notice(rig, tmp_path):
    camera_set, slots, active = rig
    cameras = (drawn("a"), drawn("b"), drawn("off", enabled=False))
    old = Settings(state_directory=str(tmp_path), cameras=cameras)
    camera_set.start(old)
    assert camera_set.names == ["a", "b"]
    wait_until(lambda: camera_set.online() == 2)
    assert [status.camera for status in camera_set.statuses] == ["a", "b"]
    untouched = camera_set.camera("a")
    new = replace(old, cameras=(drawn("a"), drawn("b", max_fps=5.0), drawn("c")))
    changed = change(camera_set, old, new)
    assert changed.done == ["camera b changed", "camera off removed", "camera c added"]
    assert changed.failed == {}
    assert camera_set.names == list(active[-1]) == ["a", "b", "c"]
    assert active[-1]["a"] is active[0]["a"]
    assert active[-1]["b"].since_ns > active[0]["b"].since_ns
    assert camera_set.camera("a") is untouched
    wait_until(lambda: camera_set.online() == camera_set.flowing() == 3)
    assert change(camera_set, new, old).done == ["camera b changed", "camera c removed", "camera off added"]
    assert list(active[-1]) == ["a", "b"]
    assert len(active) == 3, "each change is one change"
    assert active[-1]["a"].take_counts().seen > 0
    slots.take(8, timeout=1.0)
    wait_until(lambda: {frame.camera for frame in slots.take(8, timeout=1.0)} <= {"a", "b"})
    assert camera_set.stop(lambda: 5.0) == []


def test_what_the_model_says_of_a_cameras_frames_stands_in_its_status(rig, tmp_path):
    camera_set, slots, _ = rig
    camera_set.start(Settings(state_directory=str(tmp_path), cameras=(drawn("a"), drawn("b"))))
    wait_until(lambda: slots.take(8, timeout=0.1) and camera_set.online() == 2)

    def reasons():
        return {status.camera: status.reason for status in camera_set.statuses}

    camera_set.note("a", "the model fails on its frames")
    camera_set.note("gone", "unheard")
    wait_until(lambda: reasons() == {"a": "the model fails on its frames", "b": ""})
    assert camera_set.online() == 2, "that is no fault of the camera"
    camera_set.note("a", "")
    wait_until(lambda: reasons() == {"a": "", "b": ""})


CORNER = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5))


def test_masks_and_zones_are_changed_in_place_and_a_privacy_mask_with_the_camera(rig, tmp_path):
    camera_set, slots, active = rig
    old = Settings(state_directory=str(tmp_path), cameras=(drawn("a"), drawn("b")))
    camera_set.start(old)
    frames = {}

    def scopes():
        frames.update({one.camera: one for one in slots.take(8, timeout=1.0)})
        return {name: one.scope for name, one in frames.items()}

    wait_until(lambda: scopes().keys() == {"a", "b"})
    kept = camera_set.camera("a")
    scoped = drawn("a", ignore_masks=(CORNER,), include_zones=(CORNER,), classes=("car",), confidence=0.5)
    new = replace(old, cameras=(scoped, drawn("b")))
    assert change(camera_set, old, new).done == ["camera a changed"]
    wait_until(lambda: scopes()["a"] == scoped.scope)
    assert scopes()["b"] == WHOLE
    assert camera_set.camera("a") is kept
    assert active[-1]["a"] is active[0]["a"]
    assert camera_set.is_current(frames["a"])
    hidden = replace(new, cameras=(replace(scoped, privacy_masks=(CORNER,)), drawn("b")))
    assert change(camera_set, new, hidden).done == ["camera a changed"]
    assert camera_set.camera("a") is not kept
    assert not camera_set.is_current(frames["a"])
    wait_until(lambda: scopes()["a"].ignored == (CORNER, CORNER))
    assert not frames["a"].image[10, 100].any()


def test_frames_of_a_camera_that_was_removed_or_changed_are_known_as_such(rig, tmp_path):
    camera_set, slots, _ = rig
    old = Settings(state_directory=str(tmp_path), cameras=(drawn("a"), drawn("b"), drawn("c")))
    camera_set.start(old)
    frames = {}
    wait_until(
        lambda: frames.update({one.camera: one for one in slots.take(8, timeout=1.0)}) or len(frames) == 3
    )
    assert all(camera_set.is_current(one) for one in frames.values())
    change(camera_set, old, replace(old, cameras=(drawn("a"), drawn("b", max_fps=5.0))))
    assert {name for name, one in frames.items() if camera_set.is_current(one)} == {"a"}
    wait_until(
        lambda: any(one.camera == "b" and camera_set.is_current(one) for one in slots.take(8, timeout=1.0))
    )


def test_a_camera_that_is_replaced_is_not_at_its_end_though_all_others_are(rig, tmp_path):
    camera_set, slots, _ = rig
    film = write_video(tmp_path / "a.mp4", frames=3)
    done = CameraSettings(name="done", kind="stream", options=StreamOptions(url=str(film)))
    live = drawn("live")
    old = Settings(state_directory=str(tmp_path), cameras=(done, live))
    camera_set.start(old)
    wait_until(
        lambda: [slots.take(8, timeout=0.1)] and "ended" in {one.state.value for one in camera_set.statuses}
    )
    ended, over = [], threading.Event()

    def look():
        while not over.is_set():
            ended.append(camera_set.ended())

    looking = threading.Thread(target=look)
    looking.start()
    for turn in range(4):
        new = replace(old, cameras=(done, drawn("live", max_fps=5.0 + turn)))
        change(camera_set, old, new)
        old = new
    over.set()
    looking.join()
    assert ended
    assert not any(ended)
    change(camera_set, old, replace(old, cameras=(done,)))
    assert camera_set.ended(), "what is left has ended"


class Hung:
    """A camera whose driver hangs in `read`, and even in `close`."""

    def __init__(self, name, release):
        self.name, self.release, self.reading = name, release, threading.Event()

    def open(self):
        pass

    def read(self):
        self.reading.set()
        self.release.wait()

    def close(self):
        pass


def test_cameras_that_hang_are_stopped_together_and_hold_up_no_reload(rig, tmp_path):
    camera_set, _, _ = rig
    release, names = threading.Event(), [f"hung{number}" for number in range(34)]
    old = Settings(state_directory=str(tmp_path), cameras=(drawn("a"),))
    camera_set.start(old)
    new = replace(old, cameras=(drawn("a"), *(drawn(name) for name in names)))
    hung = [(settings, Hung(settings.name, release)) for settings in new.cameras[1:]]
    camera_set.change(old, new, hung)
    assert all(camera.reading.wait(10) for _, camera in hung)
    began = time.monotonic()
    camera_set.change(new, old, [])
    assert time.monotonic() - began < 6.0
    assert camera_set.names == ["a"]
    wait_until(lambda: camera_set.online() == 1)
    release.set()


def test_a_camera_that_cannot_be_started_is_told_and_the_others_are_watched(rig, tmp_path, monkeypatch):
    camera_set, _, active = rig
    old = Settings(state_directory=str(tmp_path), cameras=(drawn("a"),))
    camera_set.start(old)
    add = camera_set._supervisor.add

    def refuse(worker):
        if worker.name == "camera-b":
            raise RuntimeError("can't start new thread")
        add(worker)

    monkeypatch.setattr(camera_set._supervisor, "add", refuse)
    changed = change(camera_set, old, replace(old, cameras=(drawn("a"), drawn("b"), drawn("c"))))
    assert changed.failed == {"b": "can't start new thread"}
    assert camera_set.names == list(active[-1]) == ["a", "c"]
    wait_until(lambda: camera_set.online() == 2)


def test_a_still_scene_is_looked_at_as_often_as_features_are_measured():
    gated, plain = CameraSettings(name="a", motion_gate=5.0), CameraSettings(name="b")
    assert still_interval(gated, DriftSettings(feature_fps=2.0)) == 0.5
    assert still_interval(gated, DriftSettings(enabled=False)) == 5.0
    assert still_interval(plain, DriftSettings()) == 0.0
