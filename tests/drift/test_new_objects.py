"""A kind of object that was never seen comes to a street for good: one alarm, though they are not always in view.

Windows of 2 s by a reference of a minute, as in the maintenance story, where such an alarm ended by itself after 17 minutes
with the objects still there.
"""

from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import lfilter

from agent.drift.judge import DriftJudge
from agent.drift.recording import Recording
from agent.drift.reference import build
from agent.drift.sketch import Window
from tests.drift.conftest import MIDNIGHT

NAMES = (
    "brightness",
    "sharpness",
    "noise",
    "entropy",
    "boxes",
    "box_size",
    "confidence",
    "near",
    "suppressed",
    "embedding",
)
SECONDS, FRAMES, MINUTE = 2.0, 8, 30
PEOPLE, OBJECTS = (3.0, 15.0, 0.7), (4.0, 20.0, 0.9)
"""How many there are on the mean, over how many windows that wanders, and its step: objects are gone for a minute at times."""


class Street:
    def __init__(self, seed):
        self.random, self.now = np.random.default_rng(seed), MIDNIGHT + 9 * 3600.0
        self.fast, self.slow = np.zeros((2, len(NAMES)))
        self.people, self.objects = PEOPLE[0], 0.0
        self.collector = Window("crossing", NAMES, "1", interval=SECONDS / FRAMES)

    def wander(self, value, mean, windows, step):
        return value - (value - mean) / windows + step * self.random.standard_normal()

    def window(self, new):
        keep = np.exp(-1 / 15)  # half a minute
        self.slow = keep * self.slow + np.sqrt(1 - keep**2) * self.random.standard_normal(len(NAMES))
        self.people = self.wander(self.people, *PEOPLE)
        self.objects = self.wander(self.objects, *OBJECTS)
        people, objects = max(0, round(self.people)), max(0, round(self.objects)) if new else 0
        share = objects / max(people + objects, 1)
        news = np.sqrt(1 - 0.64) * self.random.standard_normal((FRAMES, len(NAMES)))
        fast, _ = lfilter([1.0], [1.0, -0.8], news, axis=0, zi=0.8 * self.fast[None])
        self.fast, both = fast[-1], fast + 0.7 * self.slow
        boxes = self.random.poisson(0.8 * people, FRAMES) + self.random.poisson(0.7 * objects, FRAMES)
        rows = 100.0 + 10.0 * both
        rows[:, 4] = boxes
        rows[:, 6] = np.where(boxes > 0, 0.75 - 0.3 * share + 0.06 * both[:, 6], np.nan)
        rows[:, 7] = np.clip(0.1 + 0.4 * share + 0.06 * both[:, 7], 0.0, 1.0)
        rows[:, 8] = np.clip(0.8 - 0.4 * share + 0.06 * both[:, 8], 0.0, 1.0)
        rows[:, 9] += 15.0 * share
        others = round(share * boxes.sum())
        classes = [*self.random.choice(2, boxes.sum() - others), *self.random.choice([2, 3], others)]
        at = self.now + SECONDS / FRAMES * np.arange(FRAMES)
        self.collector.extend(rows.astype(np.float32), [int(each) for each in classes], at=at)
        self.now += SECONDS
        return self.collector.close(self.now - SECONDS, self.now)


@pytest.mark.parametrize("seed", [0, 3])
def test_objects_that_came_for_good_end_an_alarm_by_ever_longer_lulls_alone(seed):
    """It ended at each lull: four times and three in these minutes."""
    street, recording = Street(seed), Recording(NAMES)
    for _ in range(MINUTE):
        recording.add(street.window(False))
    made = build(recording, camera="crossing", model_sha256="ab" * 32, feature_version="1", now=street.now)
    judge = DriftJudge(made)
    alarms = [judge.judge(street.window(True), street.now).alarm for _ in range(25 * MINUTE)]
    ends = sum(before and not now for before, now in pairwise(alarms))
    assert alarms[-1]
    assert ends <= 2
    assert not all(judge.judge(street.window(False), street.now).alarm for _ in range(10 * MINUTE))
