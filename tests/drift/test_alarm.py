import numpy as np
import pytest

from agent.core.untrusted import BadInput
from agent.drift.alarm import CALM, Alarm, Of
from agent.drift.memory import KEEP, fade
from agent.drift.noise import DECAYS, memory_variance

CHANGED = np.array([[True, False], [False, False], [False, False]])
NOISE = memory_variance(np.where(DECAYS == 0.0, 0.05, 1e-6) * np.ones((3, 2, 1)))
NO_RATIOS = np.zeros(4)


def memory_of(values):
    memory = np.zeros((3, 2, KEEP.size))
    for value in values:
        memory = fade(memory, np.where(CHANGED, value, 0.0))
    return memory


def test_it_stays_on_while_the_change_lasts_and_goes_off_when_it_is_gone():
    alarm, memory = Alarm(), memory_of([0.0] * 50 + [2.0] * 20)
    alarm.raise_by_change(1000.0, memory, CHANGED, 20, NOISE)
    assert alarm.since == 1000.0
    for _ in range(500):
        memory = fade(memory, np.where(CHANGED, 2.0, 0.0))
        assert not alarm.watch(memory, NOISE, NO_RATIOS)
    ended = []
    for _ in range(200):
        memory = fade(memory, np.zeros((3, 2)))
        ended.append(alarm.watch(memory, NOISE, NO_RATIOS))
        if ended[-1]:
            break
    assert ended[-1]
    assert CALM <= len(ended) <= 5, "a large change that is gone is over within five windows"
    assert alarm.since is None


@pytest.mark.parametrize(("age", "true"), [(1, 1), (1, 3), (1, 30), (2, 6), (3, 8), (6, 16), (11, 40)])
def test_a_change_that_lasts_is_one_alarm_also_where_it_is_older_than_it_looked(age, true):
    alarm, memory = Alarm(), memory_of([0.0] * 50 + [2.0] * true)
    alarm.raise_by_change(1000.0, memory, CHANGED, age, NOISE)
    for _ in range(500):
        memory = fade(memory, np.where(CHANGED, 2.0, 0.0))
        assert not alarm.watch(memory, NOISE, NO_RATIOS)


def test_a_short_calm_does_not_end_it():
    alarm, there, gone = Alarm(), memory_of([2.0] * 40), memory_of([0.0])
    alarm.raise_by_change(0.0, there, CHANGED, 16, NOISE)
    for _ in range(CALM - 1):
        assert not alarm.watch(gone, NOISE, NO_RATIOS)
    assert not alarm.watch(there, NOISE, NO_RATIOS)
    for _ in range(CALM - 1):
        assert not alarm.watch(gone, NOISE, NO_RATIOS)
    assert alarm.watch(gone, NOISE, NO_RATIOS)


def test_a_small_change_is_watched_over_longer_than_a_large_one():
    places = []
    for size in (0.2, 1.0, 4.0):
        alarm = Alarm()
        alarm.raise_by_change(0.0, memory_of([size] * 100), CHANGED, 100, NOISE)
        places.append(alarm.place)
    assert places[0] > places[1] > places[2] == 0


def test_chance_neither_ends_the_alarm_of_a_small_change_that_lasts_nor_keeps_it_on():
    random = np.random.default_rng(4)

    def window(level):
        return random.normal(0.0, np.sqrt(0.05), (3, 2)) + np.where(CHANGED, level, 0.0)

    memory = np.zeros((3, 2, KEEP.size))
    for _ in range(30):
        memory = fade(memory, window(0.5))
    lucky = memory * 1.6  # what has just gone over a limit looks larger than it is
    alarm = Alarm()
    alarm.raise_by_change(0.0, lucky, CHANGED, 30, NOISE)
    for _ in range(3000):
        memory = fade(memory, window(0.5))
        assert not alarm.watch(memory, NOISE, NO_RATIOS)
    ended = False
    for _ in range(40):
        memory = fade(memory, window(0.0))
        ended = ended or alarm.watch(memory, NOISE, NO_RATIOS)
    assert ended


def test_a_distribution_is_watched_at_the_shortest_time_scale_that_was_over_its_limit():
    alarm, memory = Alarm(), memory_of([0.0])
    alarm.raise_by_distance(5.0, np.array([0.5, 1.2, 1.6, 1.1]))
    assert alarm.place == 1
    assert not any(alarm.watch(memory, NOISE, np.array([0.1, 0.7, 0.1, 0.1])) for _ in range(100))
    assert any(alarm.watch(memory, NOISE, np.array([2.0, 0.5, 2.0, 2.0])) for _ in range(CALM))


SHAPES = {Of.FEATURES: (3, 2), Of.CLASSES: (1, 4)}


@pytest.mark.parametrize("of", list(Of))
def test_it_goes_on_after_a_restart(of):
    alarm = Alarm()
    if of is Of.DISTANCES:
        alarm.raise_by_distance(7.0, np.array([0.5, 1.2, 1.6, 1.1]))
    else:
        shape = SHAPES[of]
        alarm.raise_by_change(
            7.0, np.ones((*shape, KEEP.size)), np.ones(shape, np.bool_), 4, np.ones((*shape, KEEP.size)), of
        )
    again = Alarm.restore(alarm.state(), SHAPES)
    assert again.state() == alarm.state()


def test_the_state_of_the_version_before_is_read():
    alarm = Alarm()
    alarm.raise_by_change(7.0, memory_of([2.0] * 9), CHANGED, 4, NOISE)
    old = {key: alarm.state()[key] for key in ("since", "place", "level", "ratio", "calm", "age")}
    again = Alarm.restore(old, SHAPES)
    assert again.since == 7.0
    assert not again.watch(memory_of([2.0] * 10), NOISE, NO_RATIOS)
    assert again.calm == 0
    by_distance = Alarm.restore({**old, "level": None, "place": 11, "ratio": 1.3}, SHAPES)
    assert by_distance.of is Of.DISTANCES
    assert by_distance.place == 4


@pytest.mark.parametrize(
    "damage", [{"of": "weather"}, {"of": 1}, {"place": 99}, {"level": "x"}, {"since": "now"}]
)
def test_a_damaged_state_is_refused(damage):
    alarm = Alarm()
    alarm.raise_by_change(7.0, memory_of([2.0] * 9), CHANGED, 4, NOISE)
    with pytest.raises(BadInput):
        Alarm.restore({**alarm.state(), **damage}, SHAPES)
