"""The agent goes on, answers and stops whatever becomes of the pipe or terminal that its log goes to."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 90


@pytest.fixture
def start(tmp_path):
    made = []

    def start(stderr):
        made.append(
            subprocess.Popen(
                [sys.executable, "-m", "agent", "run", "--source", "synthetic", "--state", str(tmp_path / "state")],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env={**os.environ, "TERM": "xterm"},
            )
        )  # fmt: skip
        return made[-1]

    yield start
    for process in made:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def answers(tmp_path):
    """Whether `vedette status` answers and frames go through the model."""
    asked = subprocess.run(
        [sys.executable, "-m", "agent", "status", "--state", str(tmp_path / "state")],
        cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return asked.returncode == 0 and "online" in asked.stdout


def test_a_pipe_that_nobody_reads_and_then_nobody_holds(start, tmp_path):
    reader, end = os.pipe()
    os.set_blocking(end, False)
    size = os.write(end, b"-" * fcntl.fcntl(end, fcntl.F_GETPIPE_SZ))
    os.set_blocking(end, True)
    agent = start(end)
    os.close(end)
    wait_until(lambda: answers(tmp_path), SECONDS)
    assert os.read(reader, size) == b"-" * size, "full, not a line went in"
    text = b""
    while b"vedette is running" not in text:
        text += os.read(reader, 65536)
    assert text.index(b"model is ready") < text.index(b"vedette is running")
    os.close(reader)
    agent.send_signal(signal.SIGHUP)  # is answered by a line in the log
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(SECONDS) == 0


def test_a_terminal_stopped_by_ctrl_s(start, tmp_path):
    controller, terminal = pty.openpty()
    termios.tcflow(terminal, termios.TCOOFF)
    agent = start(terminal)
    wait_until(lambda: answers(tmp_path), SECONDS)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(SECONDS) == 0
    os.close(terminal)
    os.close(controller)
