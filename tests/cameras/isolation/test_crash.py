"""Whose thread the agent crashed in, by the last words of a real fault handler."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agent.cameras.isolation.crash import from_outside, place, suspects

ROOT = Path(__file__).resolve().parents[3]
CRASHING = """
    import ctypes, faulthandler, threading, time
    from agent.cameras.isolation.crash import named

    def read(crash):
        (lambda: ctypes.string_at(0))() if crash else time.sleep(9)

    faulthandler.enable()
    for name, crash in (("back", False), ("front-2", {crash})):
        threading.Thread(target=named(read, name), args=(crash,), daemon=True).start()
        time.sleep(0.1)
    ctypes.string_at(0)
"""
FOREIGN = """\
Fatal Python error: Segmentation fault

Thread 0x00007f30a26946c0 (most recent call first):
  File "/x/agent/cameras/kinds/decoder.py", line 120 in _decode
  File "/x/agent/cameras/connection.py", line 68 in camera:front

Thread 0x00007f30a26946c1 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait
  File "/x/agent/cameras/connection.py", line 68 in camera:back

Thread 0x00007f30a26946c2 (most recent call first):
  File "/x/agent/detection/session.py", line 30 in run
"""


@pytest.mark.parametrize(("crash", "expected"), [("True", ("front-2",)), ("False", ())])
def test_the_camera_whose_thread_crashed_is_named(crash, expected):
    script = textwrap.dedent(CRASHING).format(crash=crash)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode < 0
    assert suspects(done.stderr) == expected
    assert ("string_at" in place(done.stderr), "camera:front-2" in place(done.stderr)) == (
        True,
        bool(expected),
    )


def test_where_no_python_thread_crashed_those_in_the_decoder_are_suspected():
    assert suspects(FOREIGN) == ("front",)


ENDING = """
    import faulthandler, os, signal, threading, time
    from agent.cameras.isolation.crash import named

    faulthandler.enable()
    read = lambda: time.sleep(0.2) or {ends}
    threading.Thread(target=named(read, "front"), daemon=True).start()
    time.sleep(9)
"""


@pytest.mark.parametrize(
    ("ends", "outside", "suspected"),
    [
        ("os.kill(os.getpid(), signal.SIGABRT)", True, ()),  # as systemd's watchdog does
        ("signal.pthread_kill(threading.get_ident(), signal.SIGABRT)", False, ("front",)),  # as abort() does
        ("signal.pthread_kill(threading.main_thread().ident, signal.SIGSEGV)", False, ()),
    ],
)
def test_an_end_that_was_asked_for_is_told_from_a_crash(ends, outside, suspected):
    script = textwrap.dedent(ENDING).format(ends=ends)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode < 0
    assert from_outside(done.stderr) is outside
    assert suspects(done.stderr) == suspected


@pytest.mark.parametrize("words", ["", "nonsense", "Current thread 0x", FOREIGN[:60]])
def test_anything_else_suspects_nobody(words):
    assert suspects(words) == ()
    assert place(words) == ""
    assert not from_outside(words)
