"""The live lines of `vedette run`: below the log on a terminal, nowhere else."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

from agent.cli import live as live_module
from agent.cli.live import CameraActivity, LiveState, RecentFrames, Screen, columns, cut, lines
from agent.core.types import Detections, Frame, FrameResult, StageSeconds

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 90


class Terminal:
    """What a terminal shows: understands line ends, returns, moves up and erasing below."""

    def __init__(self):
        self.rows, self.row, self.raw = [""], 0, ""

    def write(self, text):
        self.raw += text
        for piece in re.findall(r"\x1b\[\d*[A-Za-z]|[\r\n]|[^\x1b\r\n]+|\x1b\[[\d;]*m", text):
            if piece == "\n":
                self.row += 1
                self.rows += [""] * (self.row + 1 - len(self.rows))
            elif piece.endswith("A") and piece.startswith("\x1b"):
                self.row -= int(piece[2:-1])
            elif piece == "\x1b[J":
                self.rows = [*self.rows[: self.row], ""]
            elif piece != "\r" and not piece.startswith("\x1b"):
                self.rows[self.row] += piece

    def flush(self):
        pass


def activity(**more):
    return CameraActivity(**{"fps": 14.96, "p50": 0.0521, "p99": 0.088, "boxes": {0: 1, 2: 3}, **more})


def live(*cameras, firing=(), broker="connected", names=("person", "bike", "car")):
    return LiveState(
        cameras=cameras or [("front", "online", activity())],
        firing=firing,
        broker=broker,
        class_name=lambda class_id: names[class_id],
    )


def test_a_camera_shows_its_rate_its_latency_and_the_boxes_by_class():
    drawn = lines(live(firing=["drift front"]), 120)
    assert drawn[0].split() == [
        "front",
        "online",
        "15.0",
        "frames/s",
        "52/88",
        "ms",
        "(p50/p99)",
        "3",
        "car,",
        "1",
        "person",
    ]
    assert drawn[1] == "15.0 frames/s | 1 firing: drift front | broker connected | Ctrl-C stops"
    assert "no broker: messages wait on disk" in lines(live(broker="waiting"), 120)[-1]


def test_a_camera_without_frames_shows_its_state_alone():
    assert lines(live(("yard", "down", CameraActivity(boxes={}))), 80)[0].split() == ["yard", "down"]


@pytest.mark.parametrize("width", [20, 40, 79])
def test_no_line_is_wider_than_the_terminal_whatever_a_class_or_camera_is_called(width):
    names = ("事故" * 30, "e\u0301" * 30, "x" * 300)
    cameras = [("玄関カメラ", "online", activity()), ("a" * 60, "online", activity())]
    drawn = lines(live(*cameras, names=names, firing=["f" * 300]), width)
    assert all(columns(line) <= width for line in drawn)
    assert drawn[0].startswith("玄関カメラ"[: width // 2 - 2])


def test_names_from_outside_move_no_cursor():
    drawn = lines(live(("a\x1b[2J", "online", activity()), names=("\x1b]52;c;eA==\x07", "b", "\u202ec")), 200)
    assert not re.search("[\x00-\x1f\x7f\u202e]", "".join(drawn))


def test_many_cameras_take_no_more_than_a_few_lines():
    drawn = lines(live(*[(f"c{number}", "online", activity()) for number in range(40)]), 80)
    assert len(drawn) <= 10
    assert drawn[-2] == "... and 32 more cameras"
    assert drawn[-1].startswith("598.4 frames/s")


def test_cut_leaves_short_text_alone():
    assert cut("short", 5) == "short"
    assert cut("longer", 5) == "long…"
    assert cut("事故事故", 5) == "事故…"


def result(camera, total, classes=(0,)):
    count = len(classes)
    found = Detections(
        boxes=np.zeros((count, 4), np.float32),
        scores=np.ones(count, np.float32),
        class_ids=np.array(classes, np.int64),
        threshold=0.25,
        candidates=count,
    )
    frame = Frame(
        camera=camera, index=0, image=np.zeros((4, 4, 3), np.uint8), captured_at=0.0, monotonic_ns=0
    )
    times = StageSeconds(decode=0, wait=0, preprocess=0, inference=0, postprocess=0, total=total)
    return FrameResult(frame=frame, detections=found, stages=times, batch=1)


def test_activity_is_that_of_the_last_seconds_only(monkeypatch):
    frames = RecentFrames()
    now = 100.0
    monkeypatch.setattr(live_module.clock, "monotonic", lambda: now)
    for number in range(1, 11):
        frames.add(result("front", number / 100, classes=(0,) * number))
    found = frames.activity("front", now)
    assert found.fps == pytest.approx(10, abs=0.1), (
        "over a second at the least, so that one frame is no 1000 a second"
    )
    assert (found.p50, found.boxes) == (pytest.approx(0.055), {0: 10})
    assert frames.activity("front", now + 60).p50 is None
    assert frames.activity("nosuch", now).fps == 0


def test_the_log_scrolls_above_the_live_lines():
    terminal = Terminal()
    screen = Screen(terminal)
    screen.write("before\n")
    screen.show(["one", "two"])
    screen.write("first\n")
    screen.show(["three", "four"])
    screen.write("sec")
    screen.write("ond\nthird\n")
    screen.show(["five"])
    assert terminal.rows == ["before", "first", "second", "third", "five", ""]
    screen.show([])
    screen.write("after\n")
    assert terminal.rows == ["before", "first", "second", "third", "after", ""]


class Typed:
    """`vedette run` on a terminal of its own."""

    def __init__(self, state, *words, term="xterm-256color"):
        controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "--source", "synthetic", "--state", str(state), *words],
            cwd=ROOT,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**os.environ, "TERM": term},
        )
        os.close(terminal)
        self.controller, self.text = controller, ""

    def read(self, until=None):
        """Until the pattern was written, or the end."""
        deadline = time.monotonic() + SECONDS
        while until is None or not re.search(until, self.text):
            assert time.monotonic() < deadline, self.text
            if not select.select([self.controller], [], [], 1.0)[0]:
                continue
            try:
                piece = os.read(self.controller, 65536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            self.text += piece.decode(errors="replace")
        return self.text


@pytest.fixture
def typed(tmp_path):
    made = []

    def start(*words, **more):
        made.append(Typed(tmp_path / "state", *words, **more))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait(10)
        os.close(each.controller)


def test_on_a_terminal_figures_are_live_and_the_log_is_whole_above_them(typed):
    agent = typed()
    assert "loading the model" in agent.read(until=r"loading the model")
    text = agent.read(until=r"synthetic  online .*frames/s +\d+/\d+ ms .*")
    assert "vedette snapshot --state" in text, "it says how to see more"
    assert "vedette alerts --state" in text
    assert "vedette watch --broker mqtt://127.0.0.1:1883" in text
    agent.process.send_signal(signal.SIGINT)
    agent.read()
    assert agent.process.wait(20) == 0
    terminal = Terminal()
    terminal.write(re.sub(r"\x1b\[[\d;]*m", "", agent.text.replace("\r\n", "\n")))
    assert not any("Ctrl-C stops" in row for row in terminal.rows), "the live lines are taken off at the end"
    for event in ("model is ready", "vedette is running", "stopping"):
        assert sum(bool(re.match(rf"\d\d:\d\d:\d\d \[\w+ *\] {event}", row)) for row in terminal.rows) == 1, (
            event
        )


def test_a_terminal_that_can_do_nothing_gets_lines_only(typed):
    agent = typed("--seconds", "0.5", term="dumb")
    text = agent.read()
    assert "vedette is running" in text
    assert "Ctrl-C stops" not in text
    assert "\x1b[J" not in text


def test_without_a_terminal_nothing_is_drawn_and_nothing_for_it_imported(tmp_path):
    code = (
        "import sys; from agent.__main__ import main;"
        f"main(['run', '--source', 'synthetic', '--state', {str(tmp_path)!r}, '--seconds', '0.5']);"
        "print([name for name in sys.modules if name.partition('.')[0] == 'rich' or name == 'agent.cli.live'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )
    assert "vedette is running" in done.stderr
    assert len(done.stderr.splitlines()) <= 11, "a start and a stop, with one camera and no broker"
    assert "frames/s" not in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stdout.strip() == "[]"
