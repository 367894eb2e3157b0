from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.runtime.time_budget import TimeBudget


def test_short_work_begins_at_once_and_a_storm_of_it_is_spread_out():
    budget, now = TimeBudget(0.05, 3.0), 1000.0
    for _ in range(10):
        assert budget.allows(now)
        budget.spend(0.29, now)
    budget.spend(0.3, now)
    assert not budget.allows(now + 1)
    assert budget.allows(now + 5)


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0.001, 5)), max_size=200))
def test_over_the_long_run_no_more_than_the_share_is_spent(steps):
    budget, now, spent = TimeBudget(0.05, 3.0), 0.0, 0.0
    for pause, cost in steps:
        now += pause
        if budget.allows(now):
            now += cost
            spent += cost
            budget.spend(cost, now)
    assert spent <= 3.0 + 0.05 * now + 5


def test_a_clock_that_steps_back_earns_nothing():
    budget = TimeBudget(0.5, 1.0)
    budget.spend(2.0, 100.0)
    assert not budget.allows(50.0)
