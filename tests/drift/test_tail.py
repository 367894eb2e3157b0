import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.drift.tail import APART, Tail, episode_peaks, fit_tails, normal_level

RNG = np.random.default_rng(5)


def test_one_hour_is_one_episode():
    series = np.zeros(1000)
    series[[10, 11, 40, 500, 505, 900]] = [4.0, 5.0, 4.5, 3.5, 3.2, 6.0]
    assert episode_peaks(series, 3.0).tolist() == [5.0, 3.5, 6.0]
    assert not episode_peaks(series, 7.0).size
    assert APART == 60


def test_the_limit_is_reached_as_often_as_was_asked_for():
    scores = np.abs(RNG.standard_normal((50_000, 4)))
    limit = fit_tails(scores, 7.0)[0].limit(1e-4)
    fresh = np.abs(RNG.standard_normal((200_000, 4)))
    episodes = sum(episode_peaks(column, limit).size for column in fresh.T)
    assert (
        1 <= episodes <= 160
    )  # 80 expected, fewer as a normal score's tail is lighter than that of the largest of many


def test_a_wider_tail_gets_a_wider_limit():
    scores = np.abs(RNG.standard_normal((20_000, 4)))
    scores[:, 3] *= 1.8
    limits = [tail.limit(1e-6) for tail in fit_tails(scores, 7.0)]
    assert limits[3] > 1.4 * limits[0]


def test_a_score_that_never_moves_is_judged_like_a_normal_one():
    still, other = fit_tails(np.zeros((300, 2)), 7.0)
    assert still == other
    assert 1.0 < still.stretch < 1.1  # the margin


def test_one_series_alone_is_trusted_less():
    scores = 1.5 * np.abs(RNG.standard_normal((5_000, 1)))
    assert fit_tails(scores, 7.0)[0].stretch > fit_tails(np.tile(scores, (1, 9)), 7.0)[0].stretch


@given(
    stretch=st.floats(1, 3),
    budgets=st.tuples(st.floats(1e-12, 1.0), st.floats(1e-12, 1.0)),
)
def test_a_greater_budget_never_gives_a_higher_limit(stretch, budgets):
    tail = Tail(stretch=stretch)
    assert tail.limit(max(budgets)) <= tail.limit(min(budgets))
    assert tail.limit(max(budgets)) >= 1.0


def test_no_budget_at_all_is_a_high_limit_and_no_error():
    assert 10 < normal_level(0.0) < 100
