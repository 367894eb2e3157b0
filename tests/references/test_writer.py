import threading

from agent.core.errors import ReferenceMismatch
from agent.references.writer import ReferenceWriter


def test_what_was_asked_before_the_stop_is_still_done_and_a_failure_stops_nothing(capsys):
    writer, done = ReferenceWriter(), []

    def fail():
        raise ReferenceMismatch("too short")

    def full():
        raise OSError(28, "No space left on device")

    for what, task in (
        ("a", lambda: done.append(1)),
        ("build the reference of camera x", fail),
        ("keep b", full),
        ("keep c", full),
        ("d", lambda: done.append(2)),
    ):
        writer.ask(what, task)
    stop = threading.Event()
    stop.set()
    writer.run(stop)
    assert done == [1, 2]
    said = capsys.readouterr().out
    assert "cannot build the reference of camera x" in said
    assert "too short" in said
    assert said.count("No space left") == 1


def test_a_task_that_fails_unforeseen_is_counted_and_those_after_it_are_done():
    writer, done, stop = ReferenceWriter(), [], threading.Event()
    writer.ask("divide", lambda: 1 / 0)
    writer.ask("go on", lambda: done.append(1))
    stop.set()
    writer.run(stop)
    assert (done, writer.discarded) == ([1], 1)
