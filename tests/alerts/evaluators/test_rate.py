"""Twin of agent/alerts/evaluators/rate.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.evaluators.rate import RateSeries

finite = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(st.floats(0.1, 500), finite), min_size=2, max_size=200))
def test_a_rate_is_bounded_in_memory_and_by_what_it_saw(steps):
    series, at, values = RateSeries(600.0, counter=False), 0.0, []
    for gap, value in steps:
        at += gap
        series.add(value, at)
        values.append(value)
    rate = series.rate()
    assert len(series.to_json()) <= 64
    assert rate is None or abs(rate) <= (max(values) - min(values)) / 600 + 1e-9
