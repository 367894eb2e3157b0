import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.drift.refine import UNBOUNDED, learn, nothing_learnt

WINDOWS, FEATURES = 1440, 8
HOURS = np.arange(WINDOWS) // 60 % 24
GAPS = np.ones(WINDOWS)
WHOLE = np.ones((WINDOWS, FEATURES))


def learnt(aspects, gate=WHOLE):
    return learn(aspects, np.repeat(gate[:, None], 3, axis=1), gate, HOURS, GAPS)


def noise(seed=1):
    return np.random.default_rng(seed).standard_normal((WINDOWS, 3, FEATURES))


@pytest.fixture(scope="module")
def shared():
    """Half the features follow one slow wave in their location."""
    wave = 2.0 * np.sin(2 * np.pi * np.arange(WINDOWS) / 240)
    aspects = noise()
    aspects[:, 0, :4] += wave[:, None] * np.array([1.0, -1.0, 0.5, 2.0])
    return aspects


def test_nothing_is_taken_out_of_independent_features():
    assert not learnt(noise()).loadings.any()


def test_a_shared_cause_is_one_factor_of_the_aspect_that_shows_it(shared):
    loadings = learnt(shared).loadings
    assert [int(np.abs(each).sum(axis=0).astype(bool).sum()) for each in loadings] == [1, 0, 0]
    found = loadings[0, :, 0]
    assert found @ found == pytest.approx(1.0)
    assert np.abs(found[4:]).max() < 0.15
    assert np.sign(found[0] * found[3]) == 1 == -np.sign(found[0] * found[1])


def test_features_are_free_of_the_shared_cause_and_nothing_is_lost(shared):
    refinement = learnt(shared)
    columns = refinement(shared, np.ones_like(shared), HOURS[:, None])
    slow = np.array([np.convolve(columns[:, 0, f], np.ones(60) / 60, "valid").std() for f in range(4)])
    before = np.array([np.convolve(shared[:, 0, f], np.ones(60) / 60, "valid").std() for f in range(4)])
    assert (slow < 0.5 * before).all()
    whole = np.stack([refinement.of_features(each) for each in columns])
    inside = ((shared / refinement.unit) ** 2).sum(axis=(1, 2)) < 0.5 * refinement.bound
    assert np.corrcoef(whole[inside, 0, 0], shared[inside, 0, 0])[0, 1] > 0.99


def test_a_change_of_one_feature_stays_that_features(shared):
    refinement = learnt(shared)
    odd = np.zeros((3, FEATURES))
    odd[0, 0] = 1.0
    moved = refinement(odd, np.ones((3, FEATURES)), np.array(3)) - refinement(
        0 * odd, np.ones((3, FEATURES)), np.array(3)
    )
    assert np.abs(moved[0, :FEATURES]).argmax() == 0
    assert moved[0, 0] > 0.5


@settings(max_examples=40, deadline=None)
@given(st.floats(-1e9, 1e9), st.integers(1, FEATURES))
def test_one_window_counts_for_no_more_than_windows_do(size, many):
    refinement = learnt(noise())
    wild = np.zeros((3, FEATURES))
    wild[:, :many] = size
    counted = refinement._bounded(refinement._centred(wild, np.ones((3, FEATURES)), 12))
    assert ((counted / refinement.unit) ** 2).sum() <= refinement.bound * (1 + 1e-9)
    assert (np.abs(counted) <= refinement.most + 1e-9).all()


def test_a_feature_that_hardly_ever_says_anything_is_left_out():
    gate = WHOLE.copy()
    gate[100:, 2] = 0.0
    refinement = learnt(noise(), gate)
    assert refinement.most[:, 2].tolist() == [0.0] * 3
    assert (refinement.most[:, :2] > 0).all()


def test_gates_of_factors_are_those_of_the_features_that_follow_them(shared):
    refinement = learnt(shared)
    gate = np.where(np.arange(FEATURES) < 4, 0.0, 1.0)
    gates = refinement.gates(gate)
    assert gates[0, :FEATURES].tolist() == gate.tolist()
    assert gates[0, FEATURES] < 0.1


def test_without_learning_only_features_are_bounded():
    plain = nothing_learnt(np.zeros((3, 2)), np.full((3, 2), 6.0))
    assert plain.bound == UNBOUNDED
    assert plain(np.full((3, 2), 9.0), np.ones((3, 2)), 0) == pytest.approx(np.full((3, 2), 6.0))


def test_a_change_by_one_refinement_is_the_same_change_by_another(shared):
    """A reference has grown: what has become familiar is known by the sizes and factors of the shorter one."""
    before, to = learnt(shared), learnt(2.0 * shared[: WINDOWS // 2].repeat(2, axis=0) + noise(9))
    change = np.zeros(before.units.shape)
    change[0, 1], change[0, FEATURES], change[1, 6] = 3.0, -2.0, 1.0
    again = before.converted(change, to)
    assert to.of_features(again * to.units) == pytest.approx(before.of_features(change * before.units))
    assert to.converted(again, to) == pytest.approx(again)
