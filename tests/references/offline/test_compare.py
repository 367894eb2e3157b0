import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ReferenceMismatch
from agent.core.kll import Sketch
from agent.references.offline.compare import compare, distances
from tests.references.conftest import NOON, Source, recorded


def sketch(values):
    made = Sketch()
    made.update(np.asarray(values, dtype=np.float32))
    return made


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=150),
    st.lists(st.integers(0, 9), min_size=1, max_size=150),
)
def test_ks_of_what_fits_a_sketch_is_the_exact_one(first, second):
    ks, psi = distances(sketch(first), sketch(second))
    exact = max(abs(np.mean(np.array(first) <= x) - np.mean(np.array(second) <= x)) for x in range(10))
    assert ks == pytest.approx(exact, abs=1e-9)
    assert psi >= 0


def test_distances_grow_with_the_shift_and_are_unknown_without_values():
    random = np.random.default_rng(1)
    normal = sketch(random.normal(0, 1, 5000))
    found = [distances(normal, sketch(random.normal(shift, 1, 5000))) for shift in (0, 0.5, 1, 3)]
    assert [round(ks, 3) for ks, _ in found] == sorted(round(ks, 3) for ks, _ in found)
    assert found[0][0] < 0.05
    assert found[0][1] < 0.04, "two samples of one distribution; a sketch is a random sample, too"
    assert np.isnan(distances(normal, Sketch())).all()


def test_two_references_are_compared_the_most_different_feature_first(stored):
    source = Source(seed=9)
    source.means = source.means.copy()
    source.means[4] += 5.0
    other = recorded(windows=20, source=source).make(NOON, final=True)
    rows = compare(stored.reference, other.reference)
    assert rows[0].feature == "warmth"
    assert rows[0].ks > 0.7
    assert rows[0].second[1] > rows[0].first[2]


def test_references_of_other_features_are_not_compared(stored):
    origin = dataclasses.replace(stored.reference.origin, feature_version="other")
    with pytest.raises(ReferenceMismatch, match="cannot be compared"):
        compare(stored.reference, dataclasses.replace(stored.reference, origin=origin))
