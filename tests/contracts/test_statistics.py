"""What every distance of the drift room must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agent.drift.judge import DriftJudge
from agent.drift.statistics import STATISTICS
from agent.drift.storage import from_json, to_json
from tests.references.conftest import Source, recorded

NAMES = tuple(STATISTICS)
counts = arrays(np.float64, 20, elements=st.floats(0, 100)).filter(lambda found: found.sum() > 0)


def shares(found: np.ndarray) -> np.ndarray:
    return found / found.sum()


def shifted(by: float) -> np.ndarray:
    """Shares of 20 bins, even where nothing is shifted, of values that all moved up by a part of the range."""
    edges = np.clip(np.linspace(0, 1, 21) - by, 0, 1)
    edges[-1] = 1.0
    return np.diff(edges)


@pytest.mark.parametrize("name", NAMES)
@given(found=counts)
def test_zero_on_itself(name, found):
    assert STATISTICS.load(name).distance(shares(found), shares(found)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@given(one=counts, other=counts)
def test_bounded_and_alike_from_both_sides(name, one, other):
    distance = STATISTICS.load(name).distance
    found = float(distance(shares(one), shares(other)))
    assert 0.0 <= found <= STATISTICS.load(name).most + 1e-9
    assert float(distance(shares(other), shares(one))) == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_grows_with_the_shift(name):
    distance = STATISTICS.load(name).distance
    found = [float(distance(shifted(by), shifted(0.0))) for by in (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)]
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_takes_many_at_once(name):
    both = np.stack([shifted(0.1), shifted(0.3)])
    distance = STATISTICS.load(name).distance
    assert distance(both, shifted(0.0)).tolist() == [
        float(distance(shifted(0.1), shifted(0.0))),
        float(distance(shifted(0.3), shifted(0.0))),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_calibrated_and_in_every_verdict_on_a_feature(name, stored_reference):
    """Registering it is all there is to do: the reference has its usual size and limit, the verdict its value."""
    reference, window = stored_reference
    number = NAMES.index(name)
    assert (reference.calibration.distances[number] > 0).all()
    verdict = DriftJudge(from_json(to_json(reference))).judge(window, window.end)
    for each in verdict.features:
        value, limit = each.distances[name]
        assert 0 <= value <= STATISTICS.load(name).most
        assert limit > 0


@pytest.fixture(scope="module")
def stored_reference():
    """A reference of eight hours, whose limits are learnt, and the next window."""
    source = Source(samples=10)
    reference = recorded(windows=480, source=source).make(source.now, final=True).reference
    assert reference.calibration.blocks
    return reference, source.window()[0]
