"""Limits follow how alarms turn out: as many come and go as the budget allows, whatever the world does."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.untrusted import BadInput
from agent.drift.patience import LARGE, MONTH_SECONDS, MOST, STEP, Patience


def alarm(patience, peak=1.1):
    patience.during(peak)
    patience.ended()


def test_an_alarm_that_came_and_went_raises_limits_and_a_quiet_month_lowers_them_by_as_much():
    patience = Patience()
    alarm(patience)
    assert patience.factor == pytest.approx(1.15)
    patience.rest(MONTH_SECONDS / 2, 1.0)
    assert 1.0 < patience.factor < 1.15
    patience.rest(MONTH_SECONDS / 2, 1.0)
    assert patience.factor == pytest.approx(1.0)


def test_what_was_large_raises_nothing_and_a_new_alarm_has_a_peak_of_its_own():
    patience = Patience()
    alarm(patience, LARGE)
    assert patience.factor == 1.0
    alarm(patience, 1.2)
    assert patience.factor == pytest.approx(1.15)


@given(st.lists(st.one_of(st.floats(0.0, 1e9), st.tuples(st.floats(0.0, 100.0))), max_size=60))
def test_limits_are_never_below_the_reference_s_nor_above_twice_these(happened):
    patience = Patience()
    for each in happened:
        alarm(patience, each[0]) if isinstance(each, tuple) else patience.rest(each, 1.0)
        assert 1.0 <= patience.factor <= math.exp(MOST) + 1e-12


@pytest.mark.parametrize("budget", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("scatter", [0.05, 0.15, 0.25])
def test_in_the_long_run_as_many_come_and_go_as_are_allowed(budget, scatter):
    """Excursions 40 times a month, whose size nothing in the reference foresaw."""
    chance, patience, months = np.random.default_rng(3), Patience(), 60
    alarms = np.zeros(months)
    for month in range(months):
        for size in np.exp(np.abs(chance.normal(0.0, scatter, 40))):
            if size >= patience.factor:
                alarms[month] += 1
                alarm(patience, size)
            patience.rest(MONTH_SECONDS / 40, budget)
    assert alarms[0] <= MOST / STEP + budget + 2
    assert alarms[1:].mean() <= budget + 0.3


def test_it_goes_on_where_it_was():
    patience = Patience()
    alarm(patience)
    patience.during(1.4)
    assert Patience.restore(patience.state()) == patience


@pytest.mark.parametrize(
    "state",
    [{}, {"raised": -1.0, "peak": 0.0}, {"raised": 5.0, "peak": 0.0}, {"raised": 0.1, "peak": "high"}],
)
def test_a_damaged_state_is_refused(state):
    with pytest.raises(BadInput):
        Patience.restore(state)


def test_limits_are_raised_as_far_as_an_alarm_was_quiet_at_and_no_further_than_double():
    patience = Patience()
    patience.during(1.4)
    assert patience.after(1.15) == pytest.approx(1.15**2)
    patience.ended(1.15**3)
    assert patience.factor == pytest.approx(1.15**3)
    patience.during(9.0)
    assert patience.after(patience.factor) == patience.factor, "what is so large is no chance"
    assert patience.after(5.0) == 5.0
    patience.ended(5.0)
    assert patience.raised == MOST
