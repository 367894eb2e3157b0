"""An install at 18:00 that meets its first dawn: what was never seen is not judged, a fault is."""

import json

import numpy as np
import pytest
from scipy.signal import lfilter

from agent.core.untrusted import BadInput
from agent.drift.judge import DriftJudge
from agent.drift.light import LightFollower, SeenLight
from agent.drift.recording import Recording
from agent.drift.reference import build
from agent.drift.sketch import Window

NAMES = ("brightness", "contrast", "sharpness", "saturation")
NIGHT = np.array([40.0, 12.0, 200.0, 0.2])
COVERED = np.array([0.05, 0.1, 0.02, 1.0])
EVENING = 1_799_625_600.0 + 18 * 3600.0  # of a Monday
FRAMES = 30


class Night:
    """A frame every two seconds; features scatter by 2 % about `level` (4,)."""

    def __init__(self, hours, level=NIGHT, seed=1, light=lambda _minute: 1.0):
        self.random, self.now, self.level = np.random.default_rng(seed), EVENING, level
        self.recording = Recording(NAMES)
        for minute in range(60 * hours):
            self.recording.add(self.window(light(minute)))

    def window(self, times=1.0):
        news = 0.02 * np.sqrt(1 - 0.81) * self.random.standard_normal((FRAMES, 4))
        rows = self.level * times * np.exp(lfilter([1.0], [1.0, -0.9], news, axis=0))
        made = Window("front", NAMES, "1", interval=2.0)
        made.extend(rows.astype(np.float32), at=self.now + 2.0 * np.arange(FRAMES))
        self.now += 60.0
        return made.close(self.now - 60.0, self.now)

    def judge(self):
        made = build(self.recording, camera="front", model_sha256="0", feature_version="1", now=self.now)
        return DriftJudge(made)


@pytest.fixture(scope="module")
def recorded_night():
    """Twelve hours, until 6."""
    night = Night(12)
    return night, night.judge().reference


@pytest.fixture
def dawn(recorded_night):
    night, reference = recorded_night
    night.now, night.random = reference.origin.end, np.random.default_rng(9)
    return night, DriftJudge(reference)


def verdicts(judge, night, levels):
    return [judge.judge(window, window.end) for window in map(night.window, levels)]


def test_the_first_dawn_is_not_judged_and_no_alarm(dawn):
    night, judge = dawn
    assert not any(each.alarm for each in verdicts(judge, night, [1.0] * 10))
    brighter = [np.array([1, 1, 2, 1.5]) ** (minute / 20) * 1.04**minute for minute in range(1, 45)]
    found = verdicts(judge, night, brighter)
    assert not any(each.alarm for each in found)
    assert not any(each.judged for each in found[3:])
    assert found[-1].reason.startswith("neither this hour nor this light is in the reference yet")


def test_a_reference_just_made_follows_the_light_from_where_its_recording_was(dawn):
    night, judge = dawn
    verdicts(judge, night, [1.1])
    assert not any(each.judged for each in verdicts(judge, night, [1.15, 1.2, 1.25]))
    renewed = DriftJudge(judge.reference, after=judge)
    assert not any(each.judged for each in verdicts(renewed, night, [1.28, 1.31]))
    night.now = judge.reference.origin.end
    assert verdicts(DriftJudge(judge.reference), night, [1.6] * 5)[-1].alarm


@pytest.mark.parametrize(
    "fault",
    [
        COVERED,
        np.array([1.0, 0.9, 0.2, 1.0]),
        np.array([1.3, 0.4, 0.3, 0.6]),
        np.array([1.08, 0.8, 0.6, 0.9]),
    ],
    ids=["covered", "defocused", "fog", "light fog"],
)
def test_a_fault_at_an_hour_that_was_never_seen_is_an_alarm(dawn, fault):
    night, judge = dawn
    assert not any(each.alarm for each in verdicts(judge, night, [1.0] * 10))
    assert verdicts(judge, night, [fault] * 15)[-1].alarm


def test_an_alarm_for_the_first_signs_of_dawn_is_over_once_it_is_known_for_dawn(dawn):
    night, judge = dawn
    signs = np.array([1.0, 1.2, 1.4, 1.5])
    assert verdicts(judge, night, [1.0] * 5 + [signs] * 8)[-1].alarm
    found = verdicts(judge, night, [signs * 1.02**minute for minute in range(60)])
    assert [each.alarm for each in found[-40:]] == [False] * 40
    assert not found[-1].judged


