"""Parts that fail are restarted, parts that finish are left alone, parts that hang are told of."""

import threading
import time

import pytest

from agent import supervisor as module
from agent.parts import Part
from agent.supervisor import Supervisor


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.02)


class Worker(Part):
    def __init__(self, name="worker", failures=0, finish=False):
        super().__init__(name)
        self.failures, self.finish = failures, finish
        self.runs = 0
        self.working = threading.Event()

    def run(self, stop):
        self.runs += 1
        if self.runs <= self.failures:
            raise RuntimeError("broken")
        self.working.set()
        while not self.finish and not stop.wait(0.01):
            self.beat()


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.005)


def test_a_failed_part_is_started_anew_and_the_others_go_on():
    supervisor = Supervisor()
    bad, good = Worker("bad", failures=3), Worker("good")
    supervisor.add(bad)
    supervisor.add(good)
    assert bad.working.wait(5)
    assert (bad.runs, good.runs) == (4, 1)
    assert supervisor.stop(5) == []


def test_a_part_that_fails_without_end_is_given_up():
    supervisor = Supervisor(limit=3)
    supervisor.add(Worker("hopeless", failures=10**9))
    wait_until(lambda: supervisor.exhausted == "hopeless")
    assert supervisor.stop(5) == []


def test_a_part_that_has_finished_is_done_and_not_stuck():
    supervisor = Supervisor()
    part = Worker("file", finish=True)
    part.patience_seconds = 0.0
    supervisor.add(part)
    wait_until(lambda: supervisor.all_done(["file"]))
    time.sleep(0.01)
    assert part.runs == 1
    assert supervisor.stuck() == []


class Wedged(Part):
    patience_seconds = 0.05

    def __init__(self):
        super().__init__("wedged")
        self.release = threading.Event()

    def run(self, stop):
        self.release.wait()


def test_a_silent_part_is_stuck_unless_it_is_warming_up():
    supervisor = Supervisor()
    part = Wedged()
    part.warming = True
    supervisor.add(part)
    time.sleep(0.1)
    assert supervisor.stuck() == []
    part.warming = False
    assert supervisor.stuck() == ["wedged"]
    assert supervisor.stop(0.1) == ["wedged"], "stopping names what did not end"
    part.release.set()


def test_removing_a_part_ends_its_thread_only():
    supervisor = Supervisor()
    one, two = Worker("one"), Worker("two")
    supervisor.add(one)
    supervisor.add(two)
    assert supervisor.remove("one")
    assert supervisor.names() == ["two"]
    assert supervisor.remove("no such part")
    supervisor.stop(5)


def test_two_parts_cannot_share_a_name():
    supervisor = Supervisor()
    supervisor.add(Worker("a"))
    with pytest.raises(ValueError, match="'a' already"):
        supervisor.add(Worker("a"))
    supervisor.stop(5)


def test_warming_up_does_not_excuse_silence_for_ever():
    part = Worker()
    part.warming, part.warm_up_seconds = True, 0.01
    time.sleep(0.03)
    assert part.stuck()


def test_the_report_says_how_each_part_is():
    supervisor = Supervisor()
    part = Worker("fine")
    supervisor.add(part)
    supervisor.add(Worker("file", finish=True))
    assert part.working.wait(5)
    wait_until(lambda: supervisor.all_done(["file"]))
    states = {row["part"]: row["state"] for row in supervisor.report()}
    assert states == {"fine": "running", "file": "done"}
    supervisor.stop(5)
