"""What every known cause must keep, whatever the image."""

from __future__ import annotations

import numpy as np
import pytest

from agent.core.runbook_pages import runbook_page
from agent.drift.diagnosis import CAUSES
from agent.drift.diagnosis.cause import SEVERITIES

RNG = np.random.default_rng(3)
RAMP = np.linspace(20, 230, 160).astype(np.uint8)
IMAGES = {
    "black": np.zeros((72, 128, 3), np.uint8),
    "white": np.full((72, 128, 3), 255, np.uint8),
    "noise": RNG.integers(0, 256, (73, 129, 3), dtype=np.uint8),
    "upright": RNG.integers(0, 256, (160, 90, 3), dtype=np.uint8),
    "not contiguous": RNG.integers(0, 256, (72, 256, 3), dtype=np.uint8)[:, ::2],
}
VARIANTS = [(name, variant) for name, cause in CAUSES.items() for variant in range(cause.variants)]


def scene() -> np.ndarray:
    image = np.broadcast_to(RAMP[None, :, None], (90, 160, 3)).copy()
    image[20:60, 30:70] = (40, 90, 200)
    image[50:80, 90:140] = (200, 160, 60)
    image[::6, ::9] = 255
    return image


@pytest.mark.parametrize("name", CAUSES)
@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_an_image_stays_one_and_the_input_as_it_was(name: str, image: np.ndarray) -> None:
    before = image.copy()
    for variant in range(CAUSES[name].variants):
        for severity in SEVERITIES:
            changed = CAUSES[name].apply(image, severity, variant)
            assert (changed.shape, changed.dtype) == (image.shape, np.uint8)
            assert not np.shares_memory(changed, image)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_cause_changes_an_image_the_more_the_severer(name: str, variant: int) -> None:
    image = scene()
    changed = [CAUSES[name].apply(image, severity, variant) for severity in SEVERITIES]
    sizes = [float(np.abs(one.astype(int) - image).mean()) for one in changed]
    assert 0 < sizes[0] < sizes[-1]
    assert np.array_equal(changed[1], CAUSES[name].apply(image, SEVERITIES[1], variant))


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_has_words_an_advice_and_a_runbook(name: str) -> None:
    cause = CAUSES[name]
    assert cause.name == name
    assert cause.words and cause.advice and not cause.advice.endswith(".")
    assert runbook_page(cause.runbook)
