"""A whole agent on a box that is suspended: it stands still, and wall and boot time have gone on when it goes on.

The box is not suspended here: a library before libc's clocks adds what has been slept, and SIGSTOP holds the agent meanwhile.
"""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.delivery.messages import unix_time

ROOT = Path(__file__).parents[2]
HOURS_2 = 7200.0
CONFIG = """
state_directory = "{state}"
[device]
name = "box"
[broker]
url = "{url}"
[windows]
length = "2s"
[[cameras]]
name = "front"
kind = "synthetic"
fps = 2
[[cameras]]
name = "dead"
url = "rtsp://127.0.0.1:9/live"
[[rules]]
name = "camera_down"
for = "1s"
"""


class Box:
    """An agent that can be put to sleep."""

    def __init__(self, folder, url):
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler")
        self._slept, library, self.config = folder / "slept", folder / "suspend.so", folder / "config.toml"
        source = Path(__file__).with_name("suspend.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self._slept.write_bytes(bytes(8))
        self.config.write_text(CONFIG.format(state=folder / "state", url=url))
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "--config", self.config],
            env={**os.environ, "SLEPT": str(self._slept), "LD_PRELOAD": str(library)},
            cwd=ROOT,
            stdout=self._log,
            stderr=self._log,
        )

    def sleep(self, seconds):
        self._process.send_signal(signal.SIGSTOP)
        with self._slept.open("r+b") as file:
            file.write(struct.pack("<q", int(seconds * 1e6)))
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words):
        words = [sys.executable, "-m", "agent", *words, "--config", str(self.config)]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    def close(self):
        self._process.kill()
        self._process.wait(10)
        self._log.close()


@pytest.fixture
def broker(mosquitto):
    return mosquitto()


@pytest.fixture
def box(tmp_path, broker):
    made = Box(tmp_path, broker.url)
    yield made
    made.close()


def windows(listener):
    return [body for body in listener.bodies("camera/front") if "start" in body]


@pytest.mark.broker
@pytest.mark.timeout(180)
def test_a_box_that_slept_for_two_hours_goes_on_as_if_it_had_not(box, broker, listen):
    listener = listen(broker.port, "vedette/#")
    listener.wait(lambda _: any(body["rule"] == "camera_down" for body in listener.bodies("alert/")), 60)
    box.ask("alerts", "mute", "--rule", "latency_p99", "--for", "1h")
    box.ask("alerts", "mute", "--rule", "no_frames", "--for", "3h")
    listener.wait(lambda _: len(windows(listener)) >= 3, 30)
    before, alerts = len(windows(listener)), len(listener.bodies("alert/"))
    box.sleep(HOURS_2)
    listener.wait(lambda _: len(windows(listener)) >= before + 6, 60)
    later = windows(listener)[before:]
    assert unix_time(later[-1]["time"]) == pytest.approx(time.time() + HOURS_2, abs=30)
    awake = [body for body in later if unix_time(body["end"]) - unix_time(body["start"]) < 10]
    assert len(awake) >= len(later) - 1, "one window at most holds the sleep"
    told = [(body["id"], body["event"], body["what"]) for body in listener.bodies("alert/")[alerts:]]
    assert told == [], "nothing has fired, ended or begun again"
    assert "camera_down" in box.ask("alerts")
    controls = box.ask("alerts", "controls")
    assert "no_frames" in controls
    assert "latency_p99" not in controls, "the time asleep counts for people"
    assert listener.bodies("/status")[-1]["state"] in ("online", "degraded")
