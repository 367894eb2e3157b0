import numpy as np
import pytest
from scipy.signal import lfilter

from agent.drift.memory import AGES, KEEP, fade, step_response
from agent.drift.noise import CAUTIOUS, DECAYS, autocovariance, fit, matched_filters, memory_covariance

RNG = np.random.default_rng(3)


def wandering(windows: int, decay: float, size: float = 1.0) -> np.ndarray:
    keep = np.exp(-1 / decay)
    news = RNG.standard_normal(windows) * size * np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], news)


def test_white_noise_is_found_to_be_white():
    weights = fit(RNG.standard_normal((4000, 1)), np.ones((4000, 1)))[0]
    assert weights[0] == pytest.approx(1.0, abs=0.1)
    assert weights[1:].sum() < 0.1


def test_slow_wandering_is_told_from_fast():
    series = RNG.standard_normal(8000) + wandering(8000, 100.0)
    weights = fit(series[:, None], np.ones((8000, 1)))[0]
    assert weights[0] == pytest.approx(1.0, abs=0.2)
    assert weights[DECAYS >= 30].sum() == pytest.approx(1.0, abs=0.4)


def test_windows_that_say_nothing_are_left_out():
    gate = np.ones((3000, 1))
    gate[1000:2500] = 0.0
    _, covariance = autocovariance(gate * RNG.standard_normal((3000, 1)), gate)
    assert covariance[0, 0] == pytest.approx(1.0, abs=0.2)


def test_a_feature_that_is_silent_at_night_is_not_called_slow():
    gate = np.tile(np.repeat([0.0, 1.0], 720), 3)[:, None]
    weights = fit(gate * RNG.standard_normal((4320, 1)), gate)[0]
    assert weights[0] == pytest.approx(1.0, abs=0.15)
    assert weights[1:].sum() < 0.1


def test_two_windows_are_enough_not_to_fail():
    assert np.isfinite(fit(RNG.standard_normal((2, 3)), np.ones((2, 3)))).all()


def test_the_memory_covariance_is_what_memories_show():
    series = RNG.standard_normal(20000)
    memory, seen = np.zeros(KEEP.size), []
    for new in series:
        memory = fade(memory, np.array(new))
        seen.append(memory)
    weights = np.zeros(DECAYS.size)
    weights[0] = 1.0
    expected = np.diag(memory_covariance(weights))[:6]
    assert np.var(seen, axis=0)[:6] == pytest.approx(expected, rel=0.15)


def test_filters_have_variance_one_under_the_noise():
    filters = matched_filters(CAUTIOUS, 1024)
    covariance = memory_covariance(CAUTIOUS)
    assert np.einsum("jk,kl,jl->j", filters, covariance, filters) == pytest.approx(np.ones(AGES.size))


def test_each_filter_answers_most_to_a_change_of_its_age_or_so():
    weights = np.zeros(DECAYS.size)
    weights[:2] = 0.5
    answers = matched_filters(weights, 1024) @ step_response().T  # filter by age of the change
    best = answers.argmax(axis=0)
    assert (np.abs(best - np.arange(AGES.size)) <= 1).all()


def test_ages_the_reference_is_too_short_for_are_not_judged():
    filters = matched_filters(CAUTIOUS, 16)
    assert not filters[AGES > 16].any()
    assert filters[AGES <= 16].any(axis=1).all()
