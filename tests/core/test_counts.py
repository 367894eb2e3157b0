"""Numbers in sentences read as people say them."""

import doctest
import math

import pytest

from agent.core import counts, printable
from agent.core.counts import figures, multiple


def test_the_examples_hold():
    for module in (counts, printable):
        found = doctest.testmod(module)
        assert found.attempted
        assert found.failed == 0


def test_no_figure_is_a_power_of_ten():
    for value in (10.0**exponent * mantissa for exponent in range(-9, 13) for mantissa in (1.0, 9.996, -3.3)):
        for digits in (2, 3):
            said = figures(value, digits)
            assert "e" not in said
            assert float(said.replace(",", "")) == pytest.approx(value, rel=0.06 if digits == 2 else 0.006)
    assert [figures(0.0), figures(math.inf), figures(math.nan)] == ["0", "inf", "nan"]


def test_a_large_multiple_is_no_power_of_ten_either():
    assert multiple(123.4, "the limit") == "123 times the limit"
