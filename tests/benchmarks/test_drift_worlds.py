"""Every world runs, is seeded and goes on where it stopped; what it says that nothing of note changes in, it means."""

import numpy as np
import pytest

pytest.importorskip("benchmarks.drift.worlds", reason="run from the repository's root")

from benchmarks.drift.replay import looks_of
from benchmarks.drift.streams import Change
from benchmarks.drift.worlds import WORLDS
from benchmarks.drift.worlds.fleet import Mixed
from benchmarks.drift.worlds.weekends import weekend
from benchmarks.drift.worlds.world import FEATURES, counted


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_is_seeded_finite_and_goes_on(name):
    one, other = (WORLDS.load(name)(3, rate=0.5) for _ in range(2))
    first = one.run(600)
    assert first.shape == (600 * 30, FEATURES)
    assert np.isfinite(first).all()
    assert (first == other.run(600)).all()
    assert one.now == other.now
    assert (one.run(60) == other.run(60)).all()
    assert (first != WORLDS.load(name)(4, rate=0.5).run(600)).any()


@pytest.mark.parametrize("name", WORLDS)
def test_a_change_is_in_the_features_asked_for_alone(name):
    world = WORLDS.load(name)(5, rate=0.5)
    plain, changed = world.twin(1), world.twin(1)
    before, after = plain.run(300), changed.run(300, Change(features=2, first=3, shift=3.0))
    assert (before != after).any(axis=0).nonzero()[0].tolist() == [3, 4]


def test_a_camera_of_a_fleet_is_seeded_and_moved_by_several_worlds():
    one, other = (Mixed(5001, rate=0.5) for _ in range(2))
    assert 3 <= len(one.names) <= 5
    assert (one.run(120) == other.run(120)).all()
    assert (one.twin(1).run(60) == other.twin(1).run(60)).all()


def test_windows_of_which_little_or_nothing_is_sampled_are_like_those_of_a_camera_that_delivers_less():
    values = np.random.default_rng(2).normal(size=(4 * 30, 2)).astype(np.float32)
    whole, some = looks_of(values, 30), looks_of(values, 30, np.array([30, 0, 10, 15]))
    assert some.counts[:, 0].tolist() == some.frames.tolist() == [30, 0, 10, 15]
    assert (some.knots[0] == whole.knots[0]).all()
    assert np.isnan(some.steps[1]).all()
    fewer = looks_of(values[60:90:3], 10)
    assert (some.knots[2] == fewer.knots[0]).all()
    assert (some.steps[2] == fewer.steps[0]).all()


def test_counts_have_the_mean_that_was_asked_for():
    latent = np.random.default_rng(1).standard_normal((3, 20000, 1)).astype(np.float32)
    assert counted(latent, np.array([0.0, 1.0, 4.0])).mean(axis=(1, 2)) == pytest.approx([0, 1, 4], abs=0.05)


def test_weekends_are_saturday_and_sunday():
    days = 1_789_948_800.0 + 86400.0 * np.arange(7)  # from a Monday on
    assert weekend(days).tolist() == [False] * 5 + [True] * 2
