from __future__ import annotations

import numpy as np
import pytest

PICTURE = np.full((64, 64, 3), 90, np.uint8)
BOX = [1, 1, 20, 20]


def test_known_scores(measure):
    found = measure(PICTURE, boxes=[BOX] * 4, scores=[0.9, 0.7, 0.3, 0.26], candidates=16)
    assert found["confidence_mean"] == pytest.approx(0.54)
    assert found["confidence_min"] == pytest.approx(0.26)
    assert found["near_threshold"] == 0.5
    assert found["suppressed"] == 0.75


def test_no_boxes_is_no_confidence(measure):
    found = measure(PICTURE)
    assert all(
        np.isnan(found[name])
        for name in ("confidence_mean", "confidence_min", "near_threshold", "suppressed")
    )


def test_a_model_that_needs_no_suppression(measure):
    """End-to-end models report as many candidates as boxes, or none at all."""
    assert measure(PICTURE, boxes=[BOX], candidates=1)["suppressed"] == 0
    assert np.isnan(measure(PICTURE, boxes=[BOX], candidates=0)["suppressed"])
