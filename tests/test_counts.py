"""Numbers in sentences read as people say them."""

import doctest

from agent import counts, printable


def test_the_examples_hold():
    for module in (counts, printable):
        found = doctest.testmod(module)
        assert found.attempted
        assert found.failed == 0
