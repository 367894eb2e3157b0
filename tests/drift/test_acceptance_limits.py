"""Limits of an accepted reference are wider by what so short a time does not tell, and are not after a day of it."""

import numpy as np
import pytest

from agent.drift.acceptance import accept
from agent.drift.acceptance_limits import lasting
from agent.drift.judge import DriftJudge
from agent.drift.noise import DECAYS
from agent.drift.recent import DIRECTIONS, RecentWeek
from tests.drift.conftest import Camera
from tests.drift.test_acceptance import TOMORROW, seen


def widths(reference, windows, **change):
    """Times by which each feature's location score is divided by more (F,), after so many accepted windows."""
    blocks, camera = seen(windows, **change)
    accepted = accept(reference, blocks, camera.now)
    ratio = accepted.calibration.size / reference.calibration.size
    return ratio[0].max(axis=-1)


def test_the_shorter_the_time_the_wider_and_only_for_what_changed(day_reference):
    found = [widths(day_reference, windows, shift=3.0) for windows in (12, 60, 240, 1440)]
    of_changed = [each[0] for each in found]
    assert of_changed == sorted(of_changed, reverse=True)
    assert of_changed[0] > 1.4
    assert of_changed[-1] == pytest.approx(1.0, abs=0.02), "a day is what the reference was recorded of"
    assert max(each[1:].max() for each in found) < 1.1


def test_the_width_is_the_error_that_a_mean_of_so_many_windows_makes(day_reference):
    """Simulated from the noise as it was learnt: the first window after it scores as often over 2 as a normal one."""
    calibration = day_reference.calibration
    noise, windows, random = calibration.noise[0, 0], 30, np.random.default_rng(1)
    keep = np.exp(-1.0 / np.maximum(DECAYS, 1e-9)) * (DECAYS > 0)
    parts = random.standard_normal((4000, DECAYS.size)) * np.sqrt(noise)
    total = np.zeros(4000)
    for _ in range(windows):
        total += parts.sum(axis=1)
        news = random.standard_normal(parts.shape) * np.sqrt(noise * (1 - keep**2))
        parts = keep * parts + news
    said = (noise * lasting(np.array(windows))).sum()
    assert (total / windows).var() == pytest.approx(said, rel=0.3)
    assert (total / windows).var() < said * 1.05, "never less than it is"


def wandering(camera, windows, *, by, stay=0.9):
    """Windows of a level that wanders from one to the next by so many sigma."""
    random, level = np.random.default_rng(9), 0.0
    for _ in range(windows):
        level = stay * level + np.sqrt(1 - stay**2) * by * random.standard_normal()
        yield from camera.windows(1, shift=3.0 + level)


def test_what_wanders_more_than_before_is_given_as_much_room(day_reference):
    factors = {}
    for by in (0.0, 2.0):
        recent, camera = RecentWeek(), Camera(31, TOMORROW)
        for window in wandering(camera, 60, by=by):
            recent.add(window, np.zeros(DIRECTIONS), 0, alarmed=True)
        accepted = accept(day_reference, recent.blocks, camera.now)
        wide = [np.ptp(each.around(0, TOMORROW).quantiles([0.1, 0.9])) for each in (day_reference, accepted)]
        factors[by] = wide[1] / wide[0]
        judge = DriftJudge(accepted)
        alarms = [judge.judge(each, each.end).alarm for each in wandering(camera, 90, by=by)]
        assert not any(alarms)
    assert 0.8 < factors[0.0] < 1.35, "by chance a sketch makes it a step wider"
    assert factors[2.0] == pytest.approx(np.sqrt(1.0 + 2.0**2), rel=0.35)


@pytest.mark.parametrize(("seen_windows", "within"), [(15, 40), (600, 12)])
def test_a_further_shift_is_still_seen_and_the_sooner_the_more_is_known(day_reference, seen_windows, within):
    blocks, camera = seen(seen_windows, shift=3.0)
    judge = DriftJudge(accept(day_reference, blocks, camera.now))
    for each in camera.windows(20, shift=3.0):
        assert not judge.judge(each, each.end).alarm
    assert any(judge.judge(each, each.end).alarm for each in camera.windows(within, shift=6.0))
