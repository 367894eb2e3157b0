"""A drawn street, and what known causes do to it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from agent.cameras.kinds.synthetic.drawing.scene import Scene
from agent.drift.diagnosis.learn import STEPS, Learner, found_by_cause
from agent.drift.diagnosis.signatures import Signatures

WIDTH, HEIGHT = 240, 135


class Street:
    """Frames of a drawn street, half a second apart."""

    def __init__(self) -> None:
        self._scene = Scene("street", 1, WIDTH, HEIGHT)

    def frames(
        self, first: int, count: int, *, noise: float = 1.0, strangers: float = 0.0
    ) -> list[np.ndarray]:
        return [
            np.array(self._scene.draw(at / 2, 12.0, at, strangers=strangers, noise=noise).image)
            for at in range(first, first + count)
        ]


@pytest.fixture(scope="session")
def street() -> Street:
    return Street()


@pytest.fixture(scope="session")
def learner(street: Street) -> Learner:
    learner = Learner(street.frames(0, 8), "street")
    for step in STEPS:
        learner.add(step)
    return learner


@pytest.fixture(scope="session")
def signatures(learner: Learner) -> Signatures:
    found = found_by_cause({step: 1.0 - step.severity / 2 for step in STEPS})
    return dataclasses.replace(learner.result(), found=found)
