import numpy as np
import pytest

from agent.core.untrusted import BadInput
from agent.drift.alarm import CALM, Alarm, Gauge, Of, Shown
from agent.drift.distances import Reached
from agent.drift.memory import AGES, KEEP, fade
from agent.drift.noise import DECAYS, matched_filters

SHAPE = (3, 2)
CHANGED = np.array([[True, False], [False, False], [False, False]])
FULL = np.ones(SHAPE)
VARIANCE = 0.05
WHITE = np.where(DECAYS == 0.0, VARIANCE, 1e-6) * np.ones((*SHAPE, 1))
WEATHER = WHITE + np.where(DECAYS == 100.0, 0.5, 0.0)
"""Slow noise of ten times the variance: a change of 1 is hardly larger than what comes and goes within two hours."""


def gauge_of(noise, longest=1024):
    return Gauge(filters=matched_filters(noise, longest), limits=np.full(SHAPE, 6.4))


GAUGE = gauge_of(WHITE)


class Camera:
    """Evidence window after window: white noise and, where asked for, weather; the memory of it, and an alarm."""

    def __init__(self, seed=1, gauge=GAUGE, noise=0.0, weather=0.0):
        self.random, self.gauge, self.alarm = np.random.default_rng(seed), gauge, Alarm()
        self.noise, self.weather, self.slow = noise, weather, np.zeros(SHAPE)
        self.memory = np.zeros((*SHAPE, KEEP.size))

    def window(self, level, weight=1.0):
        news = self.random.standard_normal((2, *SHAPE))
        self.slow = np.exp(-1 / 100) * self.slow + np.sqrt(1 - np.exp(-2 / 100)) * self.weather * news[0]
        evidence = weight * (self.noise * news[1] + self.slow + np.where(CHANGED, level, 0.0))
        return Shown(evidence=evidence, weight=weight * FULL)

    def run(self, level, windows):
        for _ in range(windows):
            self.memory = fade(self.memory, self.window(level).evidence)

    def raise_it(self, age):
        self.alarm.raise_by_change(1000.0, self.memory, FULL, CHANGED, age, self.gauge)

    def watch(self, level, windows, weight=1.0):
        """Windows until the alarm is over; None where it is not."""
        for number in range(windows):
            if self.alarm.watch_change(self.window(level, weight), self.gauge):
                return number + 1
        return None


def test_it_stays_on_while_the_change_lasts_and_goes_off_when_it_is_gone():
    camera = Camera()
    camera.run(0.0, 50)
    camera.run(2.0, 20)
    camera.raise_it(16)
    assert camera.alarm.since == 1000.0
    assert camera.watch(2.0, 3000) is None
    assert CALM <= camera.watch(0.0, 200) <= 5, "a large change that is gone is over within five windows"
    assert camera.alarm.since is None


@pytest.mark.parametrize(("age", "true"), [(1, 1), (1, 3), (1, 30), (2, 6), (3, 8), (6, 16), (11, 40)])
def test_a_change_that_lasts_is_one_alarm_also_where_it_is_older_than_it_looked(age, true):
    camera = Camera()
    camera.run(0.0, 50)
    camera.run(2.0, true)
    camera.raise_it(age)
    assert camera.watch(2.0, 500) is None


def test_a_short_calm_does_not_end_it():
    camera = Camera()
    camera.run(2.0, 40)
    camera.raise_it(32)
    for _ in range(5):
        assert camera.watch(0.0, CALM - 1) is None
        assert camera.watch(2.0, 2) is None
    assert camera.watch(0.0, 5) is not None


def test_an_end_is_found_about_as_soon_as_a_beginning():
    ends = []
    for level in (0.2, 0.5, 2.0):
        camera = Camera()
        age = int(AGES[41 * VARIANCE / level**2 <= AGES][0])  # a score of 6.4
        camera.run(level, age)
        camera.raise_it(age)
        ends.append(camera.watch(0.0, 2000) / age)
    assert max(ends[:2]) <= 1.6
    assert ends[2] <= 5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("noise", "weather", "level"), [(WHITE, 0.0, 0.5), (WEATHER, 0.7, 3.5)])
def test_chance_and_weather_neither_end_the_alarm_of_a_change_that_lasts_nor_keep_it_on(
    seed, noise, weather, level
):
    camera = Camera(seed, gauge_of(noise), np.sqrt(VARIANCE), weather)
    camera.run(0.0, 300)
    camera.run(level, 30)
    camera.memory *= 1.3  # what has just gone over a limit looks larger than it is
    camera.raise_it(22)
    assert camera.watch(level, 2000) is None
    assert camera.watch(0.0, 90) is not None


