"""Polygons as pixels: no pixel that one touches is left out, and few beyond are covered."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.raster import covered, kept_cells
from agent.core.scope import Scope
from tests.core.test_polygon import SQUARE, parsed, stars, touched


@settings(max_examples=150, deadline=None)
@given(stars(), st.integers(1, 70), st.integers(1, 50))
def test_no_pixel_that_a_polygon_touches_is_left_out(value, width, height):
    polygon = parsed(value)
    if polygon is None:
        return
    mask = covered((polygon,), width, height)
    hit = touched(polygon, width, height)
    assert mask.shape == (height, width)
    assert (mask[hit] == 255).all()


@settings(max_examples=60, deadline=None)
@given(stars())
def test_a_mask_reaches_few_pixels_beyond_its_polygon(value):
    polygon = parsed(value)
    if polygon is None:
        return
    places = [tuple(place) for place in np.argwhere(touched(polygon, 64, 48, 8))[:, ::-1]]
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):  # a sliver has no inside
        places += [(64 * (x0 + t * (x1 - x0)), 48 * (y0 + t * (y1 - y0))) for t in np.linspace(0, 1, 200)]
    near = np.zeros((48, 64), dtype=bool)
    for x, y in places:
        near[max(0, int(y) - 4) : int(y) + 5, max(0, int(x) - 4) : int(x) + 5] = True
    assert near[covered((polygon,), 64, 48) > 0].all()


def test_polygons_that_overlap_are_covered_where_they_do():
    other = ((0.4, 0.0), (0.6, 0.0), (0.6, 1.0), (0.4, 1.0))
    mask = covered((SQUARE, other), 100, 100)
    assert mask[50, 50] == 255


def test_cells_are_left_out_of_which_a_pixel_is_covered():
    cells = kept_cells(
        Scope(ignored=(((0.0, 0.0), (0.01, 0.0), (0.01, 0.01), (0.0, 0.01)),)), (1920, 1080), (16, 9)
    )
    assert cells.shape == (9, 16)
    assert not cells[0, 0]
    assert cells.sum() == 16 * 9 - 1
