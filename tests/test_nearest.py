"""What somebody perhaps meant who typed another name."""

import doctest

from agent import nearest
from agent.nearest import unknown


def test_the_examples_hold():
    assert doctest.testmod(nearest).failed == 0


def test_names_from_outside_are_printable_and_long_lists_are_cut():
    told = unknown("camera", "\x1b[2J" * 999, [f"camera{number}" for number in range(99)])
    assert told.isprintable()
    assert len(told) < 500
    assert "and 87 more" in told
    assert unknown("camera", "x", []) == "there is no camera 'x'; there is none"
