from __future__ import annotations

import numpy as np
import pytest

PICTURE = np.full((500, 1000, 3), 90, np.uint8)


def test_one_known_box(measure):
    found = measure(PICTURE, boxes=[[100, 100, 300, 200]])
    assert found["boxes_per_frame"] == 1
    assert found["box_size"] == pytest.approx(np.sqrt(200 * 100 / 500_000))
    assert found["box_aspect"] == pytest.approx(np.log(2))
    assert (found["box_x"], found["box_y"]) == pytest.approx((0.2, 0.3))
    assert np.isnan(found["box_spread"])


def test_the_spread_of_two(measure):
    found = measure(PICTURE, boxes=[[0, 200, 200, 300], [800, 200, 1000, 300]])
    assert found["box_spread"] == pytest.approx(0.4)
    assert found["box_x"] == pytest.approx(0.5)


def test_boxes_are_cut_at_the_edge(measure):
    inside, beyond = ([[0, 0, 100, 100]], [[-900, -900, 100, 100]])
    assert measure(PICTURE, boxes=inside)["box_size"] == measure(PICTURE, boxes=beyond)["box_size"]


def test_a_box_without_area_counts_but_has_no_shape(measure):
    found = measure(PICTURE, boxes=[[5, 5, 5, 9], [2000, 2000, 2100, 2100]])
    assert found["boxes_per_frame"] == 2
    assert np.isnan(found["box_size"])
