"""Lines in the journal: priority, text first, then key=value, one line an event."""

import io
import re

import pytest
import structlog

from agent.logging import setup as log


@pytest.fixture
def lines():
    stream = io.StringIO()
    yield lambda form="journal", level="info": (log.set_up(level, form, stream), stream)[1]
    structlog.reset_defaults()


def test_the_journal_gets_a_priority_and_no_time_of_ours(lines):
    stream = lines()
    structlog.get_logger().warning("camera is down, retrying", camera="front", reason="connection refused")
    assert stream.getvalue() == '<4>camera is down, retrying camera=front reason="connection refused"\n'


@pytest.mark.parametrize(("method", "priority"), [("debug", 7), ("info", 6), ("error", 3), ("critical", 2)])
def test_priorities(lines, method, priority):
    stream = lines(level="debug")
    getattr(structlog.get_logger(), method)("x")
    assert stream.getvalue().startswith(f"<{priority}>x")


def test_a_line_break_in_a_value_stays_one_line(lines):
    stream = lines()
    structlog.get_logger().error("it broke", error='a "b"\nc')
    assert stream.getvalue() == '<3>it broke error="a \\"b\\"\\nc"\n'


def test_a_traceback_is_one_line_too(lines):
    stream = lines()
    try:
        raise ValueError("deep")
    except ValueError as error:
        structlog.get_logger().error("it broke", exc_info=error)
    assert stream.getvalue().count("\n") == 1
    assert "ValueError: deep" in stream.getvalue()


def test_plain_lines_carry_time_and_level(lines):
    stream = lines("plain")
    structlog.get_logger().info("hello", number=0.123456)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z info    hello number=0.1235\n", stream.getvalue())


def test_what_is_below_the_level_is_not_said(lines):
    stream = lines(level="warning")
    structlog.get_logger().info("quiet")
    assert stream.getvalue() == ""


def test_a_flood_is_said_a_few_times_and_then_counted(lines):
    stream = lines()
    for tries in range(123):
        structlog.get_logger().warning("broker refuses", broker="b", tries=tries)
    structlog.get_logger().warning("broker refuses", broker="other")
    log.say_repeats(everything=True)
    said = stream.getvalue().splitlines()
    assert said[:3] == [f"<4>broker refuses broker=b tries={tries}" for tries in range(3)]
    assert said[3] == "<4>broker refuses broker=other", "another broker is another line"
    assert said[4] == "<4>broker refuses (the same 120 times in 0 s) broker=b tries=122"
    assert len(said) == 5


def test_who_asks_for_debug_lines_gets_all_of_them(lines):
    stream = lines(level="debug")
    for _ in range(20):
        structlog.get_logger().debug("tick")
    assert stream.getvalue().count("tick") == 20


def test_the_level_can_be_changed_while_it_runs(lines):
    stream = lines()
    logger = structlog.get_logger("made.before")
    log.set_level("error")
    logger.info("one")
    log.set_level("debug")
    logger.debug("two")
    assert stream.getvalue() == "<7>two\n"


def test_what_is_meant_for_the_journal_alone_is_not_in_the_text(lines):
    stream = lines()
    structlog.get_logger().warning("too-slow fires at front", journal={"rule": "too-slow"})
    assert stream.getvalue() == "<4>too-slow fires at front\n"


HOSTILE = ["\x1b]52;c;cm0=\x07", "\x9b2J", "a\rb", "\u202eoops", "x\n<0>kernel: all is lost", "\ud800"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("form", ["journal", "plain", "color"])
def test_no_text_from_outside_can_move_a_cursor_or_begin_a_line(lines, form, text):
    stream = lines(form)
    structlog.get_logger().warning(f"camera {text} is down", reason=OSError(text), names=[text], camera=text)
    written = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert written.count("\n") == 1, "one event, one line"
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800]", written)


def test_what_journald_gets_is_printable_too(monkeypatch):
    """A raw control character would make journalctl show `[blob data]` instead of the line."""
    sent = []
    monkeypatch.setattr(log.JournaldConnection, "send", lambda _self, datagram: sent.append(datagram) or True)
    log.set_up("info", "journald", io.StringIO())
    structlog.get_logger().warning("front\x1b]0;x\x07 is down", camera="a\x9bb", journal={"rule": "\x1b[2J"})
    (datagram,) = sent
    assert b"\x1b" not in datagram
    assert b"\x07" not in datagram
    assert b"\xc2\x9b" not in datagram


@pytest.mark.parametrize(
    ("number", "said"),
    [(86400.0, "86400"), (0.123456, "0.1235"), (604800.0, "604800"), (1e-6, "1e-06"), (float("nan"), "nan"), (3e12, "3e+12")],
)  # fmt: skip
def test_numbers_are_written_as_people_read_them(lines, number, said):
    stream = lines()
    structlog.get_logger().info("x", seconds=number)
    assert stream.getvalue() == f"<6>x seconds={said}\n"


@pytest.mark.parametrize(
    ("form", "said"),
    [("plain", "critical dock froze"), ("journal", "<2>CRITICAL: dock froze"), ("color", "dock froze")],
)
def test_a_severity_is_said_once(lines, form, said):
    stream = lines(form)
    structlog.get_logger().critical("CRITICAL: dock froze")
    written = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert said in written
    assert written.lower().count("critical") <= 1
