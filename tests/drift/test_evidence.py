import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.drift.contexts import Context, Contexts
from agent.drift.evidence import BINS, EDGES, UsualWindow, log_steps, look, stack, weigh
from agent.drift.sketch import Window

RNG = np.random.default_rng(10)
NORMAL = np.exp(RNG.standard_normal(4000))
USUAL = UsualWindow(
    counts=np.array([400.0]), frames=400.0, steps=np.array([float(np.abs(np.diff(NORMAL)).mean())])
)
_SAMPLES = np.sort(NORMAL.astype(np.float32)), np.ones(NORMAL.size, dtype=np.int64)
EXPECTED = Contexts(
    hours={
        0: Context(
            samples=[_SAMPLES],
            log_steps=log_steps(USUAL.steps[None].astype(np.float32), USUAL)[0],
            classes=np.zeros(0),
        )
    },
    spread=np.array([1.0]),
).at(0.0)


def window(values):
    collector = Window("front", ("x",), "1", interval=1.0)
    collector.extend(np.asarray(values, np.float32)[:, None], at=np.arange(len(values), dtype=np.float64))
    return collector.close(0.0, 60.0)


def evidence(values):
    found = weigh(look(window(values)), EXPECTED, USUAL)
    return found.aspects[0, :, 0], found.ranks[0, 0]


def usual_evidence():
    return np.mean([evidence(NORMAL[i : i + 400])[0] for i in range(0, 4000, 400)], axis=0)


def test_what_is_normal_lies_at_zero_and_is_evenly_ranked():
    location, _, noise = usual_evidence()
    assert abs(location) < 0.1
    assert abs(noise) < 0.2
    assert evidence(NORMAL[:400])[1] == pytest.approx(EDGES, abs=0.08)
    assert len(EDGES) == BINS - 1


def test_a_heavy_tailed_feature_that_moved_by_a_sigma_shows_one():
    moved = np.exp(np.log(NORMAL[:400]) + 1.0)
    assert evidence(moved)[0][0] == pytest.approx(1.0, abs=0.15)


def test_a_doubled_spread_shows_in_spread():
    wide = np.exp(2 * np.log(NORMAL[:400]))
    assert evidence(wide)[0][1] - usual_evidence()[1] == pytest.approx(0.5, abs=0.25)


def test_doubled_steps_show_in_noise_alone():
    smooth = np.sort(NORMAL[:400])  # the same values without jumps
    location, spread, noise = evidence(smooth)[0] - usual_evidence()
    assert abs(location) < 0.2
    assert abs(spread) < 0.2
    assert noise < -1.0


def test_another_sampling_rate_is_no_noise():
    assert evidence(np.sort(NORMAL[:100]))[0][2] == 0.0


def test_no_value_at_all_says_nothing():
    aspects, ranks = evidence(np.full(400, np.nan))
    assert np.isfinite(aspects).all()
    assert weigh(look(window(np.full(400, np.nan))), EXPECTED, USUAL).trust.tolist() == [[[0.0]] * 3]
    assert ranks == pytest.approx(EDGES)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=60))
def test_evidence_is_finite_and_bounded_whatever_comes(values):
    aspects, ranks = evidence(values or [np.nan])
    assert (np.abs(aspects) <= 6.0).all()
    assert ((ranks >= 0) & (ranks <= 1)).all()
    assert (np.diff(ranks) >= -1e-9).all()


def test_windows_are_stacked_in_order():
    both = stack([look(window([1.0, 2.0])), look(window([3.0, 4.0, 5.0]))])
    assert both.frames.tolist() == [2, 3]
    assert both[1:].knots[0, 0, 0] == 3.0
