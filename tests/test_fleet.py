"""The fleet: real drawn cameras, each read by a part of its own, added, changed and removed while others go on."""

import time
from dataclasses import replace

import pytest
import structlog

from agent.board import FrameBoard
from agent.cameras.synthetic import SyntheticOptions
from agent.config.schema import CameraSettings, DriftSettings, Settings
from agent.fleet import Fleet, still_interval
from agent.plan import make_plan
from agent.supervisor import Supervisor
from agent.types import CameraState


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def drawn(name, **settings):
    return CameraSettings(name=name, kind="synthetic", options=SyntheticOptions(fps=20.0), **settings)


@pytest.fixture
def rig(tmp_path):
    """A fleet whose states are noted at once, and what was gone."""
    supervisor, board, gone = Supervisor(), FrameBoard(), []

    def told(status):
        fleet.note(status)

    fleet = Fleet(supervisor, board, tmp_path, told=told, gone=gone.append)
    yield fleet, board, gone
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
    fleet, board, gone = rig
    cameras = (drawn("a"), drawn("b"), drawn("off", enabled=False))
    old = Settings(state_directory=str(tmp_path), cameras=cameras)
    fleet.start(old)
    assert fleet.names == ["a", "b"]
    until(lambda: fleet.online() == 2)
    assert [status.camera for status in fleet.statuses] == ["a", "b"]
    untouched = fleet.camera("a")
    new = replace(old, cameras=(drawn("a"), drawn("b", max_fps=5.0), drawn("c")))
    said = change(fleet, old, new)
    assert said == ["camera b changed", "camera off removed", "camera c added"]
    assert (fleet.names, gone) == (["a", "b", "c"], ["b"])
    assert fleet.camera("a") is untouched
    until(lambda: fleet.online() == fleet.flowing() == 3)
    assert change(fleet, new, old) == ["camera b changed", "camera c removed", "camera off added"]
    assert gone == ["b", "b", "c"]
    assert fleet.take_counts("c") is None
    assert fleet.take_counts("a").seen > 0
    board.take(8, timeout=1.0)
    until(lambda: {frame.camera for frame in board.take(8, timeout=1.0)} <= {"a", "b"})
    assert fleet.stop(lambda: 5.0) == []


def test_the_last_word_of_a_camera_that_is_gone_is_not_kept(rig):
    fleet, _, _ = rig
    fleet.start(Settings(cameras=(drawn("a"),)))
    until(lambda: fleet.online() == 1)
    (status,) = fleet.statuses
    assert not fleet.note(replace(status, camera="gone", state=CameraState.DOWN))
    assert fleet.statuses == [status]


def test_a_still_scene_is_looked_at_as_often_as_features_are_measured():
    gated, plain = CameraSettings(name="a", motion_gate=5.0), CameraSettings(name="b")
    assert still_interval(gated, DriftSettings(feature_fps=2.0)) == 0.5
    assert still_interval(gated, DriftSettings(enabled=False)) == 5.0
    assert still_interval(plain, DriftSettings()) == 0.0
