"""Portraits: a change in a place, a direction or a scale shows in its own trait."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.drift.diagnosis.portrait import TRAITS, PortraitComparison, look_at, portrait

RNG = np.random.default_rng(5)


def view(seed: int = 5) -> np.ndarray:
    """A textured view, (180, 320, 3)."""
    random = np.random.default_rng(seed)
    rough = cv2.resize(random.uniform(30, 220, (12, 20, 3)).astype(np.float32), (320, 180))
    fine = cv2.resize(random.uniform(-25, 25, (90, 160, 3)).astype(np.float32), (320, 180))
    return np.clip(rough + fine, 0, 255).astype(np.uint8)


def frames(image: np.ndarray, sigma: float = 1.0) -> list[np.ndarray]:
    grain = [RNG.normal(0, sigma, image.shape) for _ in range(4)]
    return [np.clip(image + each, 0, 255).astype(np.uint8) for each in grain]


def traits(now: list[np.ndarray], then: list[np.ndarray]) -> dict[str, float]:
    portraits = [portrait([look_at(each) for each in images]) for images in (now, then)]
    return dict(zip(TRAITS, PortraitComparison(portraits[1])(portraits[0]).tolist(), strict=True))


@pytest.fixture(scope="module")
def then() -> list[np.ndarray]:
    return frames(view())


def test_the_same_view_differs_in_nothing(then: list[np.ndarray]) -> None:
    found = traits(frames(view()), then)
    assert max(abs(value) for value in found.values()) < 0.2


def test_a_shifted_view_is_unlike_and_fits_once_it_is_moved_back(then: list[np.ndarray]) -> None:
    found = traits(frames(np.roll(view(), 40, axis=1)), then)
    assert found["likeness"] < -0.5
    assert found["moved_gain"] > 0.5


def test_another_view_does_not_fit_wherever_it_is_moved(then: list[np.ndarray]) -> None:
    found = traits(frames(view(6)), then)
    assert found["likeness"] < -0.5
    assert found["moved_gain"] < 0.5


def test_noise_flickers_and_what_lies_on_the_lens_stays(then: list[np.ndarray]) -> None:
    noisy = traits(frames(view(), sigma=15.0), then)
    speckled = view()
    speckled[RNG.uniform(size=speckled.shape[:2]) < 0.1] = 255
    dirty = traits(frames(speckled), then)
    assert noisy["flicker"] > 1.0
    assert dirty["flicker"] < 0.5 * noisy["flicker"]
    assert dirty["still"] > 2 * noisy["still"]


def test_the_blocks_of_a_compression_show(then: list[np.ndarray]) -> None:
    coded = [
        cv2.imdecode(cv2.imencode(".jpg", each, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], cv2.IMREAD_COLOR)
        for each in then
    ]
    assert traits(coded, then)["blocks"] > 0.2


def test_a_blur_along_a_line_shows_its_direction(then: list[np.ndarray]) -> None:
    assert traits([cv2.blur(each, (9, 1)) for each in then], then)["lines"] < -0.3
    assert traits([cv2.blur(each, (1, 9)) for each in then], then)["lines"] > 0.3


def test_frames_of_several_sizes_have_no_portrait(then: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="shape"):
        portrait([look_at(then[0]), look_at(then[1][:100])])


@pytest.mark.parametrize("level", [0, 255])
def test_a_flat_view_gives_finite_numbers(then: list[np.ndarray], level: int) -> None:
    flat = [np.full((180, 320, 3), level, np.uint8)] * 4
    assert np.isfinite(list(traits(flat, then).values())).all()
    assert np.isfinite(list(traits(then, flat).values())).all()
