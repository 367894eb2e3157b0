"""An operator accepts what a camera shows: the alarm ends, the reference keeps the rest, and it can be undone."""

import dataclasses

import numpy as np
import pytest

from agent.core.errors import ReferenceMismatch
from agent.drift.sketch import Window
from agent.features import FEATURE_VERSION, FEATURES
from agent.references.changes import changes
from agent.references.recorder import ReferenceRecorder
from agent.references.requests import StoreRequests
from agent.references.store import CHANGES, RECENT
from tests.references.conftest import NOON, SUBJECT, Source
from tests.references.test_monitor import with_reference

CHANGE = {"contrast": -8, "sharpness": 5}


@pytest.fixture
def drifted(room, stored):
    """A camera in alarm for a change, and its source."""
    made = with_reference(room, stored)
    source = Source(start=NOON + 3600, seed=8)
    made.feed(source, 5)
    assert made.feed(source, 20, **CHANGE)[-1][0]["drift_state"] == "drift"
    return made, source


def accepted(made, source, since=None):
    result = made.monitor.accept(since, source.now, by="anna", why="new lamp")
    made.settle()
    return result


def test_what_was_accepted_is_normal_from_then_on_and_a_restart_keeps_that(drifted):
    made, source = drifted
    before = made.monitor.status()["reference"]["id"]
    about = accepted(made, source)
    assert about.windows >= 10
    assert about.base == before
    fields = [fields for fields, _ in made.feed(source, 20, **CHANGE)]
    assert {each["drift_state"] for each in fields} == {"normal"}
    assert max(each["drift_outlier_ratio"] for each in fields) < 0.1, "single frames are known too"
    made.monitor.save(source.now)
    made.settle()
    made.new().open(source.now)
    assert made.monitor.status()["reference"]["accepted"]["by"] == "anna"
    assert made.feed(source, 1, **CHANGE)[0][0]["drift_state"] == "normal"


def test_it_is_undone_and_both_are_listed_with_who_and_when(drifted):
    made, source = drifted
    before = made.monitor.status()["reference"]["id"]
    accepted(made, source)
    requests = StoreRequests(made.store).handlers()
    requests["reference_undo"]({"camera": "front", "who": "ben"})
    made.monitor.reload(source.now)
    assert made.monitor.status()["reference"]["id"] == before
    assert made.feed(source, 3, **CHANGE)[-1][0]["drift_state"] == "drift"
    listed = requests["reference_history"]({"camera": "front"})["changes"]
    assert [(each["what"], each["who"]) for each in listed] == [("accepted", "anna"), ("undone", "ben")]
    assert listed[0]["why"] == "new lamp"
    with pytest.raises(ReferenceMismatch, match="nothing was accepted"):
        requests["reference_undo"]({"camera": "front"})


def test_it_goes_on_taking_in_what_follows_until_a_day_of_it_is_known(drifted):
    made, source = drifted
    first = accepted(made, source)
    made.feed(source, 2 * first.windows, **CHANGE)
    about = made.monitor.status()["reference"]["accepted"]
    assert about["windows"] >= 1.9 * first.windows
    assert about["base"] == first.base
    ids = [version.id for version in made.store.versions("front")]
    assert len(ids) == 2, "renewed in place: the one it is based on and itself"


def test_windows_in_alarm_are_not_taken_in_by_themselves(drifted):
    made, source = drifted
    first = accepted(made, source)
    reference = made.monitor.status()["reference"]["id"]
    states = [
        fields["drift_state"]
        for fields, _ in made.feed(source, first.windows + 5, **{**CHANGE, "brightness": 9})
    ]
    assert states[2:] == ["drift"] * len(states[2:])
    assert made.monitor.status()["reference"]["id"] == reference


def test_a_recording_under_way_begins_anew_and_replaces_nothing_larger(room, source):
    made = room(auto_reference=True, reference_length=86400.0)
    made.monitor.open(NOON)
    made.settle()
    made.feed(source, 130)
    assert made.feed(source, 20, **CHANGE)[-1][0]["drift_state"] == "drift"
    accepted(made, source)
    assert made.monitor.status()["recording"]["windows"] == 0
    taken = made.monitor.status()["reference"]["accepted"]["at"]
    assert made.feed(source, 62, **CHANGE)[-1][0]["drift_state"] != "drift"
    assert made.monitor.status()["reference"]["accepted"]["at"] == taken, "an hour replaces no two hours"


