import numpy as np
import pytest

from agent.drift.contexts import Context, Contexts, overall_spread
from agent.drift.evidence import KNOTS, Looks, Usual
from agent.drift.nearest import OFFSETS, choose, moments, weigh_nearest

FEATURES = 6
USUAL = Usual(counts=np.full(FEATURES, 30.0), frames=30.0, steps=np.ones(FEATURES))
DAWN = 6.0
RNG = np.random.default_rng(2)


def light(hour):
    """Half the features go up by four sigma from 5 to 7 h."""
    return 4.0 * np.clip((hour - DAWN + 1.0) / 2.0, 0.0, 1.0) * (np.arange(FEATURES) < 3)


def context(hour):
    around = np.stack([light(hour + part) for part in RNG.random(400)])
    values = np.sort(around + RNG.standard_normal((400, FEATURES)), axis=0).astype(np.float32)
    return Context(
        samples=[(column, np.ones(400, np.int64)) for column in values.T],
        log_steps=np.zeros(FEATURES),
        classes=np.ones(1),
    )


@pytest.fixture(scope="module")
def contexts():
    hours = {hour: context(hour) for hour in range(24)}
    return Contexts(hours=hours, spread=overall_spread(hours, FEATURES))


def windows(level, count=40):
    """Windows of 30 values about `level` (F,)."""
    values = np.sort(level[:, None] + RNG.standard_normal((count, FEATURES, 30)), axis=-1)
    return Looks(
        knots=values[..., np.linspace(0, 29, KNOTS).astype(int)].astype(np.float32),
        counts=np.full((count, FEATURES), 30.0, np.float32),
        steps=np.ones((count, FEATURES), np.float32),
        frames=np.full(count, 30),
    )


def location(contexts, looks, hour):
    """Mean location of each feature, of windows at `hour`."""
    found = np.zeros((len(looks.frames), FEATURES))
    for places, _, evidence in weigh_nearest(looks, contexts, hour * 3600.0, USUAL):
        found[places] = evidence.aspects[:, 0]
    return found.mean(axis=0)


@pytest.mark.parametrize("late", [-0.67, -0.33, 0.33, 0.67])
def test_a_dawn_that_comes_early_or_late_is_no_evidence(contexts, late):
    found = location(contexts, windows(light(DAWN - late)), DAWN)
    assert np.abs(found[:3]).max() < 0.6
    assert np.abs(light(DAWN - late)[0] - light(DAWN)[0]) > 0.6


def test_a_change_of_one_feature_is_evidence_still(contexts):
    changed = light(DAWN) + np.where(np.arange(FEATURES) == 4, 1.5, 0.0)
    found = location(contexts, windows(changed), DAWN)
    assert found[4] > 1.2


def test_a_change_at_an_hour_like_its_neighbours_is_evidence_in_full(contexts):
    found = location(contexts, windows(light(14.0) - 1.0), 14.0)
    assert found == pytest.approx(np.full(FEATURES, -1.0), abs=0.3)


def test_of_moments_that_fit_alike_the_windows_own_is_chosen(contexts):
    own = contexts.at(14 * 3600.0)
    assert choose(windows(light(14.0)), [own] * OFFSETS.size, USUAL).tolist() == [0] * 40


def test_hours_that_were_never_recorded_are_no_candidates(contexts):
    known = {hour: contexts.hours[hour] for hour in (10, 11, 12)}
    few = Contexts(hours=known, spread=contexts.spread)
    assert len(moments(few, 11.5 * 3600.0)) == OFFSETS.size
    assert all(each.distance <= 1.5 for each in moments(few, 13.2 * 3600.0))
    assert len(moments(Contexts(hours={12: known[12]}, spread=contexts.spread), 0.0)) == 1
