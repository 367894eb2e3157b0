import numpy as np
import pytest

from agent.drift.contexts import Context, Contexts, overall_spread
from agent.drift.evidence import KNOTS, Looks, UsualWindow
from agent.drift.nearest import Elapsed, choose, moments, weigh_nearest

FEATURES = 6
USUAL = UsualWindow(counts=np.full(FEATURES, 30.0), frames=30.0, steps=np.ones(FEATURES))
DAWN, DUSK = 6.0, 18.0
NOTHING = Elapsed()
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


def location(contexts, looks, hour, passed=NOTHING):
    """Mean location of each feature, of windows at `hour`."""
    found = np.zeros((len(looks.frames), FEATURES))
    for fit in weigh_nearest(looks, contexts, hour * 3600.0, USUAL, passed):
        found[fit.places] = fit.evidence.aspects[:, 0]
    return found.mean(axis=0)


@pytest.mark.parametrize("late", [-0.67, -0.33, 0.33, 0.67])
def test_a_dawn_that_comes_early_or_late_is_no_evidence(contexts, late):
    found = location(contexts, windows(light(DAWN - late)), DAWN)
    assert np.abs(found[:3]).max() < 0.6
    assert np.abs(light(DAWN - late)[0] - light(DAWN)[0]) > 0.6


@pytest.mark.parametrize("moved", [-3600.0, 3600.0])
def test_when_clocks_were_moved_people_follow_them_and_the_sun_does_not(contexts, moved):
    passed = Elapsed(clock=moved)
    for hour in (DAWN - 1.0, DAWN, DAWN + 1.0):
        people = light(hour + moved / 3600.0)[0] * (np.arange(FEATURES) < 2)
        sun = light(hour)[2] * (np.arange(FEATURES) == 2)
        assert np.abs(location(contexts, windows(people + sun), hour, passed)[:3]).max() < 0.8


def test_on_a_kind_of_day_never_seen_people_may_be_at_any_hour_of_the_others(contexts):
    noon, people = 12.0, np.arange(FEATURES) < 2
    idle, sun = windows(np.where(people, light(0.0), light(noon))), windows(light(noon) * people)
    assert (np.abs(location(contexts, idle, noon)[:2]) > 2.0).all()
    assert np.abs(location(contexts, idle, noon, Elapsed(unseen=True))).max() < 0.6
    assert np.abs(location(contexts, sun, noon, Elapsed(unseen=True))).max() < 0.6
    beyond = windows(light(noon) + 3.0 * people)
    assert (location(contexts, beyond, noon, Elapsed(unseen=True))[:2] > 2.0).all()


def test_a_change_is_evidence_still_when_clocks_were_moved(contexts):
    changed = (
        light(DAWN) + np.where(np.arange(FEATURES) < 2, -3.0, 0.0) - np.where(np.arange(FEATURES) > 3, 1.5, 0)
    )
    found = location(contexts, windows(changed), 12.0, Elapsed(clock=-3600.0))
    assert (np.abs(found[[0, 1, 4, 5]]) > 1.2).all()


def test_another_time_zone_is_no_clock_change():
    assert Elapsed.since(0.0, 86400.0, 7200.0, 3600.0) == Elapsed(days=1.0, clock=-3600.0)
    assert Elapsed.since(0.0, 86400.0, 0.0, 19800.0) == Elapsed(days=1.0)
    assert Elapsed.since(86400.0, 0.0, 0.0, 0.0) == Elapsed()


def test_the_sun_may_have_moved_since_the_reference(contexts):
    month = Elapsed(days=30.0)
    late = windows(light(DAWN - 1.67))
    assert np.abs(location(contexts, late, DAWN, month)[:3]).max() < 0.6
    assert len(moments(contexts, DAWN * 3600.0, 300.0)) == 13


def test_a_change_of_one_feature_is_evidence_still(contexts):
    changed = light(DAWN) + np.where(np.arange(FEATURES) == 4, 1.5, 0.0)
    found = location(contexts, windows(changed), DAWN)
    assert found[4] > 1.2


def test_a_change_at_an_hour_like_its_neighbours_is_evidence_in_full(contexts):
    found = location(contexts, windows(light(14.0) - 1.0), 14.0)
    assert found == pytest.approx(np.full(FEATURES, -1.0), abs=0.3)


def test_of_moments_that_fit_alike_the_windows_own_is_chosen(contexts):
    own = contexts.at(14 * 3600.0)
    assert choose(windows(light(14.0)), [own] * 7, USUAL).tolist() == [0] * 40


def test_hours_that_were_never_recorded_are_no_candidates(contexts):
    known = {hour: contexts.hours[hour] for hour in (10, 11, 12)}
    few = Contexts(hours=known, spread=contexts.spread)
    assert len(moments(few, 11.5 * 3600.0)) == 7
    assert all(each.distance <= 1.5 for each in moments(few, 13.2 * 3600.0))
    assert len(moments(Contexts(hours={12: known[12]}, spread=contexts.spread), 0.0)) == 1
