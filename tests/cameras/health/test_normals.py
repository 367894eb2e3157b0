"""How much noise is left where means of the edges are compared, and what is taken for new edges over the view."""

import dataclasses

import numpy as np
import pytest

from agent.cameras.health.features import agreement, measure
from agent.cameras.health.light import LightMode
from agent.cameras.health.normals import (
    FIRST_SAMPLES,
    GLANCE_SECONDS,
    LASTING_SECONDS,
    comparison_noise,
    first_normal,
    followed,
    over_the_view,
    recent_after,
)

BLOCK = (40, 360)


def shown(noise, seconds, *, more=0.0, after=0.0, seed=1):
    """A normal of a still view with `noise` (energy of a sample's, of the structure's) after 12 s, and what it becomes.

    For so many `seconds` the view is shown again, with `more` of other structure over it `after` some. Gives the normal
    before and after, and how the lasting edges agree with what is kept at the end.
    """
    rng = np.random.default_rng(seed)
    view, other = rng.normal(0, 1, BLOCK).astype(np.float32), rng.normal(0, 1, BLOCK).astype(np.float32)
    figures = measure(rng.integers(60, 190, (90, 160), dtype=np.uint8))

    def sample(over):
        edges = view + over * other + rng.normal(0, noise**0.5, BLOCK).astype(np.float32)
        return dataclasses.replace(figures, edges=edges)

    first = first_normal([sample(0.0) for _ in range(FIRST_SAMPLES)], (640, 360), LightMode.DAY, known=True)
    normal, recent, lasting = first, None, None
    kept_agreed = np.ones(40, np.float32)
    for index in range(round(seconds / GLANCE_SECONDS)):
        one = sample(more if index * GLANCE_SECONDS >= after else 0.0)
        recent = recent_after(recent, one.edges, GLANCE_SECONDS)
        lasting = recent_after(lasting, one.edges, GLANCE_SECONDS, LASTING_SECONDS)
        kept_agreed = agreement(lasting, normal.kept)
        overlaid = bool(over_the_view(kept_agreed, normal).mean() > 0.25)
        normal = followed(
            normal, one, agreement(recent, normal.background), kept_agreed,
            overlaid=overlaid, steady=1.0, passed=GLANCE_SECONDS,
        )  # fmt: skip
    return first, normal, kept_agreed


@pytest.mark.parametrize("noise", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("minutes", [2, 8])
def test_the_noise_of_a_comparison_is_bounded_by_what_is_assumed_and_is_not_far_below(noise, minutes):
    _, normal, agreed = shown(noise, 60 * minutes)
    assumed, measured = (float(np.median(one)) for one in (comparison_noise(normal), 1 / agreed**2 - 1))
    assert (
        0.95 * measured < assumed < 1.6 * measured
    )  # what is kept holds some of the lasting mean's noise, too


@pytest.mark.parametrize("noise", [0.0, 1.0, 20.0])
@pytest.mark.parametrize(("more", "over"), [(0.0, 0.0), (0.3, 0.0), (0.8, 1.0)])
def test_noise_is_not_taken_for_edges_over_the_view_and_as_much_as_the_structure_is(noise, more, over):
    _, normal, agreed = shown(noise, 240, more=more, after=150)
    assert over_the_view(agreed, normal).mean() == pytest.approx(over, abs=0.15)


def test_what_lies_over_the_view_is_not_learnt_along_within_minutes():
    first, normal, agreed = shown(1.0, 780, more=1.0, after=180)
    assert over_the_view(agreed, normal).mean() > 0.9
    left = np.einsum("ij,ij->i", normal.kept, first.kept) / np.einsum("ij,ij->i", first.kept, first.kept)
    assert np.median(left) > 0.8
