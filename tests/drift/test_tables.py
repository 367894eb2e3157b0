import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.drift.tables import FAR, blend_rows, interpolate_rows, make_rows, make_table, rank, spread_of

RNG = np.random.default_rng(8)


def samples(values):
    values = np.sort(np.asarray(values, dtype=np.float32))
    return values, np.ones(values.size, dtype=np.int64)


def table_of(*columns):
    every = [samples(column) for column in columns]
    return make_table(make_rows(every, np.array([spread_of(*each) for each in every])))


def ranked(table, *columns):
    return rank(table, np.array(columns, dtype=np.float32))


def test_the_references_own_values_score_about_normal():
    own = np.exp(RNG.standard_normal(2000))
    score = ranked(table_of(own), own).score[0]
    assert abs(score.mean()) < 0.05
    assert score.std() == pytest.approx(1.0, abs=0.08)


def test_a_repeated_value_has_the_range_of_ranks_it_stands_for():
    found = ranked(table_of([0] * 50 + [1] * 30 + [2] * 20), [0, 1, 2, 5])
    assert found.low[0] == pytest.approx([0.0, 0.5, 0.8, 1.0])
    assert found.high[0] == pytest.approx([0.5, 0.8, 1.0, 1.0])


def test_what_was_never_seen_is_beyond_and_bounded():
    table = table_of(RNG.standard_normal(1000))
    found = ranked(table, [-1e30, -5.0, 5.0, 1e30])
    assert found.low[0].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert found.score[0, 0] == -FAR
    assert found.score[0, 3] == FAR
    assert 3.0 < found.score[0, 2] < FAR


def test_nothing_known_says_nothing():
    table = table_of([], RNG.standard_normal(100))
    found = rank(table, np.array([[1.0], [np.nan]], dtype=np.float32))
    assert found.score.tolist() == [[0.0], [0.0]]
    assert found.low.tolist() == [[0.0], [0.0]]
    assert found.high.tolist() == [[1.0], [1.0]]
    assert np.isnan(table.values_at(np.full((2, 1), 0.5))[0, 0])


def test_a_constant_feature_is_normal_where_it_stays_and_far_where_it_leaves():
    found = ranked(table_of([7.0] * 300), [7.0, 8.0, 6.0])
    assert found.score[0].tolist() == [0.0, FAR, -FAR]


def test_steps_are_worth_less_where_values_spread_out():
    table = table_of(np.exp(RNG.standard_normal(5000)))
    slopes = ranked(table, [0.3, 1.0, 4.0]).slope[0]
    assert slopes[0] < slopes[1] < slopes[2]
    assert (ranked(table_of([0] * 50 + [1] * 50), [0, 1]).slope == 1.0).all()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=80),
    st.lists(st.floats(allow_nan=True, width=32), min_size=2, max_size=10),
)
def test_scores_and_ranks_rise_with_values_and_are_finite(reference, asked):
    asked = np.sort(np.array(asked, dtype=np.float32))
    found = ranked(table_of(reference), asked)
    for part in (found.low, found.high, found.score):
        known = part[0][~np.isnan(asked)]
        assert np.isfinite(part).all()
        assert (np.diff(known) >= -1e-9).all()
    assert ((found.low >= 0) & (found.low <= found.high + 1e-9) & (found.high <= 1)).all()
    assert (np.abs(found.score) <= FAR).all()
    assert (found.slope > 0).all()


def test_between_two_hours_quantiles_move_from_one_to_the_other():
    night, noon = make_rows(
        [samples(RNG.normal(10, 1, 1000)), samples(RNG.normal(50, 1, 1000))], np.array([1.0, 1.0])
    )
    middle = blend_rows(night, noon, 0.25)
    assert middle.values[middle.values.size // 2] == pytest.approx(20, abs=0.3)
    counts = make_rows([samples([0] * 9 + [1])], np.array([0.0]))[0]
    assert blend_rows(night, counts, 0.5) is None


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=12, unique=True),
    st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=6),
)
def test_interpolation_is_numpys(known, asked):
    known = np.sort(np.array(known))
    values = np.cumsum(known)
    padded = np.concatenate([known, [np.inf]]), np.concatenate([values, [np.inf]])
    found = interpolate_rows(np.array([asked]), padded[0][None], padded[1][None])
    assert found[0] == pytest.approx(np.interp(asked, known, values))


def test_the_spread_of_nothing_is_nothing():
    assert spread_of(*samples([])) == 0.0
    assert spread_of(*samples(RNG.normal(0, 3, 4000))) == pytest.approx(3.0, rel=0.1)
