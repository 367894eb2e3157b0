"""Signals request a stop and reloads, at whatever step of the main thread they come."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from agent.app.signals import SignalRequests


@pytest.fixture
def requests():
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    made = SignalRequests()
    made.catch_stop()
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


def test_a_reload_is_requested_once_however_many_signals_come(requests):
    assert not requests.take_reload()
    for _ in range(1000):
        send(signal.SIGHUP)
    requests.wait(10)  # ends at once
    assert requests.take_reload()
    assert not requests.take_reload()
    assert not requests.stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_wait_and_a_second_signal_the_process(requests, number):
    send(number)
    requests.wait(10)
    assert requests.stop
    assert signal.getsignal(number) is signal.SIG_DFL


def test_no_step_of_the_main_thread_is_a_bad_one_for_a_signal():
    """An event that the handler set deadlocked where the main thread was just about to wait for it."""
    program = """
        import os, subprocess, sys
        from agent.app.signals import SignalRequests

        requests = SignalRequests()
        lines = (
            "import os, signal",
            "for turn in range(150_000):",
            f"    os.kill({os.getpid()}, signal.SIGHUP)",
            "    for _ in range(turn % 50): pass",
        )
        sender = subprocess.Popen([sys.executable, "-c", chr(10).join(lines)])
        reloads = 0
        while sender.poll() is None:
            requests.wait(1e-6)
            reloads += requests.take_reload()
        assert sender.returncode == 0
        assert reloads > 100, reloads
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=100)
