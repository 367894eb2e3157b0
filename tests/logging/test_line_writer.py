"""Lines reach a real pipe, file or terminal in order, and an output that takes none stops nobody."""

import fcntl
import os
import pty
import subprocess
import sys
import termios
import threading

import pytest
import structlog

from agent.logging import setup as log
from agent.logging.line_writer import LineStream, LineWriter


class Gate:
    """An output that is blocked until it is opened, and refuses what it is set to refuse."""

    def __init__(self):
        self.open, self.lines, self.error = threading.Event(), [], None
        self.open.set()

    def write(self, line):
        self.open.wait()
        if self.error:
            raise self.error
        self.lines.append(line)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


def writer_to(gate, **more):
    return LineWriter(gate.write, lambda lines, reason: f"lost {lines}: {reason}", **more)


def test_a_line_is_written_when_put_returns(gate):
    writer = writer_to(gate)
    for number in range(100):
        writer.put(str(number))
        assert gate.lines[-1] == str(number)


def test_a_blocked_output_is_waited_for_once_and_order_is_kept(gate, monkeypatch):
    waits = []
    writer = writer_to(gate)
    wait_for = writer._changed.wait_for
    monkeypatch.setattr(
        writer._changed,
        "wait_for",
        lambda until, timeout=None: (waits.append(timeout), wait_for(until, timeout))[1],
    )
    gate.open.clear()
    for number in range(50):
        writer.put(str(number))
    assert len([each for each in waits if each is not None]) == 1, "only the first line waited for the output"
    gate.open.set()
    writer.close(60)
    assert gate.lines == [str(number) for number in range(50)]


def test_once_the_output_takes_lines_again_each_line_is_waited_for_again(gate):
    writer = writer_to(gate)
    gate.open.clear()
    writer.put("a")
    writer.put("b")
    gate.open.set()
    with writer._changed:
        assert writer._changed.wait_for(lambda: not writer._stalled, 60)
    writer.put("c")
    assert gate.lines[-1] == "c"


def test_what_waits_is_bounded_and_what_was_dropped_is_reported_in_its_place(gate):
    writer = writer_to(gate, most_waiting=50)
    gate.open.clear()
    for number in range(100):
        writer.put(f"line {number:05}")
    gate.open.set()
    writer.close(60)
    assert gate.lines == [
        "line 00000",
        "lost 94: the output was blocked",
        *(f"line {number:05}" for number in range(95, 100)),
    ]  # (the first was being written: it does not wait)


def test_lines_that_are_refused_are_counted_and_the_reason_is_given(gate):
    writer = writer_to(gate)
    gate.error = OSError(28, "No space left on device")
    for _ in range(3):
        writer.put("x")
    gate.error = None
    writer.put("there is room")
    writer.put("and more")
    assert gate.lines == ["lost 3: No space left on device", "there is room", "and more"]


def test_close_does_not_wait_for_a_blocked_output_and_later_lines_are_ignored(gate):
    writer = writer_to(gate)
    gate.open.clear()
    writer.put("x")
    writer.close(0.01)
    writer.put("y")
    writer.close(0.01)
    gate.open.set()


def test_many_threads_put_whole_lines(gate):
    writer = writer_to(gate)
    threads = [
        threading.Thread(target=lambda name=name: [writer.put(f"{name} {n}") for n in range(50)])
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for name in "abcd":
        assert [line for line in gate.lines if line[0] == name] == [f"{name} {n}" for n in range(50)]


def test_other_text_goes_between_the_lines_as_whole_lines(gate):
    stream = LineStream(writer_to(gate).put, sys.__stderr__)
    print("Traceback", "of a thread", file=stream)
    stream.write("half")
    assert gate.lines == ["Traceback of a thread"]
    stream.write(" line\nnext\n")
    assert gate.lines[1:] == ["half line\nnext"]


# -- real outputs -----------------------------------------------------------------------------------------


@pytest.fixture
def pipe():
    """A pipe of one page and its write end as text; both are closed."""
    reader, end = os.pipe()
    fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
    stream = os.fdopen(end, "w", encoding="utf-8")
    reading = os.fdopen(reader, "r", encoding="utf-8")
    yield reading, stream
    reading.close()
    stream.close()


def test_a_pipe_that_nobody_reads_blocks_nobody_and_goes_on_when_it_is_read(pipe):
    reading, stream = pipe
    log.set_up("info", "journal", stream)
    for number in range(200):
        structlog.get_logger().info(f"line {number}", text="x" * 100)
    lines = [reading.readline() for _ in range(200)]
    assert [line.split()[1] for line in lines] == [str(number) for number in range(200)]


def test_a_pipe_that_others_made_non_blocking_loses_nothing(pipe):
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    log.set_up("info", "journal", stream)
    for number in range(200):
        structlog.get_logger().info(f"line {number}", text="x" * 100)
    lines = [reading.readline() for _ in range(200)]
    assert [line.split()[1] for line in lines] == [str(number) for number in range(200)]


def test_a_reader_that_went_away_raises_in_no_thread_that_logs(pipe):
    reading, stream = pipe
    log.set_up("info", "journal", stream)
    reading.close()
    for number in range(200):
        structlog.get_logger().info(f"line {number}")


def test_a_full_disk_behind_a_redirect_raises_nowhere_and_tears_no_line(tmp_path):
    """A file that may not grow stands for the full disk: it takes half a line, then nothing."""
    code = (
        "import resource, sys, structlog; from agent.logging import setup as log;"
        "log.set_up('info', 'journal');"
        "limit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY));"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "logger = structlog.get_logger(); limit(20);"
        "[logger.info(f'line {n} is here') for n in range(5)]; limit(10000); logger.info('again')"
    )
    with (tmp_path / "log").open("w") as file:
        done = subprocess.run([sys.executable, "-c", code], stderr=file, timeout=60, check=False)
    assert done.returncode == 0
    assert (tmp_path / "log").read_text().splitlines() == [
        "<6>line 0 is here",
        "<6",
        '<4>log lines were lost before this one lines=4 reason="File too large"',
        "<6>again",
    ]


def test_a_terminal_stopped_by_ctrl_s_stops_nobody():
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w", encoding="utf-8") as stream:
        termios.tcflow(terminal, termios.TCOOFF)
        log.set_up("info", "journal", stream)
        for number in range(200):
            structlog.get_logger().info(f"line {number}")
        termios.tcflow(terminal, termios.TCOON)
        text = b""
        while b"line 199" not in text:
            text += os.read(controller, 65536)
    os.close(controller)
    assert [line.split()[1] for line in text.decode().splitlines()] == [str(number) for number in range(200)]


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os.abort()", "os._exit(3)", "1/0", "sys.exit()"])
def test_the_last_line_before_any_end_is_written(end):
    code = (
        "import os, sys, structlog; from agent.logging import setup as log; log.set_up('info', 'journal');"
        f"structlog.get_logger().info('the last'); {end}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.startswith("<6>the last\n")
