"""A flood of equal lines becomes one line a minute that says how many there were; nothing is lost uncounted."""

from hypothesis import given
from hypothesis import strategies as st

from agent.logging.rate_limit import BURST, INTERVAL_SECONDS, MOST_KINDS, Repeats


def flood(repeats, times, kind="down", start=0.0, step=0.1):
    return sum(repeats.admit(kind, {"event": kind, "n": n}, start + n * step) for n in range(times))


def test_the_first_few_are_said_and_the_rest_counted():
    repeats = Repeats()
    assert flood(repeats, 123) == BURST
    assert repeats.due(59.0) == []
    (told,) = repeats.due(60.0)
    assert (told.times, told.seconds) == (123 - BURST, 60.0)
    assert told.last["n"] == 122, "the last of them is the one that is quoted"


def test_a_flood_that_goes_on_is_one_line_a_minute():
    repeats = Repeats()
    flood(repeats, 10)
    repeats.due(60.0)
    assert flood(repeats, 10, start=61.0) == 0
    (told,) = repeats.due(120.0)
    assert told.times == 10


def test_after_a_quiet_minute_the_line_is_said_at_once():
    repeats = Repeats()
    flood(repeats, 10)
    repeats.due(60.0)
    assert repeats.due(120.0) == []
    assert flood(repeats, 10, start=121.0) == BURST


def test_one_flood_does_not_hold_back_another_line():
    repeats = Repeats()
    flood(repeats, 100, kind="front is down")
    assert flood(repeats, 1, kind="back is down") == 1


def test_at_the_end_nothing_is_kept_back():
    repeats = Repeats()
    flood(repeats, 10)
    (told,) = repeats.due(5.0, everything=True)
    assert told.times == 10 - BURST
    assert repeats.due(6.0, everything=True) == []


def test_its_memory_is_bounded():
    repeats = Repeats()
    for number in range(3 * MOST_KINDS):
        repeats.admit(number, {"event": "x"}, 0.0)
    assert len(repeats._kinds) == MOST_KINDS


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 40)), max_size=200))
def test_every_line_is_said_or_counted(steps):
    repeats, now, said, counted = Repeats(), 0.0, 0, 0
    for kind, pause in steps:
        now += pause
        counted += sum(told.times for told in repeats.due(now))
        said += repeats.admit(kind, {"event": kind}, now)
    counted += sum(told.times for told in repeats.due(now + INTERVAL_SECONDS + 1.0))
    assert said + counted == len(steps)
