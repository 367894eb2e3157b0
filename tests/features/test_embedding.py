from __future__ import annotations

import numpy as np
import pytest

from agent.features.embedding import PROJECTIONS, project, signs

PICTURE = np.full((64, 64, 3), 90, np.uint8)


def named(found: dict[str, float]) -> list[float]:
    return [found[f"embedding_{number}"] for number in range(PROJECTIONS)]


def test_the_directions_never_change():
    """References on every device stand on these signs."""
    assert "".join("+" if sign > 0 else "-" for sign in signs(1, 32)[0]) == "+-+---+--+--++-+-++++--++--+-+-+"
    assert np.array_equal(signs(4, 100)[:, :7], signs(32, 7)[:4])


def test_missing_without_an_embedding(measure):
    assert np.isnan(named(measure(PICTURE))).all()
    assert np.isnan(named(measure(PICTURE, embedding=np.zeros(8)))).all()
    assert np.isnan(named(measure(PICTURE, embedding=[1, np.inf]))).all()


def test_only_the_direction_counts(measure):
    embedding = np.random.default_rng(0).normal(0, 1, 256)
    assert named(measure(PICTURE, embedding=embedding)) == pytest.approx(
        named(measure(PICTURE, embedding=embedding * 1000)), rel=1e-5
    )


def test_projections_of_random_directions_are_standard_normal():
    rng = np.random.default_rng(0)
    points = np.array([project(rng.normal(0, 1, 256), 32) for _ in range(2000)])
    assert np.abs(points.mean(axis=0)).max() < 0.12
    assert points.std() == pytest.approx(1, abs=0.03)


def test_distances_survive_the_projection():
    rng = np.random.default_rng(1)
    one, other = rng.normal(0, 1, (2, 256))
    one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    seen = np.linalg.norm(project(one, 32) - project(other, 32)) / np.sqrt(32)
    assert seen == pytest.approx(np.linalg.norm(one - other), rel=0.4)
