import numpy as np
import pytest

from agent.drift.distances import Fading, class_shares
from agent.drift.evidence import EDGES

NORMAL = EDGES[None, :]
HIGH = np.clip(2 * EDGES - 1, 0, 1)[None, :]  # all values in the upper half
EVEN = np.array([0.5, 0.5, 0.0])


def test_what_is_normal_is_no_distance_away():
    fading = Fading.empty(1, 2)
    for _ in range(100):
        fading.add(NORMAL, np.ones(1), EVEN, EVEN)
    assert fading.of_features() == pytest.approx(np.zeros((4, 4, 1)), abs=1e-6)
    assert fading.of_classes() == pytest.approx(np.zeros((2, 4)), abs=1e-6)


def test_a_change_shows_at_short_scales_first_and_at_all_in_the_end():
    fading = Fading.empty(1, 2)
    fading.add(HIGH, np.ones(1), EVEN[::-1], EVEN)
    ks = fading.of_features()[0, :, 0]
    assert fading.ks_of_features()[:, 0] == pytest.approx(ks)
    assert ks[0] == pytest.approx(0.5)
    assert (np.diff(ks) < 0).all()
    for _ in range(500):
        fading.add(HIGH, np.ones(1), EVEN[::-1], EVEN)
    assert fading.of_features()[0, :, 0] == pytest.approx(np.full(4, 0.5), abs=1e-3)


def test_a_window_with_few_values_says_little():
    full, few = Fading.empty(1, 2), Fading.empty(1, 2)
    full.add(HIGH, np.ones(1), EVEN, EVEN)
    few.add(HIGH, np.full(1, 0.1), EVEN, EVEN)
    assert few.of_features()[0, 0, 0] == pytest.approx(0.1 * full.of_features()[0, 0, 0])


def test_time_without_windows_lets_it_fade():
    fading = Fading.empty(1, 2)
    for _ in range(30):
        fading.add(HIGH, np.ones(1), np.array([0.0, 1.0, 0.0]), EVEN)
    before = fading.of_features()[0, :, 0], fading.of_classes()[0]
    fading.rest(60)
    assert (fading.of_features()[0, :, 0] < before[0]).all()
    assert (fading.of_classes()[0] < before[1]).all()


def test_a_window_without_boxes_looks_normal():
    seen, expected = class_shares(np.zeros(3), np.array([0.25, 0.75]), 10.0)
    assert seen == pytest.approx(expected)


def test_classes_unknown_to_the_reference_show():
    seen, expected = class_shares(np.array([0.0, 0.0, 30.0]), np.array([0.25, 0.75]), 10.0)
    assert seen[-1] > 0.9
    assert expected[-1] == 0.0
    assert seen.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("normal", "usual"), [(np.array([np.nan, np.nan]), 5.0), (np.array([0.5, 0.5]), 0.0)]
)
def test_where_the_mix_is_unknown_nothing_is_said(normal, usual):
    seen, expected = class_shares(np.array([1.0, 9.0, 3.0]), normal, usual)
    assert (seen == expected).all()