@pytest.mark.parametrize("weight", [0.0, 0.1, 0.5])
def test_windows_that_say_little_or_nothing_of_a_change_do_not_end_it(weight):
    camera = Camera()
    camera.run(2.0, 40)
    camera.raise_it(32)
    assert camera.watch(2.0, 600, weight) is None
    assert camera.watch(2.0, 600) is None
    assert camera.watch(0.0, 5) is not None


def test_where_some_columns_are_silent_the_others_decide():
    camera, changed = Camera(), np.array([[True, True], [False, False], [False, False]])
    camera.memory = fade(camera.memory, np.where(changed, 2.0, 0.0), 1.0)
    camera.alarm.raise_by_change(0.0, camera.memory, FULL, changed, 1, camera.gauge)
    half = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert not any(
        camera.alarm.watch_change(Shown(evidence=2.0 * half, weight=half), camera.gauge) for _ in range(99)
    )
    assert any(
        camera.alarm.watch_change(Shown(evidence=0.0 * half, weight=half), camera.gauge) for _ in range(5)
    )


NOISE = 0.16
"""Of a limit: it is about 6.4 usual sizes."""


def over(shapes, pairs=(), noise=NOISE):
    """Distances over their limits, each with the same noise."""
    pairs = np.array(pairs) if len(pairs) else np.zeros((3, 0))
    return Reached(shapes=shapes, pairs=pairs, shape_noise=np.full(shapes.shape[1], noise), pair_noise=noise)


def reached(*scales, pairs=(), others=0.0, noise=NOISE):
    """Of three distributions, the second at `scales`, the others at one value, and of three pairs alike."""
    shapes = np.full((4, 3), others)
    shapes[: len(scales), 1] = scales
    three = np.full((3, 3), others)
    three[: len(pairs), 2] = pairs
    return over(shapes, three, noise)


def watched(alarm, windows, *scales, **rest):
    return any(alarm.watch_distance(reached(*scales, **rest), 1.0) for _ in range(windows))


def test_a_distribution_is_watched_at_the_shortest_time_scale_at_which_its_end_would_be_plain():
    alarm = Alarm()
    alarm.raise_by_distance(5.0, reached(0.5, 1.2, 1.7, 2.1))
    assert alarm.place == 2
    assert not watched(alarm, 100, 0.1, 0.2, 1.7, 2.0)
    assert watched(alarm, CALM, 2.0, 2.0, 0.6, 2.0)


def test_a_distance_just_over_its_limit_is_over_when_it_is_small():
    alarm = Alarm()
    alarm.raise_by_distance(5.0, reached(0.0, 0.0, 1.05))
    assert not watched(alarm, 100, 0.0, 0.0, 0.42)
    assert watched(alarm, CALM, 0.0, 0.0, 0.15)


@pytest.mark.parametrize("scales", [{"pairs": (0.2, 0.6, 1.0)}, {"pairs": (1.01,)}])
def test_a_pair_just_over_its_limit_is_over_when_it_is_small_whatever_the_others_do(scales):
    """The largest of 300 pairs is never below half of its limit: an alarm of one at 1.00 lasted four weeks."""
    alarm = Alarm()
    alarm.raise_by_distance(5.0, reached(others=0.5, **scales))
    assert not watched(alarm, 1000, others=0.5, **scales)
    assert watched(alarm, CALM, others=0.5, pairs=(0.1, 0.1, 0.1))


@pytest.mark.parametrize("kind", ["others", "pairs"])
def test_what_is_just_over_a_wide_limit_is_over_once_it_is_plainly_below(kind):
    """The limit of a pair is about nine usual sizes: it had to fall below two, which took a day."""
    for noise, ends in ((NOISE, False), (1.0 / 9.0, True)):
        alarm = Alarm()
        first, then = ({kind: (level,) * 3} if kind == "pairs" else {kind: level} for level in (1.01, 0.4))
        alarm.raise_by_distance(5.0, reached(noise=noise, **first))
        assert watched(alarm, 100, noise=noise, **then) == ends


def test_all_distances_that_were_over_their_limits_must_be_small():
    alarm, two = Alarm(), over(np.tile([1.9, 0.4, 2.0], (4, 1)))
    one = over(np.tile([0.3, 1.4, 2.0], (4, 1)))
    none = over(np.tile([0.3, 0.5, 0.3], (4, 1)))
    alarm.raise_by_distance(5.0, two)
    assert not any(alarm.watch_distance(one, 1.0) for _ in range(3))
    assert any(alarm.watch_distance(none, 1.0) for _ in range(CALM))