def test_a_fault_that_was_there_before_dawn_stays_an_alarm(dawn):
    night, judge = dawn
    blurred = np.array([1.0, 0.9, 0.2, 1.0])
    found = verdicts(
        judge, night, [1.0] * 5 + [blurred] * 70 + [blurred * 1.02**minute for minute in range(40)]
    )
    assert found[20].alarm
    assert found[-1].alarm


def test_a_lens_that_is_covered_after_dawn_is_an_alarm(dawn):
    night, judge = dawn
    verdicts(judge, night, [1.04**minute for minute in range(40)])
    assert verdicts(judge, night, [COVERED] * 10)[-1].alarm


def test_the_first_switch_to_infrared_is_not_judged():
    day = Night(8, level=np.array([90.0, 40.0, 300.0, 0.3]), seed=3)
    judge = day.judge()
    grey = np.array([0.7, 0.6, 0.5, 0.01])
    found = verdicts(judge, day, [1.0] * 10 + [grey] * 30)
    assert [each.judged for each in found] == [True] * 10 + [False] * 30
    assert not any(each.alarm for each in found)


def test_it_goes_on_where_it_was_after_a_restart(dawn):
    night, judge = dawn
    verdicts(judge, night, [1.04**minute for minute in range(30)])
    again = DriftJudge(judge.reference)
    again.restore(json.loads(json.dumps(judge.state())))
    window = night.window(1.04**30)
    assert again.judge(window, window.end) == judge.judge(window, window.end)
    assert again.state() == judge.state()
    for damaged in (
        {},
        {**judge.state()["light"], "trail": ["bright"]},
        {**judge.state()["light"], "state": "night"},
    ):
        with pytest.raises(BadInput):
            LightFollower.restore(damaged)


def test_light_matters_only_at_hours_that_were_never_seen(recorded_night, day_reference):
    _, reference = recorded_night
    midnight = EVENING + 6 * 3600.0
    seen = SeenLight(reference)
    assert not seen.unseen_hour(midnight)
    assert seen.unseen_hour(EVENING - 60.0)
    assert np.isnan(seen.span("brightness", EVENING - 6 * 3600.0)).all()
    assert not any(SeenLight(day_reference).unseen_hour(midnight + 600.0 * step) for step in range(144))


@pytest.mark.parametrize(
    ("state", "end"),
    [({"trail": [], "last_end": 1e9}, 1e9 + 60.0), ({"trail": [50.0], "last_end": 2e9}, 1e9)],
)
def test_light_is_followed_anew_after_a_state_without_a_trail_and_after_a_clock_that_was_set_back(
    recorded_night, state, end
):
    night, reference = recorded_night
    follower = LightFollower.restore({"state": "known", "left": 0, **state})
    night.now = end - 60.0
    follower.step(SeenLight(reference), night.window())
    assert follower.last_end == end
    assert len(follower.trail) == 3, "the known light, twice, and that of now"


@pytest.mark.parametrize("times", [0.3, 0.7, 0.85, 1.15, 1.4, 7.0])
def test_light_that_changed_at_a_stroke_in_the_very_first_window_is_judged_and_stays_so(dawn, times):
    night, judge = dawn
    seen = verdicts(judge, night, [times * 1.001**minute for minute in range(30)])
    assert all(each.judged for each in seen[10:])
    assert seen[-1].alarm


def clouds(minute):
    """Light that wanders by 8 % within the hour, as between clouds."""
    return np.array([1.0 + 0.08 * np.sin(minute / 9.0), 1.0, 1.0, 1.0])


def test_light_that_wanders_as_it_did_in_the_reference_is_judged_at_an_hour_that_was_never_seen():
    night = Night(6, light=clouds)
    judge = night.judge()
    found = verdicts(judge, night, map(clouds, range(360, 400)))
    assert [each.judged for each in found] == [True] * 40
    assert not any(each.alarm for each in found)
    assert verdicts(judge, night, [COVERED] * 10)[-1].alarm


def test_a_headlight_in_the_reference_makes_no_dawn_known():
    night = Night(12, light=lambda minute: np.array([3.0 if minute % 20 == 0 else 1.0, 1, 1, 1]))
    judge = night.judge()
    found = verdicts(judge, night, [1.04**minute for minute in range(30)])
    assert not any(each.judged for each in found[-15:])
