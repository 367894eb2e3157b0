import numpy as np
import pytest
from scipy.stats import norm

from agent.drift.normal import MOST, below, score_of


def test_agrees_with_scipy():
    scores = np.linspace(-4, 4, 81)
    assert below(scores) == pytest.approx(norm.cdf(scores), abs=1e-6)
    ranks = np.linspace(0.002, 0.998, 81)
    assert score_of(ranks) == pytest.approx(norm.ppf(ranks), abs=1e-4)


def test_scores_go_no_further_than_a_reference_can_know():
    assert score_of([0.0, 1.0]).tolist() == [-MOST, MOST]
