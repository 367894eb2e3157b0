from __future__ import annotations

import numpy as np
import pytest


def test_the_first_frame_has_no_motion(measure, street):
    found = measure(street)
    assert np.isnan(found["motion"])
    assert np.isnan(found["moving_area"])


def test_the_same_picture_does_not_move(measure, street):
    found = measure(street, before=street)
    assert (found["motion"], found["moving_area"]) == (0, 0)


def test_a_step_of_the_exposure_is_no_motion(measure):
    before = np.full((720, 1280, 3), 90, np.uint8)
    assert measure(before + 40, before=before)["moving_area"] == 0


def test_the_area_of_a_thing_that_appeared(measure):
    before = np.full((720, 1280, 3), 90, np.uint8)
    after = before.copy()
    after[180:540, 320:960] = 200  # a quarter of the picture; the mean step (27) is taken out of the rest
    assert 0.2 < measure(after, before=before)["moving_area"] <= 1
    small = before.copy()
    small[300:400, 600:700] = 200
    assert measure(small, before=before)["moving_area"] == pytest.approx(10_000 / 921_600, rel=0.35)


def test_noise_alone_is_no_moving_area(measure):
    rng = np.random.default_rng(5)
    one, other = (np.clip(90 + rng.normal(0, 10, (1080, 1920, 3)), 0, 255).astype(np.uint8) for _ in range(2))
    found = measure(other, before=one)
    assert found["moving_area"] < 0.001
    assert 0 < found["motion"] < 4


def test_another_size_is_no_motion_either(measure, street):
    assert np.isnan(measure(street, before=street[:, :1280])["motion"])
