"""Every state by content over a real RTSP stream: told, over, and its frames kept out of drift windows.

The health's patience is shortened here; `python -m benchmarks.cameras states` runs it as it is.
"""

import dataclasses
import sys
from functools import partial
from pathlib import Path

import pytest

from agent.cameras.health import inspector, stillness, timing
from agent.cameras.health import judge as health
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.cameras.kinds.synthetic.camera import SyntheticCamera, SyntheticOptions
from agent.core.types import CameraState

sys.path.append(str(Path(__file__).resolve().parents[2] / "servers"))

from feeding import FAULTS, FeedCamera
from proxy import Proxy

FPS = 12


@pytest.fixture
def impatient(monkeypatch):
    """Ten times as quick to judge."""
    quick = tuple(
        dataclasses.replace(f, enter=min(f.enter, 0.8), leave=min(f.leave, 0.8)) for f in health.FAULTS
    )
    monkeypatch.setattr(health, "FAULTS", quick)
    monkeypatch.setattr(health, "FIRST_SAMPLES", 16)
    monkeypatch.setattr(stillness, "FROZEN_SECONDS", 2.5)
    monkeypatch.setattr(health, "SAMPLE_SECONDS", 0.1)
    monkeypatch.setattr(inspector, "SAMPLE_SECONDS", 0.1)
    monkeypatch.setattr(timing, "BUCKET_SECONDS", 1.0)
    monkeypatch.setattr(timing, "BREAK_MEMORY_SECONDS", 2.0)


@pytest.fixture
def street(_rtsp_here, free_port):
    """A drawn street as an RTSP camera."""
    scene = SyntheticCamera("s", SyntheticOptions(width=320, height=184, fps=FPS, pace="fast", seed=3))
    scene.open()
    camera = FeedCamera(free_port(), (frame.image for frame in iter(scene.read, None)), FPS)
    camera.start()
    yield camera
    camera.close()


@pytest.fixture
def through(street):
    """The same through a proxy."""
    proxy = Proxy(street.port)
    proxy.start()
    yield proxy
    proxy.close()


def goes_through(run, state, begin, end):
    """`state` is told after `begin()` and is over after `end()`; meanwhile frames are not usable."""
    mark = len(run.statuses)
    begin()
    place = run.wait(state, timeout=12, after=mark)
    assert run.statuses[place].reason
    run.until(lambda: not run.frames[-1].usable)
    end()
    run.wait(CameraState.ONLINE, timeout=12, after=place)
    run.until(lambda: run.frames[-1].usable)
    told = [status.state for status in run.statuses[mark:]]
    mistaken = {CameraState.SLOW} - {state}  # on a box that is busy itself
    assert [one for one in told if one not in mistaken] == [state, CameraState.ONLINE]


@pytest.mark.parametrize("faults", [tuple(FAULTS), ("frozen", "slow", "stamps", "leaps")])
def test_each_state_comes_and_goes_with_its_cause(street, through, running, impatient, faults):
    camera = StreamCamera("front", StreamOptions(url=f"rtsp://127.0.0.1:{through.port}/live"))
    with running(camera) as run:
        run.wait(CameraState.ONLINE)
        run.until_frames(6 * FPS)  # its normal is learnt, its rate too
        for fault in faults:
            if fault in ("stamps", "leaps"):
                state, place, well = CameraState.BAD_TIMESTAMPS, (through, "mode"), "pass"
            else:
                state, place, well = CameraState(fault), (street, "fault"), ""
            goes_through(run, state, partial(setattr, *place, fault), partial(setattr, *place, well))
    assert run.reader.take_counts().reconnects == 0
