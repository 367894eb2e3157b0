"""Polygons: what is none is refused with a mend, and a point is in one or not."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.core.polygon import MOST_CORNERS, area, inside, parse_polygon

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))

BAD = {
    "no list": (3, "is not a polygon"),
    "a string": ("0,0,1,1", "is not a polygon"),
    "empty": ([], "has 0 corners"),
    "one corner": ([[0, 0]], "has 1 corners"),
    "two corners": ([[0, 0], [1, 1]], "has 2 corners"),
    "two corners, closed": ([[0, 0], [1, 1], [0, 0]], "has 2 corners"),
    "a flat list": ([0, 0, 1, 0, 1, 1], "corner 1 is not a pair"),
    "three numbers": ([[0, 0], [1, 0], [1, 1, 1]], "corner 3 is not a pair"),
    "a truth value": ([[0, 0], [True, 0], [1, 1]], "corner 2 is not a pair"),
    "text": ([[0, 0], ["1", 0], [1, 1]], "corner 2 is not a pair"),
    "pixels": ([[0, 0], [640, 0], [640, 360]], "corner 2 is outside the frame.*divide pixels by"),
    "negative": ([[0, 0], [-0.1, 0], [1, 1]], "corner 2 is outside the frame"),
    "NaN": ([[0, 0], [math.nan, 0], [1, 1]], "corner 2 is outside the frame"),
    "infinite": ([[0, 0], [math.inf, 0], [1, 1]], "corner 2 is outside the frame"),
    "a corner twice": ([[0, 0], [1, 0], [1, 0], [1, 1]], "corner 2 stands there twice"),
    "a line": ([[0, 0], [0.5, 0.5], [1, 1]], "crosses or touches itself"),
    "a hair": ([[0, 0], [1, 0], [1, 1e-7], [0, 1e-7]], "covers next to nothing"),
    "a bow tie": ([[0, 0], [1, 1], [1, 0], [0, 1]], "crosses or touches itself"),
    "an eight that touches": ([[0, 0], [0.5, 0.5], [1, 0], [1, 1], [0.5, 0.5], [0, 1]], "crosses or touches"),
    "a spike": ([[0, 0], [1, 0], [1, 1], [1, 0.2]], "crosses or touches itself"),
    "a spike outwards": ([[0, 0], [0.5, 0], [1, 0], [0.5, 0], [0.5, 0.5]], "crosses or touches itself"),
    "thousands of corners": ([[n / 5000, n % 2] for n in range(5000)], "has 5000 corners.*at most 100"),
    "one corner too many": (
        [[(1 + math.cos(a / 16)) / 2, (1 + math.sin(a / 16)) / 2] for a in range(101)], "has 101 corners"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_polygon_is_refused_with_a_mend(name):
    value, words = BAD[name]
    with pytest.raises(ConfigError, match=words) as caught:
        parse_polygon(value)
    assert caught.value.expected


def test_a_polygon_may_be_closed_turn_either_way_touch_the_frames_edge_and_be_concave():
    assert parse_polygon([*SQUARE, SQUARE[0]]) == SQUARE
    assert parse_polygon([list(corner) for corner in reversed(SQUARE)]) == SQUARE[::-1]
    assert parse_polygon([[0, 0], [1, 0], [1, 1], [0, 1]]) == ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    assert parse_polygon([[0, 0], [1, 0], [1, 1], [0.5, 0.2], [0, 1]])
    assert parse_polygon([[0, 0], [0.5, 0], [1, 0], [1, 1]]), "a corner on a straight side"
    circle = [
        [(1 + math.cos(a / 50 * math.pi)) / 2, (1 + math.sin(a / 50 * math.pi)) / 2] for a in range(100)
    ]
    assert len(parse_polygon(circle)) == MOST_CORNERS


def stars(least=3, most=12):
    """Simple polygons: corners at growing angles around a centre, clipped to the frame."""

    def star(centre, corners):
        angles = sorted({round(angle, 3) for angle, _ in corners})
        points = [
            (centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle))
            for angle, (_, radius) in zip(angles, corners, strict=False)
        ]
        return [[min(1.0, max(0.0, x)), min(1.0, max(0.0, y))] for x, y in points]

    share = st.floats(0.0, 1.0)
    corner = st.tuples(st.floats(0.0, 6.28), st.floats(0.01, 0.9))
    return st.builds(star, st.tuples(share, share), st.lists(corner, min_size=least, max_size=most))


def parsed(value):
    try:
        return parse_polygon(value)
    except ConfigError:
        return None


def touched(polygon, width, height, samples=4):
    """Pixels of which some point lies in the polygon, found by asking for points."""
    steps = (np.arange(samples) + 0.5) / samples
    x = (np.arange(width)[:, None] + steps).ravel() / width
    y = (np.arange(height)[:, None] + steps).ravel() / height
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    hit = inside(polygon, grid).reshape(height, samples, width, samples)
    return hit.any(axis=(1, 3))


def test_a_point_on_the_outline_is_inside():
    points = np.array(
        [[0.25, 0.5], [0.75, 0.75], [0.5, 0.25], [0.5, 0.5], [0.2, 0.5], [0.5, 0.8], [0.9, 0.75]]
    )
    assert inside(SQUARE, points).tolist() == [True, True, True, True, False, False, False]


def test_a_ray_through_a_corner_counts_once():
    diamond = ((0.5, 0.1), (0.9, 0.5), (0.5, 0.9), (0.1, 0.5))
    assert inside(diamond, np.array([[0.3, 0.5], [0.05, 0.5], [0.0, 0.1], [0.0, 0.9]])).tolist() == [
        True, False, False, False,
    ]  # fmt: skip


def test_the_area_does_not_depend_on_the_direction():
    assert area(SQUARE) == area(SQUARE[::-1]) == 0.25
