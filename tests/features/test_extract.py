"""The numbers of every feature on three known frames: references recorded by earlier versions rest on them."""

from __future__ import annotations

import numpy as np
import pytest

from agent.core.types import Detections
from agent.features.extract import extract
from tests.features.conftest import seen

FIRST = """
    brightness 111.74998 contrast 54.693756 sharpness 1249.7435 saturation 0.30596003 warmth -0.24968611
    tint 0.22990215 noise 7.585568 entropy 7.6083775 clipped_dark 0 clipped_bright 0 motion nan moving_area nan
    boxes_per_frame 4 box_size 0.2618565 box_aspect 0.3459959 box_x 0.30208334 box_y 0.34375
    box_spread 0.37545786 confidence_mean 0.52750003 confidence_min 0.28 near_threshold 0.5
    suppressed 0.5555556 embedding_0 0.011208396 embedding_1 0.8854633 embedding_2 0.9190885
    embedding_3 -0.58283657
"""
SECOND = """
    brightness 112.32709 contrast 54.71294 sharpness 1250.4059 saturation 0.30619052 warmth -0.24941048
    tint 0.23036203 noise 7.597405 entropy 7.610385 clipped_dark 0 clipped_bright 0 motion 94.471664
    moving_area 0.9340241
"""
BLACK = """
    brightness 0 contrast 0 sharpness 0 saturation nan warmth 0 tint 0 noise nan entropy 0 clipped_dark 0.995
    clipped_bright 0 motion nan moving_area nan boxes_per_frame 0 box_size nan box_aspect nan box_x nan box_y nan
    box_spread nan confidence_mean nan confidence_min nan near_threshold nan suppressed nan embedding_0 nan
    embedding_1 nan embedding_2 nan embedding_3 nan
"""


def ramp(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-20, 21, (480, 640, 3))
    light = np.linspace(20, 230, 640)[None, :, None] * np.array([0.9, 1.0, 0.7])
    return (light + noise).clip(0, 255).astype(np.uint8)


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()[1::2]]


@pytest.fixture(scope="module")
def found() -> Detections:
    return seen(
        [[10, 10, 50, 90], [200, 40, 260, 80], [-5, 300, 700, 470], [5, 5, 5, 5]],
        [0.9, 0.6, 0.33, 0.28],
        candidates=9,
        embedding=np.arange(1, 65) - 20,
    )


def test_the_numbers_of_a_first_and_a_second_frame(found):
    first, thumbnail = extract(ramp(1), found)
    assert first.tolist() == pytest.approx(numbers(FIRST), rel=1e-5, nan_ok=True)
    second, _ = extract(ramp(2)[:, ::-1], found, thumbnail)
    assert second[:12].tolist() == pytest.approx(numbers(SECOND), rel=1e-5, nan_ok=True)
    assert second[12:].tolist() == first[12:].tolist()


def test_the_numbers_of_a_black_frame_without_boxes():
    vector, _ = extract(np.zeros((48, 64, 3), np.uint8), seen())
    assert vector.tolist() == pytest.approx(numbers(BLACK), rel=1e-5, nan_ok=True)
