"""Labels correct the estimate: the interval holds the truth as often as it says, and a good estimate narrows it."""

import numpy as np
import pytest

from agent.maintenance.evaluation.prediction_powered import Population, corrected


class Yard:
    """Frames whose F1 goes with the hour; an estimate that is `off` by so much, and as `good` as that (0..1)."""

    def __init__(self, seed, *, good, off=0.15):
        random = np.random.default_rng(seed)
        quality = np.clip(random.beta(5, 2, 40_000) - 0.3 * (random.random(40_000) < 0.2), 0.0, 1.0)
        hits = random.binomial(5, quality) / 5.0  # F1 of a frame with a handful of boxes takes few values
        self.truth, self.random = hits, random
        told = good * quality + (1 - good) * random.permutation(quality)
        self.estimate = np.clip(told + off, 0.0, 1.0)

    def drawn(self, labels, estimates):
        """The interval from so many labelled frames, and as many independent estimates; the classical one's width."""
        chosen = self.random.choice(self.truth.size, labels, replace=False)
        seen = self.random.choice(self.estimate, estimates, replace=False)
        of = Population(
            since=0.0, mean=float(seen.mean()), variance=float(seen.var(ddof=1)), number=float(estimates)
        )
        y = self.truth[chosen]
        return corrected(y, self.estimate[chosen], of), 2 * 1.96 * y.std(ddof=1) / np.sqrt(labels)


@pytest.mark.parametrize("labels", [20, 60, 200])
@pytest.mark.parametrize("good", [0.0, 0.6, 1.0])
def test_the_interval_holds_the_truth_in_95_of_100_cases_however_wrong_the_estimate(labels, good):
    yard = Yard(7, good=good)
    found = [yard.drawn(labels, 600) for _ in range(1200)]
    held = np.mean([one.low <= yard.truth.mean() <= one.high for one, _ in found])
    assert 0.93 <= held <= 0.975
    assert np.mean([one.ratio for one, _ in found]) == pytest.approx(yard.truth.mean(), abs=0.01)


def test_a_good_estimate_narrows_it_and_one_that_is_none_does_not_widen_it():
    widths = {}
    for good in (0.0, 1.0):
        yard = Yard(8, good=good)
        found = [yard.drawn(60, 2000) for _ in range(300)]
        widths[good] = np.mean([(one.high - one.low) / plain for one, plain in found])
        assert np.mean([one.weight for one, _ in found]) == pytest.approx(good, abs=0.2)
    assert widths[1.0] < 0.9
    assert widths[0.0] < 1.06, "Student's t for 59 degrees of freedom is 2 %"


def test_few_estimates_over_all_frames_count_for_less():
    yard = Yard(9, good=1.0)
    few, many = (np.mean([yard.drawn(60, number)[0].weight for _ in range(100)]) for number in (12, 2000))
    assert few < 0.4 * many


def test_an_estimate_that_never_differs_says_nothing():
    of = Population(since=0.0, mean=0.9, variance=0.0, number=50.0)
    truth = np.array([1.0, 0.5, 0.8, 0.9])
    found = corrected(truth, np.full(4, 0.9), of)
    assert (found.weight, found.ratio) == (0.0, pytest.approx(0.8))
