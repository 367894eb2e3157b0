import numpy as np
import pytest

from agent.drift.alarm import CALM, Alarm
from agent.drift.memory import KEEP, fade

CHANGED = np.array([[True, False], [False, False], [False, False]])


def memory_of(values):
    memory = np.zeros((3, 2, KEEP.size))
    for value in values:
        memory = fade(memory, np.where(CHANGED, value, 0.0))
    return memory


def test_it_stays_on_while_the_change_lasts_and_goes_off_when_it_is_gone():
    alarm, memory = Alarm(), memory_of([0.0] * 50 + [2.0] * 20)
    alarm.raise_by_change(1000.0, memory, CHANGED, 20)
    assert alarm.since == 1000.0
    for _ in range(500):
        memory = fade(memory, np.where(CHANGED, 2.0, 0.0))
        assert not alarm.watch(memory, 0.0)
    ended = []
    for _ in range(200):
        memory = fade(memory, np.zeros((3, 2)))
        ended.append(alarm.watch(memory, 0.0))
        if ended[-1]:
            break
    assert ended[-1]
    assert CALM <= len(ended) < 100
    assert alarm.since is None


@pytest.mark.parametrize(("age", "true"), [(1, 1), (1, 3), (1, 30), (2, 6), (3, 8), (6, 16), (11, 40)])
def test_a_change_that_lasts_is_one_alarm_also_where_it_is_older_than_it_looked(age, true):
    alarm, memory = Alarm(), memory_of([0.0] * 50 + [2.0] * true)
    alarm.raise_by_change(1000.0, memory, CHANGED, age)
    for _ in range(500):
        memory = fade(memory, np.where(CHANGED, 2.0, 0.0))
        assert not alarm.watch(memory, 0.0)


def test_a_short_calm_does_not_end_it():
    alarm, there, gone = Alarm(), memory_of([2.0] * 40), memory_of([0.0])
    alarm.raise_by_change(0.0, there, CHANGED, 16)
    for _ in range(CALM - 1):
        assert not alarm.watch(gone, 0.0)
    assert not alarm.watch(there, 0.0)
    for _ in range(CALM - 1):
        assert not alarm.watch(gone, 0.0)
    assert alarm.watch(gone, 0.0)


def test_a_change_of_the_class_mix_ends_when_the_distance_has_halved():
    alarm, memory = Alarm(), memory_of([0.0])
    alarm.raise_by_distance(5.0, 1.2)
    assert not any(alarm.watch(memory, 0.7) for _ in range(100))
    assert any(alarm.watch(memory, 0.5) for _ in range(CALM))
