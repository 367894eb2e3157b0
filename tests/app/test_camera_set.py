"""The fleet: real drawn cameras, each read by a part of its own, added, changed and removed while others go on."""

import threading
import time
from dataclasses import replace

import pytest
import structlog

from agent.app.camera_set import Fleet, still_interval
from agent.app.reload_plan import make_plan
from agent.app.supervisor import Supervisor
from agent.cameras.kinds.stream import StreamOptions
from agent.cameras.kinds.synthetic.camera import SyntheticOptions
from agent.config.schema import CameraSettings, DriftSettings, Settings
from agent.core.frame_slots import FrameBoard
from tests.cameras.conftest import write_video


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def drawn(name, **settings):
    return CameraSettings(name=name, kind="synthetic", options=SyntheticOptions(fps=20.0), **settings)


@pytest.fixture
def rig(tmp_path):
    """A fleet, and the casts that it gave."""
    supervisor, board, casts = Supervisor(), FrameBoard(), []
    fleet = Fleet(supervisor, board, tmp_path, told=lambda *_: None, cast=casts.append)
    yield fleet, board, casts
    supervisor.stop(5.0)


def until(done):
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def change(fleet, old, new):
    plan = make_plan(old, new, about=None)  # (what the exporter, unchanged here, would tell)
    return fleet.change(old, new, plan.cameras)


def test_cameras_are_watched_changed_and_removed_and_the_others_never_notice(rig, tmp_path):
    fleet, board, casts = rig
    cameras = (drawn("a"), drawn("b"), drawn("off", enabled=False))
    old = Settings(state_directory=str(tmp_path), cameras=cameras)
    fleet.start(old)
    assert fleet.names == ["a", "b"]
    until(lambda: fleet.online() == 2)
    assert [status.camera for status in fleet.statuses] == ["a", "b"]
    untouched = fleet.camera("a")
    new = replace(old, cameras=(drawn("a"), drawn("b", max_fps=5.0), drawn("c")))
    changed = change(fleet, old, new)
    assert changed.said == ["camera b changed", "camera off removed", "camera c added"]
    assert changed.failed == {}
    assert fleet.names == list(casts[-1]) == ["a", "b", "c"]
    assert casts[-1]["a"] is casts[0]["a"]
    assert casts[-1]["b"].since_ns > casts[0]["b"].since_ns
    assert fleet.camera("a") is untouched
    until(lambda: fleet.online() == fleet.flowing() == 3)
    assert change(fleet, new, old).said == ["camera b changed", "camera c removed", "camera off added"]
    assert list(casts[-1]) == ["a", "b"]
    assert len(casts) == 3, "each change is one change"
    assert casts[-1]["a"].take_counts().seen > 0
    board.take(8, timeout=1.0)
    until(lambda: {frame.camera for frame in board.take(8, timeout=1.0)} <= {"a", "b"})
    assert fleet.stop(lambda: 5.0) == []


def test_frames_of_a_camera_that_was_removed_or_changed_are_known_as_such(rig, tmp_path):
    fleet, board, _ = rig
    old = Settings(state_directory=str(tmp_path), cameras=(drawn("a"), drawn("b"), drawn("c")))
    fleet.start(old)
    frames = {}
    until(lambda: frames.update({one.camera: one for one in board.take(8, timeout=1.0)}) or len(frames) == 3)
    assert all(fleet.watches(one) for one in frames.values())
    change(fleet, old, replace(old, cameras=(drawn("a"), drawn("b", max_fps=5.0))))
    assert {name for name, one in frames.items() if fleet.watches(one)} == {"a"}
    until(lambda: any(one.camera == "b" and fleet.watches(one) for one in board.take(8, timeout=1.0)))


def test_a_camera_that_is_replaced_is_not_at_its_end_though_all_others_are(rig, tmp_path):
    fleet, board, _ = rig
    film = write_video(tmp_path / "a.mp4", frames=3)
    done = CameraSettings(name="done", kind="stream", options=StreamOptions(url=str(film)))
    live = drawn("live")
    old = Settings(state_directory=str(tmp_path), cameras=(done, live))
    fleet.start(old)
    until(lambda: [board.take(8, timeout=0.1)] and "ended" in {one.state.value for one in fleet.statuses})
    ended, over = [], threading.Event()

    def look():
        while not over.is_set():
            ended.append(fleet.ended())

    looking = threading.Thread(target=look)
    looking.start()
    for turn in range(4):
        new = replace(old, cameras=(done, drawn("live", max_fps=5.0 + turn)))
        change(fleet, old, new)
        old = new
    over.set()
    looking.join()
    assert ended
    assert not any(ended)
    change(fleet, old, replace(old, cameras=(done,)))
    assert fleet.ended(), "what is left has ended"


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
    fleet, _, _ = rig
    release, names = threading.Event(), [f"hung{number}" for number in range(34)]
    old = Settings(state_directory=str(tmp_path), cameras=(drawn("a"),))
    fleet.start(old)
    new = replace(old, cameras=(drawn("a"), *(drawn(name) for name in names)))
    hung = [(settings, Hung(settings.name, release)) for settings in new.cameras[1:]]
    fleet.change(old, new, hung)
    assert all(camera.reading.wait(10) for _, camera in hung)
    began = time.monotonic()
    fleet.change(new, old, [])
    assert time.monotonic() - began < 6.0
    assert fleet.names == ["a"]
    until(lambda: fleet.online() == 1)
    release.set()


def test_a_camera_that_cannot_be_started_is_told_and_the_others_are_watched(rig, tmp_path, monkeypatch):
    fleet, _, casts = rig
    old = Settings(state_directory=str(tmp_path), cameras=(drawn("a"),))
    fleet.start(old)
    add = fleet._supervisor.add

    def refuse(part):
        if part.name == "camera-b":
            raise RuntimeError("can't start new thread")
        add(part)

    monkeypatch.setattr(fleet._supervisor, "add", refuse)
    changed = change(fleet, old, replace(old, cameras=(drawn("a"), drawn("b"), drawn("c"))))
    assert changed.failed == {"b": "can't start new thread"}
    assert fleet.names == list(casts[-1]) == ["a", "c"]
    until(lambda: fleet.online() == 2)


def test_a_still_scene_is_looked_at_as_often_as_features_are_measured():
    gated, plain = CameraSettings(name="a", motion_gate=5.0), CameraSettings(name="b")
    assert still_interval(gated, DriftSettings(feature_fps=2.0)) == 0.5
    assert still_interval(gated, DriftSettings(enabled=False)) == 5.0
    assert still_interval(plain, DriftSettings()) == 0.0
