"""Twin of agent/detection/run_limit.py: real time, and real work of the processor."""

import time

from agent.core import clock
from agent.detection import run_limit
from agent.detection.run_limit import RunLimit


def work(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_time_in_which_others_had_the_processor_does_not_count():
    """The self-test of a box under emulation failed beside other work: "one run takes over 60 s"."""
    limit = RunLimit(0.3)
    began = clock.monotonic()
    time.sleep(0.6)
    assert not limit.over
    work(0.35)
    assert limit.over
    assert clock.monotonic() - began > 0.9


def test_a_run_that_waits_for_ever_is_over_in_the_end(monkeypatch):
    monkeypatch.setattr(run_limit, "STUCK_TIMES", 2.0)
    limit = RunLimit(0.1)
    time.sleep(0.25)
    assert limit.over


def test_the_limit_is_a_minute_of_the_processor():
    assert RunLimit().seconds == 60.0 and not RunLimit().over
