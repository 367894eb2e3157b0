"""How many files a frame passes on its way to a message, and a window's figures to an alert: bounded, by a trace.

A file is on a way when its code stands on the stack of a thread at one of the way's hand-overs.
"""

import threading
from itertools import pairwise
from pathlib import Path

import pytest
import structlog

import agent
from agent.app.service import Service
from agent.cameras.kinds.synthetic.camera import SyntheticOptions
from agent.config.alert_settings import RuleSettings
from agent.config.delivery_settings import BrokerSettings
from agent.config.schema import CameraSettings, Settings, WindowSettings

ROOT = f"{Path(agent.__file__).parent}/"
FRAME_TO_MESSAGE = (
    ("core/frame_slots.py", "put"),
    ("detection/session.py", "_detect"),
    ("pipeline/analyst.py", "deliver"),
    ("features/extract.py", "extract"),
    ("pipeline/camera_window.py", "add"),
    ("core/frame_slots.py", "take_counts"),
    ("cameras/reader.py", "take_counts"),
    ("pipeline/camera_window.py", "close"),
    ("delivery/handover.py", "put camera"),
    ("delivery/messages.py", "encode camera"),
)
VERDICT_TO_ALERT = (
    ("drift/sketch.py", "close"),
    ("alerts/engine.py", "step"),
    ("delivery/handover.py", "put alert"),
    ("notifiers/runner.py", "offer"),
    ("delivery/messages.py", "encode alert"),
)


class Trace:
    """The stack, as files of the agent, outermost first, at the first call of each function in `wanted`."""

    def __init__(self, wanted):
        self.wanted, self.stacks, self.complete = set(wanted), {}, threading.Event()

    def __call__(self, frame, event, _arg):
        path = frame.f_code.co_filename
        if event != "call" or not path.startswith(ROOT):
            return
        name, draft = frame.f_code.co_name, frame.f_locals.get("draft")
        key = (path.removeprefix(ROOT), f"{name} {draft.family}" if draft is not None else name)
        if key in self.wanted and key not in self.stacks:
            self.stacks[key] = self.stack(frame)
            if self.wanted == self.stacks.keys():
                self.complete.set()

    @staticmethod
    def stack(frame):
        files = []
        while frame is not None:
            path = frame.f_code.co_filename
            if path.startswith(ROOT) and "supervisor" not in path:
                files.append(path.removeprefix(ROOT))
            frame = frame.f_back
        return files[::-1]

    def hops(self, way):
        """The files of a way, and how often it goes from one to another."""
        stacks = [self.stacks[key] for key in way]
        changes = sum(a != b for stack in stacks for a, b in pairwise(stack))
        return {file for stack in stacks for file in stack}, changes


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    noted = Trace({*FRAME_TO_MESSAGE, *VERDICT_TO_ALERT})
    service = Service(
        Settings(
            state_directory=str(tmp_path_factory.mktemp("state")),
            broker=BrokerSettings(url="mqtt://127.0.0.1:1"),
            windows=WindowSettings(length=1.0),
            rules=(RuleSettings(name="few", when="camera.frames_inferred < 100000", severity="warning"),),
            cameras=(CameraSettings(name="drawn", kind="synthetic", options=SyntheticOptions(fps=20.0)),),
        )
    )
    threading.setprofile(noted)
    service.open()
    service.start()
    try:
        assert noted.complete.wait(30), noted.wanted - noted.stacks.keys()
    finally:
        threading.setprofile(None)
        service.stop()
        structlog.reset_defaults()
    return noted


@pytest.mark.xdist_group("hops")  # one service is traced for both
@pytest.mark.parametrize(("way", "most"), [(FRAME_TO_MESSAGE, 19), (VERDICT_TO_ALERT, 13)])
def test_a_way_passes_few_files(trace, way, most):
    files, changes = trace.hops(way)
    print(len(files), changes, {key[1]: trace.stacks[key] for key in way})
    assert len(files) <= most, sorted(files)
