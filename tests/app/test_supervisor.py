"""Parts that fail are restarted, parts that finish are left alone, parts that hang are told of."""

import threading
import time

import pytest

from agent.app import supervisor as module
from agent.app.supervisor import Supervisor
from agent.core.errors import VedetteError
from agent.core.worker import Worker
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.02)


class Worker(Worker):
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
    worker = Worker("file", finish=True)
    worker.patience_seconds = 0.0
    supervisor.add(worker)
    wait_until(lambda: [worker.done for worker in supervisor.health() if worker.name == "file"] == [True])
    wait_until(lambda: worker.silent_seconds() > worker.patience_seconds)
    assert worker.runs == 1
    assert supervisor.stuck() == []


class Wedged(Worker):
    patience_seconds = 0.05

    def __init__(self, name="wedged"):
        super().__init__(name)
        self.release = threading.Event()

    def run(self, stop):
        self.release.wait()


def test_a_silent_part_is_stuck_unless_it_is_warming_up():
    supervisor = Supervisor()
    worker = Wedged()
    worker.warming = True
    supervisor.add(worker)
    wait_until(lambda: worker.silent_seconds() > worker.patience_seconds)
    assert supervisor.stuck() == []
    worker.warming = False
    assert supervisor.stuck() == ["wedged"]
    assert supervisor.stop(0.1) == ["wedged"], "stopping names what did not end"
    worker.release.set()


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
    worker = Worker()
    worker.warming, worker.warm_up_seconds = True, 0.01
    wait_until(worker.stuck)
    assert worker.silent_seconds() > 0.01


def test_the_report_says_how_each_part_is():
    supervisor = Supervisor()
    worker = Worker("fine")
    supervisor.add(worker)
    supervisor.add(Worker("file", finish=True))
    assert worker.working.wait(5)
    wait_until(lambda: [worker.done for worker in supervisor.health() if worker.name == "file"] == [True])
    states = {row["part"]: row["state"] for row in supervisor.report()}
    assert states == {"fine": "running", "file": "done"}
    supervisor.stop(5)


def test_parts_that_hang_are_waited_for_together_not_one_after_the_other():
    supervisor = Supervisor()
    hanging = [Wedged(f"wedged-{number}") for number in range(30)]
    for worker in [*hanging, Worker("fine")]:
        supervisor.add(worker)
    began = time.monotonic()
    late = supervisor.remove_all([*(worker.name for worker in hanging), "fine", "no such part"], 0.3)
    assert time.monotonic() - began < 2.0
    assert late == [worker.name for worker in hanging]
    assert supervisor.names() == []
    for worker in hanging:
        worker.release.set()


def test_what_fails_after_it_was_stopped_does_not_end_the_agent():
    supervisor = Supervisor(limit=0)

    class Late(Worker):
        def run(self, stop):
            self.working.set()
            stop.wait(5)
            raise RuntimeError("broken on its way out")

    worker = Late("late")
    supervisor.add(worker)
    assert worker.working.wait(5)
    assert supervisor.remove("late")
    assert supervisor.exhausted is None


def test_once_closed_nothing_is_started():
    supervisor = Supervisor()
    supervisor.add(Worker("first"))
    supervisor.close()
    with pytest.raises(VedetteError, match="stopping"):
        supervisor.add(Worker("second"))
    assert supervisor.names() == ["first"]
    assert supervisor.stop(5) == []


def test_a_part_for_which_there_is_no_thread_is_not_there(monkeypatch):
    supervisor = Supervisor()

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            supervisor.add(Worker("late"))
    assert supervisor.names() == []
    supervisor.add(Worker("late"))
    assert supervisor.stop(5) == []


def test_items_that_cannot_be_processed_are_counted_in_the_report():
    supervisor, worker = Supervisor(), Worker("counting")
    supervisor.add(worker)
    assert not worker.attempt("divide", lambda: 1 / 0)
    assert worker.attempt("divide", lambda: 1 / 1)
    (row,) = supervisor.report()
    assert (row["discarded"], row["failures"], row["state"]) == (1, 0, "running")
    supervisor.stop(5)
