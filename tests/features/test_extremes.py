import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ReferenceMismatch
from agent.features.extremes import KEPT, Extremes


def test_limits_are_the_rarest_values_whatever_the_order_they_came_in():
    values = np.random.default_rng(1).normal(0, 1, (20_000, 2)).astype(np.float32)
    extremes = Extremes(2)
    for part in np.array_split(values, 37):
        extremes.add(part)
    low, high = extremes.limits(0.001)
    ordered = np.sort(values, axis=0)
    assert low == pytest.approx(ordered[20])
    assert high == pytest.approx(ordered[-21])


def test_a_feature_that_was_never_seen_has_no_limits_and_nan_does_not_count():
    extremes = Extremes(2)
    extremes.add(np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.inf]], dtype=np.float32))
    low, high = extremes.limits()
    assert (low[0], high[0]) == (1.0, 3.0)
    assert np.isnan(low[1])
    assert np.isnan(high[1])
    assert extremes.counts.tolist() == [2, 0]


def test_nothing_seen_at_all():
    assert np.isnan(Extremes(3).limits()).all()


def test_it_stays_small_and_errs_to_the_wide_side_after_very_many():
    extremes = Extremes(1)
    for number in range(40):
        extremes.add(np.arange(number * 50_000, (number + 1) * 50_000, dtype=np.float32)[:, None])
    assert len(extremes.to_json()["ends"]) < 3 * 4 * KEPT
    assert extremes.limits(0.001)[0][0] <= 2000


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60))
def test_what_was_written_gives_the_same_limits(values):
    extremes = Extremes(1)
    extremes.add(np.array(values, dtype=np.float32)[:, None])
    again = Extremes.from_json(json.loads(json.dumps(extremes.to_json())))
    assert again.limits(0.1) == extremes.limits(0.1)
    again.add(np.array([[1e7]], dtype=np.float32))
    assert again.limits(0.0)[1][0] == np.float32(1e7)


@pytest.mark.parametrize(
    "data", [{}, {"counts": [1], "ends": "?"}, {"counts": [1, 2], "ends": "AAAA"}, {"counts": 3}]
)
def test_anything_else_is_refused(data):
    with pytest.raises(ReferenceMismatch):
        Extremes.from_json(data)
