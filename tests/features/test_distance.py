from __future__ import annotations

import json

import numpy as np
import pytest

from agent.core.errors import ReferenceMismatch
from agent.features.distance import DIMENSIONS, LEAST, EmbeddingModel


def embeddings(count: int, seed: int, *, shift: float = 0.0, size: int = 128) -> np.ndarray:
    """Correlated, all of about the same direction, as pooled activations are."""
    common = np.random.default_rng(99)
    mixing = common.normal(0, 0.3, (12, size))
    centre, away = common.normal(3, 1, size), common.normal(0, 1, size)
    rng = np.random.default_rng(seed)
    return (centre + shift * away + rng.normal(0, 1, (count, 12)) @ mixing).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> EmbeddingModel:
    fitted = EmbeddingModel()
    for embedding in embeddings(6000, 1):
        fitted.add(embedding)
    return fitted


def test_nothing_is_said_before_enough_is_known():
    young = EmbeddingModel()
    for embedding in embeddings(LEAST - 1, 1):
        young.add(embedding)
    assert np.isnan(young.distance(embeddings(1, 2)[0]))
    assert np.isnan(young.limit())


def test_usual_frames_are_about_one_away(model):
    distances = [model.distance(embedding) for embedding in embeddings(1000, 2)]
    assert 0.3 < np.median(distances) < 1.2


@pytest.mark.parametrize("share", [0.01, 0.001])
def test_the_limit_keeps_its_share(model, share):
    distances = np.array([model.distance(embedding) for embedding in embeddings(20_000, 3)])
    assert 0.2 * share < (distances > model.limit(share)).mean() < 3 * share


def test_a_stranger_is_beyond_the_limit(model):
    assert all(model.distance(embedding) > 2 * model.limit() for embedding in embeddings(200, 4, shift=1.0))


def test_mean_and_covariance_are_those_of_numpy(model):
    from agent.features.embedding import project

    points = np.array([project(embedding, DIMENSIONS) for embedding in embeddings(6000, 1)])
    expected = np.cov(points.T, bias=True)
    assert np.abs(model.covariance() - expected).max() < 0.01 * np.abs(expected).max()


def test_merging_is_learning_both():
    parts = [EmbeddingModel(), EmbeddingModel()]
    whole = EmbeddingModel()
    for part, seed in zip(parts, (5, 6), strict=True):
        for embedding in embeddings(700, seed, shift=0.1 * seed):
            part.add(embedding)
            whole.add(embedding)
    merged, probe = parts[0].merge(parts[1]), embeddings(1, 7)[0]
    assert merged.count == whole.count
    assert merged.distance(probe) == pytest.approx(whole.distance(probe), rel=0.02)
    assert EmbeddingModel().merge(parts[0]).distance(probe) == pytest.approx(
        parts[0].distance(probe), rel=0.02
    )
    assert EmbeddingModel().merge(EmbeddingModel()).count == 0


def test_restored_it_says_the_same(model):
    text = json.dumps(model.to_json())
    restored = EmbeddingModel.from_json(json.loads(text))
    assert len(text) < 9500
    assert restored.limit() == model.limit()
    # The running model renews its factorisation every 5 % only, hence not exactly equal.
    for embedding in embeddings(20, 8):
        assert restored.distance(embedding) == pytest.approx(model.distance(embedding), rel=0.02)


@pytest.mark.parametrize(
    "spoilt",
    [
        {},
        {"dimensions": 64},
        {"dimensions": DIMENSIONS, "count": 1},
        {"dimensions": DIMENSIONS, "count": 1, "mean": "AAAA", "scatter": "", "distances": ""},
        {"dimensions": DIMENSIONS, "count": 1, "mean": "***", "scatter": "", "distances": ""},
        {"dimensions": DIMENSIONS, "count": None, "mean": 5, "scatter": "", "distances": ""},
    ],
)
def test_foreign_data_is_refused(spoilt):
    with pytest.raises(ReferenceMismatch):
        EmbeddingModel.from_json(spoilt)


def test_embeddings_without_direction_teach_nothing():
    fitted = EmbeddingModel()
    fitted.add(np.zeros(8, np.float32))
    fitted.add(np.full(8, np.nan, np.float32))
    assert fitted.count == 0


def test_a_scene_that_never_changes_keeps_finite_distances():
    fitted = EmbeddingModel()
    for _ in range(400):
        fitted.add(np.arange(1, 65, dtype=np.float32))
    assert fitted.distance(np.arange(1, 65, dtype=np.float32)) == pytest.approx(0, abs=1e-3)
    assert np.isfinite(fitted.limit())
    assert fitted.distance(np.arange(64, 0, -1, dtype=np.float32)) > 100
