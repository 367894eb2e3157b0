"""Change points: the same as another implementation finds, and none where nothing steps."""

from itertools import pairwise

import numpy as np
import pytest

from agent.drift.change_point import LEAST_ROWS, PENALTY, change_points, levels, noise


def stepped(seed, rows=300, columns=3):
    random = np.random.default_rng(seed)
    edges = [0, *np.sort(random.choice(np.arange(10, rows - 10), 4, replace=False)), rows]
    values = random.standard_normal((rows, columns))
    for start, end in pairwise(edges):
        values[start:end] += 3 * random.standard_normal(columns)
    return values


@pytest.mark.parametrize("seed", range(8))
def test_steps_are_found_where_ruptures_finds_them(seed):
    ruptures = pytest.importorskip("ruptures")
    values = stepped(seed)
    search = ruptures.Binseg(model="l2", min_size=LEAST_ROWS, jump=1).fit(values / noise(values))
    wanted = search.predict(pen=PENALTY * values.shape[1] * np.log(len(values)))[:-1]
    assert change_points(values) == wanted
    assert len(wanted) >= 3


def test_the_recorded_steps_are_found_without_the_other_implementation():
    """Of `ruptures` 1.1.10, `Binseg(model="l2", min_size=3, jump=1)`."""
    assert change_points(stepped(3)) == [33, 60, 76, 234]


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_has_no_steps(seed):
    assert change_points(np.random.default_rng(seed).standard_normal((500, 4))) == []


@pytest.mark.parametrize(
    "values", [np.zeros((50, 2)), np.zeros((2, 1)), np.zeros((0, 1)), np.ones((7, 1)) * 1e9]
)
def test_what_stands_still_or_is_short_has_no_steps(values):
    assert change_points(values) == []


def test_levels_are_the_means_between_the_steps():
    values = np.repeat([0.0, 4.0, 1.0], 20)[:, None] + np.tile([0.1, -0.1], 30)[:, None]
    assert np.unique(levels(values).round(6)).tolist() == [0.0, 1.0, 4.0]
