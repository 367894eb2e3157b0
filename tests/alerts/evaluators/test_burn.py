"""Twin of agent/alerts/evaluators/burn.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.evaluators.burn import BurnSeries


@given(st.lists(st.tuples(st.floats(1, 300), st.floats(0, 1)), min_size=1, max_size=200))
def test_a_burn_is_bounded_in_memory_and_by_its_budget(steps):
    series, at = BurnSeries(0.9, 3600.0), 0.0
    for gap, share in steps:
        at += gap
        series.add(share, 10.0, at)
    burn = series.burn(at)
    assert len(series.to_json()) <= 122
    assert burn is None or 0 <= burn.times <= 10 + 1e-9
