"""A decoder that crashes the agent does so once: the next start reads that camera apart, the others as ever."""

import ctypes
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agent.cameras.isolation.isolated import IsolatedCamera
from agent.cameras.isolation.quarantine import (
    CRASH_FILE,
    EVERY,
    LAST_CRASH_FILE,
    QUARANTINE_FILE,
    Quarantine,
    camera_for,
    load,
    marks,
)
from agent.cameras.kinds.stream import StreamCamera
from agent.cameras.kinds.stream_options import StreamOptions
from agent.config.schema import CameraSettings
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
MARKS = {EVERY: "av 1", "front": "f1", "back": "b1"}


def settings(name="front", isolate="auto", **options):
    return CameraSettings(name=name, isolate=isolate, options=StreamOptions(**{"url": "/a.mp4", **options}))


# -- the laws --------------------------------------------------------------------------------------------------


def test_a_suspected_camera_is_held_and_no_other():
    after = Quarantine().after_crash(("front",), MARKS, 100.0)
    assert (after.holds("front", MARKS), after.holds("back", MARKS)) == (True, False)


def test_three_crashes_in_ten_minutes_hold_every_camera():
    quarantine = Quarantine()
    for at, held in ((0.0, False), (300.0, False), (599.0, True)):
        quarantine = quarantine.after_crash((), MARKS, at)
        assert quarantine.holds("back", MARKS) is held


def test_three_crashes_over_a_day_do_not():
    quarantine = Quarantine()
    for at in (0.0, 700.0, 40_000.0):
        quarantine = quarantine.after_crash((), MARKS, at)
    assert not quarantine.holds("back", MARKS)


@pytest.mark.parametrize("change", [{"front": "f2"}, {EVERY: "av 2", "front": "f2"}])
def test_other_settings_or_another_library_end_it(change):
    after = Quarantine().after_crash(("front",), MARKS, 0.0)
    assert not after.holds("front", {**MARKS, **change})


def test_a_camera_that_is_gone_is_passed_over():
    assert Quarantine().after_crash(("gone",), MARKS, 0.0).cameras == {}


def test_marks_follow_the_settings_and_hold_no_secret():
    one, other = marks([settings(password="geheim")]), marks([settings(url="/b.mp4")])
    assert one["front"] != other["front"]
    assert one["front"] == marks([settings(password="anders")])["front"]
    assert "geheim" not in str(one)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"crashes": 3, "cameras": {}}', '{"crashes": [], "cameras": 1}']
)
def test_an_unreadable_file_holds_nobody(tmp_path, content):
    (tmp_path / QUARANTINE_FILE).write_text(content)
    assert load(tmp_path) == Quarantine()
    assert isinstance(camera_for(settings(), tmp_path), StreamCamera)


def test_the_setting_goes_before_the_quarantine(tmp_path):
    import json

    held = {"crashes": [], "cameras": {"front": marks([settings()])["front"]}}
    (tmp_path / QUARANTINE_FILE).write_text(json.dumps(held))
    for isolate, kind in (("auto", IsolatedCamera), ("always", IsolatedCamera), ("never", StreamCamera)):
        assert type(camera_for(settings(isolate=isolate), tmp_path)) is kind


# -- what the last run left ------------------------------------------------------------------------------------

LAST_WORDS = """\
Fatal Python error: {cause}

Current thread 0x00007f30a26946c0 (most recent call first):
  File "/x/agent/cli/run.py", line 135 in attend
  File "/x/bin/vedette", line 8 in <module>
"""


@pytest.mark.parametrize(("cause", "counted"), [("Aborted", 0), ("Segmentation fault", 1)])
def test_the_watchdogs_end_is_told_and_counts_as_no_crash(tmp_path, cause, counted):
    (tmp_path / CRASH_FILE).write_text(LAST_WORDS.format(cause=cause))
    script = f"from pathlib import Path; from agent.cameras.isolation.quarantine import watch; watch(Path({str(tmp_path)!r}), [])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "the agent crashed when it last ran" in done.stdout + done.stderr
    assert (tmp_path / LAST_CRASH_FILE).exists()
    assert len(load(tmp_path).crashes) == counted


# -- the running agent -----------------------------------------------------------------------------------------


class Agent:
    """`vedette run` with its journal in a file."""

    def __init__(self, folder, run):
        self.journal_file = folder / f"journal-{run}.txt"
        with self.journal_file.open("w") as log:
            command = [sys.executable, "-m", "agent", "run", "--config", str(folder / "v.toml")]
            self.process = psutil.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def journal(self):
        return self.journal_file.read_text()

    def wait(self, text, count=1, timeout=90):
        wait_until(lambda: self.journal().count(text) >= count, timeout, self.journal, every=0.05)

    def crash_thread(self, name):
        """A real SIGSEGV in the thread that the kernel calls `name`."""
        pid = self.process.pid
        thread = next(
            t for t in Path(f"/proc/{pid}/task").iterdir() if (t / "comm").read_text() == f"{name}\n"
        )
        assert ctypes.CDLL(None).tgkill(pid, int(thread.name), signal.SIGSEGV) == 0
        assert self.process.wait(20) == -signal.SIGSEGV


@pytest.mark.timeout(300)  # the agent is started twice, which takes long on a busy machine
def test_a_decoder_crash_ends_the_agent_once_and_then_only_its_own_process(tmp_path, video):
    for name in ("front", "back"):
        video(f"{name}.mp4", frames=60)
    cameras = "".join(
        f'[[cameras]]\nname = "{name}"\nurl = "{name}.mp4"\nloop = true\n' for name in ("front", "back")
    )
    (tmp_path / "v.toml").write_text(
        f'state_directory = "{tmp_path}/state"\n[broker]\nurl = "mqtt://127.0.0.1:9"\n{cameras}'
    )
    agent = Agent(tmp_path, 1)
    agent.wait("camera is online", count=2)
    agent.crash_thread("cam-front")

    agent = Agent(tmp_path, 2)
    try:
        agent.wait("the agent crashed when it last ran")
        agent.wait("camera is now read in a separate process")
        agent.wait("camera is online", count=2)
        (worker,) = agent.process.children()
        worker.send_signal(signal.SIGSEGV)
        agent.wait("failure=crashed")
        agent.wait("camera is back")
        other = [line for line in agent.journal().splitlines() if "camera=back" in line]
        assert sum("camera is online" in line for line in other) == 1
        assert not [line for line in other if " warning " in line or "camera is back" in line]
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(20) == 0
    finally:
        if agent.process.is_running():
            agent.process.kill()
    assert not subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True).stdout
