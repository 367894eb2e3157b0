"""Cameras of another making: what is told of them is true, or it is told that it cannot be; never surely a wrong cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest

from agent.cameras.kinds.synthetic.drawing.disturbances import EFFECTS
from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.diagnose import diagnose
from agent.drift.diagnosis.learn import STEPS, Learner, sample
from agent.drift.diagnosis.portrait import look_at
from agent.drift.medians import medians

from .test_diagnose import verdict_of

Images = list[np.ndarray]
SURE = 0.8


def infrared_by_night(images: Images) -> Images:
    """Grey, lit from the camera, with grain."""
    height, width = images[0].shape[:2]
    down, across = np.mgrid[:height, :width]
    lit = np.exp(
        -(((across - width / 2) / (0.55 * width)) ** 2) - ((down - height / 2) / (0.6 * height)) ** 2
    )
    random = np.random.default_rng(4)

    def one(image: np.ndarray) -> np.ndarray:
        grey = 0.9 * lit * cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) + 12 + random.normal(0, 5, lit.shape)
        return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)

    return [one(each) for each in images]


def fish_eye(images: Images) -> Images:
    """A round view in black."""
    height, width = images[0].shape[:2]
    down, across = np.mgrid[:height, :width].astype(np.float32)
    x, y = (across - width / 2) / (height / 2), (down - height / 2) / (height / 2)
    away = np.hypot(x, y)
    bent = (0.6 * away**2 + 0.5) * 1.3 * height / 2
    places = [(side * bent + size / 2).astype(np.float32) for side, size in ((x, width), (y, height))]
    round_view = (away < 1)[..., None].astype(np.uint8)
    return [cv2.remap(each, *places, cv2.INTER_LINEAR) * round_view for each in images]


def small_and_narrow(images: Images) -> Images:
    """160 x 120, as an old analogue camera."""
    return [cv2.resize(each, (160, 120), interpolation=cv2.INTER_AREA) for each in images]


def masked(images: Images) -> Images:
    """Privacy masks over two thirds of the view."""

    def one(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        hidden = image.copy()
        hidden[:, : width // 2] = hidden[2 * height // 3 :] = 0
        return hidden

    return [one(each) for each in images]


def touring(images: Images) -> Images:
    """Four views in turn."""

    def view(image: np.ndarray, number: int) -> np.ndarray:
        height, width = (side // 2 for side in image.shape[:2])
        y, x = height * (number // 2), width * (number % 2)
        return cv2.resize(image[y : y + height, x : x + width], image.shape[1::-1])

    return [view(each, number % 4) for number, each in enumerate(images)]


def a_plain_wall(images: Images) -> Images:
    """Hardly any structure, and no objects."""
    return [np.rint(0.06 * each + [120.0, 125.0, 128.0]).astype(np.uint8) for each in images]


def black(images: Images) -> Images:
    """A lens cap that was there from the first."""
    return [np.zeros_like(each) for each in images]


KINDS: tuple[Callable[[Images], Images], ...] = (
    infrared_by_night, fish_eye, small_and_narrow, masked, touring, a_plain_wall, black,
)  # fmt: skip
FAULTS = {
    "fog": "fog", "blur": "defocus", "darkness": "low_light", "colour_cast": "colour_cast", "overexposed": "overexposure",
    "dirt": "dirt", "knocked": "moved",
}  # fmt: skip


def drawn(first: int, count: int) -> Images:
    scene = Scene("street", 4, 320, 180)
    return [np.array(scene.draw(at / 2, 12.0, at).image) for at in range(first, first + count)]


def disturbed(images: Sequence[np.ndarray], effect: str, strength: float) -> Images:
    return [EFFECTS[effect](each, strength) for each in images]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_cause_is_surely_a_wrong_one(kind: Callable[[Images], Images]) -> None:
    then, now = kind(drawn(0, 12)), kind(drawn(40, 8))
    learner = Learner(then, "")
    for step in STEPS:
        learner.add(step)
    signatures, wrong, named = learner.result(), [], 0
    trials = [("", now)]
    trials += [(right, disturbed(now, name, much)) for name, right in FAULTS.items() for much in (0.5, 0.9)]
    for cause, images in trials:
        verdict = verdict_of(images, then, over=("brightness", "confidence_mean") if cause else ("box_size",))
        recent = medians(sample(images).vectors)
        found = diagnose(verdict, signatures, [look_at(each) for each in images], recent)
        assert 0.0 <= found.confidence <= 1.0
        assert found.words
        named += found.cause == cause
        if found.cause in CAUSES and found.cause != cause and found.confidence >= SURE:
            wrong.append((cause, found.cause, round(found.confidence, 2)))
    assert not wrong
    assert named >= (0 if kind is black else 10), "of 14; it is not by silence that nothing wrong is told"
