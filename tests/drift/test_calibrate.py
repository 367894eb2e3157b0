from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.drift.calibrate import assumed, calibrate, limits
from agent.drift.memory import AGES, KEEP, fade
from agent.drift.recording import contexts_of, gather, hold_out
from agent.drift.series import EvidenceSeries, score


@pytest.fixture(scope="module")
def calibration(day_recording):
    gathered = gather(day_recording)
    return calibrate(hold_out(gathered, contexts_of(gathered, sorted(gathered.samples)).spread))


def made_of(evidence, gaps):
    return EvidenceSeries(evidence=evidence, gates=np.ones_like(evidence), gaps=gaps, blocks=26)


@settings(max_examples=50, deadline=None)
@given(budgets=st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)))
def test_a_greater_budget_never_gives_a_higher_limit(calibration, budgets):
    strict, loose = (limits(calibration, budget, 60.0) for budget in sorted(budgets))
    assert (loose.aspects <= strict.aspects).all()
    assert (loose.distances <= strict.distances).all()
    assert loose.joint <= strict.joint
    assert loose.classes <= strict.classes


def test_limits_are_a_few_times_the_usual_size(calibration):
    found = limits(calibration, 1.0, 60.0)
    assert (found.aspects > 4).all()
    assert (found.aspects < 12).all()
    assert 4 < found.joint < 12


def test_scores_of_its_own_windows_are_about_one(day_recording, calibration):
    gathered = gather(day_recording)
    held = hold_out(gathered, contexts_of(gathered, sorted(gathered.samples)).spread)
    series = made_of(calibration.refinement(held.aspects, held.trust, held.hours[:, None]), held.gaps)
    squares = np.mean(
        np.concatenate([score(m, calibration.filters()) ** 2 for _, m in series.memories()]), axis=0
    )
    moving = squares[:, :4, :8]  # features that move at all, ages with many looks
    assert moving == pytest.approx(np.ones(moving.shape), abs=0.5)


def test_an_hour_that_scatters_more_has_no_lower_limit(day_recording):
    gathered = gather(day_recording)
    held = hold_out(gathered, contexts_of(gathered, sorted(gathered.samples)).spread)
    random = np.random.default_rng(3)
    noon = held.hours == 12
    wild = random.standard_normal(held.aspects.shape) * np.where(noon, 5.0, 1.0)[:, None, None]
    made = calibrate(
        replace(held, aspects=wild, trust=np.ones_like(held.trust), gate=np.ones_like(held.gate))
    )
    refinement = made.refinement
    assert (refinement.loud >= 1.0).all()
    assert (refinement.loud[12] > 1.5).all()
    assert refinement.loud[2] == pytest.approx(1.0)
    scaled = refinement(wild, np.ones_like(wild), held.hours[:, None])
    assert scaled[noon].std() < 2.5 * scaled[~noon].std()


def test_only_changes_the_recording_was_long_enough_for_are_judged(calibration):
    assert calibration.longest == 26 * 60 // 4
    filters = calibration.filters()
    assert not filters[..., calibration.longest < AGES, :].any()


def test_memories_in_pieces_are_the_memory():
    series, gaps = np.random.default_rng(1).standard_normal((1030, 3, 2)), np.ones(1030)
    gaps[7] = 5.0
    memory = np.zeros((3, 2, KEEP.size))
    for new, gap in zip(series, gaps, strict=True):
        memory = fade(memory, new, gap)
    assert list(made_of(series, gaps).memories())[-1][1][-1] == pytest.approx(memory)


@pytest.mark.parametrize("windows", [0, 1, 30])
def test_what_is_assumed_is_cautious_and_usable(windows):
    aspects = np.random.default_rng(2).standard_normal((windows, 3, 4))
    cautious = assumed(aspects)
    assert cautious.blocks == 0
    found = limits(cautious, 1.0, 60.0)
    assert (found.aspects > 7).all()
    assert np.isfinite(cautious.filters()).all()
