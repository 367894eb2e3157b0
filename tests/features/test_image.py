from __future__ import annotations

import cv2
import numpy as np
import pytest


def flat(level: object, shape: tuple[int, int] = (720, 1280)) -> np.ndarray:
    return np.full((*shape, 3), level, np.uint8)


def test_brightness_and_contrast_of_a_known_picture(measure):
    image = flat(40)
    image[:, 640:] = 200
    found = measure(image)
    assert found["brightness"] == pytest.approx(120, abs=0.5)
    assert found["contrast"] == pytest.approx(80, abs=0.5)
    assert found["entropy"] == pytest.approx(1.0, abs=0.02)


def test_colour_casts_have_signs(measure):
    assert measure(flat((60, 100, 180)))["warmth"] == pytest.approx(np.log(181 / 61), abs=0.02)
    assert measure(flat((180, 100, 60)))["warmth"] < -0.5
    assert measure(flat((100, 180, 100)))["tint"] == pytest.approx(np.log(181 / 101), abs=0.02)
    grey = measure(flat(99))
    assert (grey["warmth"], grey["tint"], grey["saturation"]) == (0, 0, 0)


def test_saturation_of_known_colours(measure):
    assert measure(flat((0, 0, 255)))["saturation"] == pytest.approx(1)
    assert measure(flat((50, 100, 100)))["saturation"] == pytest.approx(0.5, abs=0.01)
    assert np.isnan(measure(flat(0))["saturation"])


def test_clipping_is_a_share(measure):
    image = flat(128)
    image[:180] = 0
    image[-360:] = 255
    found = measure(image)
    assert found["clipped_dark"] == pytest.approx(0.25, abs=0.01)
    assert found["clipped_bright"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("sigma", [1.5, 3.0, 6.0, 12.0])
def test_noise_is_found_within_a_tenth(measure, sigma):
    rng = np.random.default_rng(1)
    grey = np.add.outer(np.linspace(60, 120, 1080), np.linspace(0, 60, 1920))
    grey = grey + rng.normal(0, sigma, grey.shape)
    image = np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    assert measure(image)["noise"] == pytest.approx(sigma, rel=0.1)


def test_noise_is_hardly_misled_by_objects(measure, street):
    """The street's own noise is 2 levels a channel: 1.34 in grey (luma weighs the channels)."""
    assert 1.0 < measure(street)["noise"] < 2.5


def test_noise_is_missing_where_nothing_is_lit(measure):
    assert np.isnan(measure(flat(0))["noise"])
    assert np.isnan(measure(flat(255))["noise"])


@pytest.mark.parametrize("name", ["defocus", "motion blur", "fog", "dark", "noise"])
def test_what_goes_wrong_moves_the_feature_that_names_it(measure, street, name):
    rng = np.random.default_rng(2)
    kernel = np.zeros((15, 15), np.float32)
    kernel[7] = 1 / 15
    ruined, feature, sign = {
        "defocus": (cv2.GaussianBlur(street, (0, 0), 2), "sharpness", -1),
        "motion blur": (cv2.filter2D(street, -1, kernel), "sharpness", -1),
        "fog": (cv2.addWeighted(street, 0.5, np.full_like(street, 200), 0.5, 0), "contrast", -1),
        "dark": ((street * 0.3).astype(np.uint8), "brightness", -1),
        "noise": (np.clip(street + rng.normal(0, 8, street.shape), 0, 255).astype(np.uint8), "noise", 1),
    }[name]
    before, after = measure(street)[feature], measure(ruined)[feature]
    assert after < 0.7 * before if sign < 0 else after > 1.5 * before


def test_the_small_copy_stands_for_the_whole(measure, street):
    """Against the same figures over every pixel."""
    grey = cv2.cvtColor(street, cv2.COLOR_BGR2GRAY)
    found = measure(street)
    assert found["brightness"] == pytest.approx(float(grey.mean()), rel=0.02)
    assert found["contrast"] == pytest.approx(float(grey.std()), rel=0.1)
    edges = float(np.square(cv2.Laplacian(grey, cv2.CV_64F)).mean())
    assert found["sharpness"] == pytest.approx(edges, rel=0.35)