@pytest.mark.parametrize(
    ("since", "words"),
    [
        (NOON + 3600 + 26 * 60, r"0 windows are known since .*; expected at least 10"),
        (NOON + 10 * 86400, "0 windows are known"),
    ],
)
def test_too_little_is_refused_with_the_numbers(drifted, since, words):
    made, source = drifted
    with pytest.raises(ReferenceMismatch, match=words):
        made.monitor.accept(since, source.now, by="x", why="")


def test_without_an_alarm_or_a_reference_it_names_what_is_missing(room, stored, source):
    made = room(auto_reference=False)
    made.monitor.open(NOON)
    with pytest.raises(ReferenceMismatch, match="no reference of camera 'front' is in force"):
        made.monitor.accept(None, source.now, by="x", why="")
    quiet = with_reference(room, stored)
    quiet.feed(source, 2)
    with pytest.raises(ReferenceMismatch, match="no drift alarm of camera 'front' is on"):
        quiet.monitor.accept(None, source.now, by="x", why="")


@pytest.mark.parametrize("text", ["", "[", '{"a": 1}', "[1]", '[{"start": 1}]'])
def test_damaged_files_stop_nothing(room, stored, source, text):
    made = with_reference(room, stored)
    for name in (RECENT, CHANGES):
        made.store.write("front", name, text)
    made.new().open(NOON + 3600)
    assert made.feed(source, 12)[-1][0]["drift_state"] == "normal"
    assert changes(made.store, "front") == []


SECONDS, FRAMES_EACH = 2.0, 8


class Guests(Source):
    """Windows of 2 s; guests come at random, stay some 24 s, and each moves many features at once: so levels are
    skewed and wander together over many windows. `busy` is how many more come."""

    def __init__(self, seed):
        super().__init__(seed=seed)
        self.loads = np.abs(np.random.default_rng(99).normal(0.0, 0.7, (len(FEATURES), 4)))
        self.there, self.slow = np.zeros(4, dtype=int), np.zeros(len(FEATURES))
        self.keep = np.exp(-SECONDS / 24.0)

    def window(self, level=0.0, busy=0.0):
        stay, random = self.keep, self.random
        self.there = random.binomial(self.there, stay) + random.poisson((1 - stay) * (0.5 + busy), 4)
        self.slow = stay * self.slow + np.sqrt(1 - stay**2) * random.normal(0.0, 0.5, self.slow.size)
        means = self.means + self.slow + self.loads @ self.there
        means[:6] += level
        vectors = random.normal(means, 1.0, (FRAMES_EACH, means.size)).astype(np.float32)
        collector = Window("front", FEATURES, FEATURE_VERSION, interval=SECONDS / FRAMES_EACH)
        collector.extend(vectors, [0, 0, 2], at=self.now + SECONDS / FRAMES_EACH * np.arange(FRAMES_EACH))
        start, self.now = self.now, self.now + SECONDS
        return collector.close(start, self.now), vectors


@pytest.mark.parametrize("seed", [1, 3])
def test_ninety_seconds_of_a_restless_scene_can_be_accepted_and_a_further_shift_is_seen(room, seed):
    """Within a minute and a half it shows neither its level nor how that wanders: three in four were in alarm again."""
    subject = dataclasses.replace(SUBJECT, window_seconds=SECONDS)
    source = Guests(seed)
    recorder = ReferenceRecorder(subject, made_by="asked", length=60.0, started_at=source.now)
    for _ in range(30):
        recorder.add(*source.window(), source.embeddings())
    made = room(subject=subject, auto_reference=False, false_alarms_per_month=30.0)
    made.store.put("front", recorder.make(source.now, final=True))
    made.new().open(source.now)
    source.now = since = source.now + 240.0
    change = {"level": 3.0, "busy": 2.0}
    assert "drift" in {fields["drift_state"] for fields, _ in made.feed(source, 46, **change)}
    accepted(made, source, since)
    after = [fields["drift_state"] for fields, _ in made.feed(source, 100, **change)]
    assert set(after) == {"normal"}
    later = [fields["drift_state"] for fields, _ in made.feed(source, 60, level=25.0, busy=2.0)]
    assert "drift" in later, "six features by some eight times what they scatter by now"
