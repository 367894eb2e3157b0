from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agent.core.kll import Sketch

FINITE = hnp.arrays(np.float32, st.integers(1, 400), elements=st.floats(-1e6, 1e6, width=32))


def sketch_of(values, k=200) -> Sketch:
    sketch = Sketch(k)
    sketch.update(np.asarray(values, np.float32))
    return sketch


def normal(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count).astype(np.float32)


def test_an_empty_sketch_answers_nan():
    sketch = Sketch()
    assert sketch.count == 0
    assert np.isnan([sketch.minimum, sketch.maximum]).all()
    assert np.isnan(sketch.quantiles([0.1, 0.5])).all()
    assert np.isnan(sketch.cdf([0.0])).all()
    assert Sketch.from_bytes(sketch.to_bytes()).count == 0


def test_nan_is_counted_and_infinities_are_dropped():
    sketch = sketch_of([1, np.nan, np.inf, 2, -np.inf, np.nan, 3])
    assert (sketch.count, sketch.missing) == (3, 2)
    assert (sketch.minimum, sketch.maximum) == (1, 3)


@given(FINITE)
def test_small_streams_are_kept_exactly(values):
    values = values[:150]
    sketch = sketch_of(values)
    points = np.unique(values)
    np.testing.assert_allclose(sketch.cdf(points), [(values <= p).mean() for p in points], atol=1e-12)
    np.testing.assert_allclose(
        sketch.cdf(points, inclusive=False), [(values < p).mean() for p in points], atol=1e-12
    )
    assert sketch.quantiles([0.0, 1.0]).tolist() == [values.min(), values.max()]


def test_ranks_of_a_long_stream_are_within_the_promise():
    values = normal(200_000)
    sketch = sketch_of(values)
    true = np.sort(values)
    points = np.linspace(-2, 2, 41)
    error = sketch.cdf(points) - np.searchsorted(true, points) / true.size
    assert np.abs(error).max() < 0.0133 * 1.5
    assert len(sketch.to_bytes()) < 2600


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_merging_is_associative_within_the_error(seed):
    parts = [sketch_of(normal(3000, seed + i) + i) for i in range(3)]
    left, right = parts[0].copy(), parts[1].copy()
    left.merge(parts[1])
    left.merge(parts[2])
    right.merge(parts[2])
    whole = parts[0].copy()
    whole.merge(right)
    assert left.count == whole.count == 9000
    points = np.linspace(-2, 4, 25)
    assert np.abs(left.cdf(points) - whole.cdf(points)).max() < 0.04


@given(FINITE)
def test_bytes_round_trip(values):
    sketch = sketch_of(values, k=20)
    twin = Sketch.from_bytes(sketch.to_bytes())
    assert twin.to_bytes() == sketch.to_bytes()
    assert (twin.count, twin.minimum, twin.maximum) == (sketch.count, sketch.minimum, sketch.maximum)


@settings(max_examples=300)
@given(st.sampled_from([1, 2, 50, 1000]), st.data())
def test_damaged_bytes_are_refused_and_never_crash(count, data):
    blob = sketch_of(normal(count)).to_bytes()
    with pytest.raises(ValueError, match="not a KLL sketch"):
        Sketch.from_bytes(blob[: data.draw(st.integers(0, len(blob) - 1))])
    with pytest.raises(ValueError, match="not a KLL sketch"):
        Sketch.from_bytes(blob + b"\0")
    position = data.draw(st.integers(0, len(blob) - 1))
    flipped = bytes(
        [*blob[:position], blob[position] ^ data.draw(st.integers(1, 255)), *blob[position + 1 :]]
    )
    try:
        Sketch.from_bytes(flipped).quantiles([0.5])
    except ValueError as error:
        assert "not a KLL sketch" in str(error)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(blob):
    with pytest.raises(ValueError, match="not a KLL sketch"):
        Sketch.from_bytes(blob)


@pytest.mark.parametrize("count", [0, 1, 2, 31, 120, 121, 1000, 50_000])
@pytest.mark.parametrize("items", [16, 32, 64])
def test_compacting_keeps_count_extremes_and_ranks(count, items):
    values = normal(count, seed=count)
    sketch = sketch_of(values)
    small = sketch.compact(items)
    assert small.count == count
    kept, weights = small.weighted()
    assert weights.sum() == count
    assert kept.size <= items + int(count).bit_length()
    if count:
        assert (small.minimum, small.maximum) == (sketch.minimum, sketch.maximum)
        points = np.linspace(-2, 2, 33)
        assert np.abs(small.cdf(points) - sketch.cdf(points)).max() <= 2.2 / items
        assert len(small.to_bytes()) < 28 + 4 * (items + 2 * int(count).bit_length())


def test_a_compacted_sketch_merges_and_updates_like_any_other():
    small = sketch_of(normal(120)).compact(32)
    for seed in range(1, 200):
        small.merge(sketch_of(normal(120, seed)).compact(32))
    small.update(normal(1000, 999))
    assert small.count == 200 * 120 + 1000
    assert abs(small.quantiles([0.5])[0]) < 0.06


@pytest.mark.parametrize("items", [32, 64])
def test_an_even_part_lies_neither_higher_nor_lower_than_the_whole(items):
    means = []
    for seed in range(120):
        part = sketch_of(normal(1800, seed)).even(items)
        values, weights = part.weighted()
        assert (values.size, set(weights.tolist())) == (items, {1})
        assert (part.minimum, part.maximum) == (normal(1800, seed).min(), normal(1800, seed).max())
        means.append(values.mean(dtype=float) - normal(1800, seed).mean())
    assert np.mean(means) == pytest.approx(0.0, abs=0.008), "of a compacted one it is -0.03, or 0.016"


def test_an_even_part_of_few_values_are_all_of_them():
    few = sketch_of(normal(20)).even(32)
    assert few.count == 20
    assert few.quantiles([0.5]) == sketch_of(normal(20)).quantiles([0.5])


def test_compacting_beats_a_smaller_k_of_the_same_size():
    points, worst = np.linspace(-1.5, 1.5, 25), {"compact": [], "k": []}
    for seed in range(50):
        values = normal(120, seed)
        whole = sketch_of(values)
        for name, other in (("compact", whole.compact(32)), ("k", sketch_of(values, k=20))):
            assert len(other.to_bytes()) < 200
            worst[name].append(np.abs(other.cdf(points) - whole.cdf(points)).max())
    assert np.mean(worst["compact"]) < 0.5 * np.mean(worst["k"])
