"""A change that comes and goes is one alarm, which ends when it stays away for longer than it did while the alarm was on."""

import numpy as np
import pytest

from agent.core.untrusted import BadInput
from agent.drift.alarm import Alarm, Of
from agent.drift.lulls import MOST, Lulls
from tests.drift.test_alarm import CHANGED, FULL, VARIANCE, Camera, over


class ComesAndGoes(Camera):
    """New objects: how many there are wanders from none to twice as many within some ten windows."""

    def __init__(self, seed):
        super().__init__(seed, noise=np.sqrt(VARIANCE))
        self.wanders = 0.0

    def windows(self, count):
        for _ in range(count):
            self.wanders = 0.9 * self.wanders + np.sqrt(1 - 0.81) * self.random.standard_normal()
            yield self.window(float(np.clip(1.0 + 0.7 * self.wanders, 0.0, 2.0)))


def ends(camera, windows):
    """How often an alarm that is raised again each time ends while the change lasts."""
    camera.run(0.0, 50)
    camera.run(1.0, 20)
    camera.raise_it(16)
    found = 0
    for shown in camera.windows(windows):
        if camera.alarm.watch_change(shown, camera.gauge):
            found += 1
            camera.raise_it(16)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_objects_that_come_and_go_are_one_alarm(seed):
    """It ended 55 to 76 times in so many windows when all noise was taken to be the reference's."""
    camera = ComesAndGoes(seed)
    assert ends(camera, 1500) <= 3
    assert camera.watch(0.0, 150) is not None, "and it ends when they stay away"


def test_what_was_learnt_of_one_change_is_not_said_of_another():
    camera = ComesAndGoes(0)
    ends(camera, 200)
    assert camera.alarm.lulls.longest
    camera.watch(0.0, 300)
    camera.memory = -camera.memory
    camera.raise_it(16)
    assert not camera.alarm.lulls.longest


def test_an_end_must_outlast_the_lulls_before_it():
    lulls = Lulls()
    assert lulls.outlasted
    for low in (*[True] * 5, False, *[True] * 9):
        lulls.step(low=low)
    assert lulls.longest == 5
    assert not lulls.outlasted
    lulls.step(low=True)
    assert lulls.outlasted
    lulls.back()
    assert lulls.longest == 10


def test_no_end_waits_for_longer_than_the_most():
    lulls = Lulls(longest=1000)
    for _ in range(MOST):
        assert not lulls.outlasted
        lulls.step(low=True)
    assert lulls.outlasted


def test_an_alarm_keeps_its_lulls_over_a_restart():
    camera = ComesAndGoes(1)
    camera.run(1.0, 20)
    camera.raise_it(16)
    assert any(camera.alarm.watch_change(shown, camera.gauge) for shown in camera.windows(500))
    again = Alarm.restore(camera.alarm.state(), {Of.FEATURES: camera.memory}, 2)
    again.raise_by_change(1.0, camera.memory, FULL, CHANGED, 16, camera.gauge)
    assert again.lulls.longest >= 3
    with pytest.raises(BadInput):
        Alarm.restore(
            {**camera.alarm.state(), "lulls": {"longest": -1, "now": 0}}, {Of.FEATURES: camera.memory}, 2
        )


def test_a_class_that_comes_and_goes_is_one_alarm_that_ends_when_it_stays_away_for_longer():
    """It was over, and on again, at each lull of three windows."""
    alarm, scales = Alarm(), np.array([1, 4, 16, 64])
    shown = np.zeros(4)
    ends = []
    for now, level in enumerate(np.concatenate([np.tile([1, 1, 1, 1, 1, 0, 0, 0], 60), np.zeros(200)])):
        shown = level + (scales - 1) / (scales + 1) * (shown - level)
        reached = over(6.0 * shown[:, None])
        if alarm.since is None and reached.largest.max() >= 1.0:
            alarm.raise_by_distance(float(now), reached)
        elif alarm.since is not None and alarm.watch_distance(reached, 1.0):
            ends.append(now)
            shown = np.zeros(4)  # the judge begins anew
    assert len(ends) == 2, "at the first lull, and at the end"
    assert 480 < ends[1] < 500
