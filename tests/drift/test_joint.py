import numpy as np

from agent.drift.joint import combine, contributions, made_normal

RNG = np.random.default_rng(6)


def test_nothing_adds_nothing_and_more_adds_more():
    added = contributions(np.array([0.0, 1.0, -1.0, 3.0, 100.0]))
    assert added[0] == 0.0
    assert added[1] == added[2] < added[3] < added[4] < 20.0


def test_many_small_changes_count_as_much_as_one_great_one():
    one, many = np.zeros((3, 20, 1)), np.zeros((3, 20, 1))
    one[0, 0] = 5.0
    many[0] = 2.2
    assert combine(many)[0] > combine(one)[0] > combine(np.zeros((3, 20, 1)))[0]


def test_made_normal_is_about_standard_normal():
    sums = combine(RNG.standard_normal((20000, 3, 20, 1)))
    normal = made_normal(sums, sums.mean(axis=0), sums.var(axis=0))
    assert abs(normal.mean()) < 0.1
    assert 0.9 < normal.std() < 1.1
    assert np.quantile(normal, 0.999) < 4.0