def test_after_a_pause_distances_end_nothing_before_they_have_seen_enough():
    alarm, high, low = Alarm(), (0.0, 0.0, 2.0), ()
    alarm.raise_by_distance(5.0, reached(*high))
    assert not alarm.watch_distance(reached(*low), 500.0)
    assert not watched(alarm, 15, *low)
    assert not watched(alarm, 100, *high)
    assert watched(alarm, CALM, *low)


MEMORIES = {Of.FEATURES: np.ones((*SHAPE, KEEP.size)), Of.CLASSES: np.ones((1, 4, KEEP.size))}


@pytest.mark.parametrize("of", list(Of))
def test_it_goes_on_after_a_restart(of):
    alarm = Alarm()
    if of is Of.DISTANCES:
        alarm.raise_by_distance(7.0, reached(0.5, 1.2, 1.6, 1.1))
        alarm.watch_distance(reached(0.5, 1.2, 1.6, 1.1), 9.0)
    else:
        shape = MEMORIES[of].shape[:2]
        gauge = Gauge(filters=np.ones((*shape, AGES.size, KEEP.size)), limits=np.ones(shape))
        alarm.raise_by_change(7.0, 2 * MEMORIES[of], np.ones(shape), np.ones(shape, np.bool_), 4, gauge, of)
    again = Alarm.restore(alarm.state(), MEMORIES, 2)
    assert again.state() == alarm.state()


def test_the_state_of_the_versions_before_is_read():
    camera = Camera()
    camera.run(2.0, 9)
    camera.raise_it(4)
    old = {key: camera.alarm.state()[key] for key in ("since", "place", "level", "calm", "age")}
    old["ratio"] = 0.0
    camera.alarm = Alarm.restore({**old, "weight": None, "noted_until": 16}, {Of.FEATURES: camera.memory}, 2)
    assert camera.alarm.since == 1000.0
    assert camera.watch(2.0, 100) is None
    assert camera.watch(0.0, 6) is not None
    by_distance = Alarm.restore({**old, "level": None, "place": 2, "ratio": 1.3}, MEMORIES, 2)
    assert by_distance.of is Of.DISTANCES
    assert not watched(by_distance, 50, 0.0, 0.0, 1.2)
    assert watched(by_distance, CALM)


@pytest.mark.parametrize(
    "damage",
    [
        {"of": "weather"},
        {"of": 1},
        {"place": 99},
        {"level": "x"},
        {"since": "now"},
        {"seen": "AAAA"},
        {"waits": -1},
        {"parts": [9], "ratios": [1.0]},
        {"parts": [1], "ratios": []},
        {"place": 6, "parts": [1], "ratios": [1.0]},
    ],
)
def test_a_damaged_state_is_refused(damage):
    camera = Camera()
    camera.run(2.0, 9)
    camera.raise_it(4)
    with pytest.raises(BadInput):
        Alarm.restore({**camera.alarm.state(), **damage}, MEMORIES, 2)


@pytest.mark.parametrize("seed", range(4))
def test_an_alarm_by_chance_at_dawn_ends_as_soon_as_its_columns_speak(seed):
    """Two counts and a little of a level jumped for two windows; for an hour windows say nothing of the counts."""
    jump = np.array([[0.8, 0.3], [0.8, 0.0], [0.0, 0.0]])
    camera, dawn = Camera(seed, noise=np.sqrt(VARIANCE)), np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    camera.run(0.0, 50)
    camera.memory = fade(fade(camera.memory, jump), jump)
    camera.alarm.raise_by_change(0.0, camera.memory, FULL, jump != 0.0, 2, camera.gauge)
    shown = [Shown(evidence=dawn * camera.window(0.0).evidence, weight=dawn) for _ in range(60)]
    assert not any(camera.alarm.watch_change(each, camera.gauge) for each in shown[:30])
    [camera.alarm.watch_change(each, camera.gauge) for each in shown[30:]]
    assert camera.alarm.since is None or camera.watch(0.0, 20) is not None


def test_where_pairs_are_not_judged_the_distribution_that_raised_it_is_watched():
    """After an acceptance no pair is judged: a distance just over its limit at one time scale ended the judge."""
    shapes = np.zeros((4, 3))
    shapes[1, 2] = 1.01
    alarm = Alarm()
    alarm.raise_by_distance(5.0, over(shapes, noise=0.3))
    assert (alarm.place, alarm.parts.tolist()) == (1, [2])
