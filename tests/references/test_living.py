"""A camera's reference takes in what was normal, in the background; the one it was recorded as stays beside it."""

import dataclasses
import json

import pytest

from agent.drift.living import Creep
from agent.references.living import creep_observations, sentence
from agent.references.store import KEEP_VERSIONS, LIVING
from agent.references.stored import Lived, StoredReference
from tests.references.conftest import NOON, Source, recorded, sampled
from tests.references.test_monitor import with_reference

HOUR = 3600.0


class Hourly(Source):
    """A window an hour, so that days pass quickly."""

    def window(self, samples=None, **shift):
        found = super().window(samples, **shift)
        self.now += HOUR - 60.0
        return found


@pytest.fixture(scope="module")
def of_a_day():
    """A reference of every hour of a day."""
    return recorded(windows=48, source=Hourly(start=NOON - 48 * HOUR)).make(NOON, final=True)


@pytest.fixture
def made(room, of_a_day):
    return with_reference(room, of_a_day)


def test_after_two_days_it_takes_in_the_first_and_the_anchor_stays(made, of_a_day):
    source = Hourly(start=NOON + HOUR, seed=5)
    told = made.feed(source, 47)
    assert made.monitor.status()["reference"]["id"] == of_a_day.id
    assert {fields["drift_state"] for fields, _ in told} == {"normal"}
    made.feed(source, 30)
    first = made.monitor.status()["reference"]
    assert first["lived"]["anchor"] == of_a_day.id
    assert first["id"] != of_a_day.id
    fields, observations = made.feed(source, 24)[-1]
    second = made.monitor.status()["reference"]
    assert second["lived"]["before"] == first["id"]
    assert fields["drift_state"] == "normal"
    ids = {version.id for version in made.store.versions("front")}
    assert ids == {of_a_day.id, second["id"]}, "the anchor and what is in force, and no more"
    [creep] = [each for each in observations if each.metric == "drift.creep_sigmas"]
    assert creep.value < 1.0
    assert creep.text.startswith("slow change since ")


def test_a_clock_that_is_years_ahead_for_a_while_silences_nothing_once_it_is_right(made, of_a_day):
    """A box that begins with a wrong hardware clock: what waited was taken in at once, by a reference of the future."""
    source = Hourly(start=NOON + HOUR, seed=5)
    made.feed(source, 26)
    right = source.now
    source.now += 10 * 365 * 24 * HOUR
    made.feed(source, 2)
    source.now = right
    told = made.feed(source, 4)
    assert [fields["drift_state"] for fields, _ in told] == ["normal"] * 4


def test_a_drift_is_never_taken_in(made, of_a_day):
    source = Hourly(start=NOON + HOUR, seed=5)
    made.feed(source, 20)
    told = made.feed(source, 60, contrast=-9, brightness=9, entropy=9)
    assert [fields["drift_state"] for fields, _ in told[3:]] == ["drift"] * 57
    assert made.monitor.status()["reference"]["id"] == of_a_day.id
    made.monitor.save(source.now)
    made.settle()
    waiting = [each["start"] for each in json.loads(made.store.read("front", LIVING))["hours"]]
    assert len(waiting) <= 20 - 4, "nor what came just before it"


def test_an_event_of_hours_costs_no_more_than_it(made, of_a_day):
    """Where something came every other day a reference stayed as it was: each discarded two days."""
    source = Hourly(start=NOON + HOUR, seed=5)
    made.feed(source, 30)
    told = made.feed(source, 5, contrast=-9, brightness=9, entropy=9)
    assert told[-1][0]["drift_state"] == "drift"
    assert made.monitor.status()["reference"]["id"] == of_a_day.id
    told = made.feed(source, 20)
    assert told[-1][0]["drift_state"] == "normal"
    lived = made.monitor.status()["reference"]["lived"]
    assert lived is not None
    assert lived["anchor"] == of_a_day.id


def test_what_waits_and_what_was_judged_survive_a_restart_across_a_renewal(made, of_a_day):
    source = Hourly(start=NOON + HOUR, seed=5)
    made.feed(source, 40)
    made.monitor.save(source.now)
    made.settle()
    judged = json.loads(made.store.read("front", "judge.json"))
    assert len(json.loads(made.store.read("front", LIVING))["hours"]) == 40
    made.new().open(source.now)
    made.feed(source, 12)
    assert made.monitor.status()["reference"]["lived"]["anchor"] == of_a_day.id
    made.store.write("front", "judge.json", json.dumps(judged))  # a power cut before the next was written
    made.new().open(source.now)
    assert len(made.monitor.explanation()["history"]) >= 30


def test_switched_off_it_stays_as_it_was_recorded(room, of_a_day):
    made = with_reference(room, of_a_day, living_reference=False)
    made.feed(Hourly(start=NOON + HOUR, seed=5), 60)
    assert made.monitor.status()["reference"]["id"] == of_a_day.id
    assert made.store.read("front", LIVING) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"reference": 1}', '{"reference": "x", "hours": 7}', "null"])
def test_a_damaged_file_stops_nothing(made, text):
    made.store.write("front", LIVING, text)
    source = Hourly(start=NOON + HOUR, seed=5)
    made.new().open(source.now)
    assert made.feed(source, 1)[0][0]["drift_state"] == "normal"


def test_windows_without_frames_are_not_taken_in(made):
    source = Hourly(start=NOON + HOUR, seed=5)
    for _ in range(60):
        window, vectors = source.window(samples=0)
        made.monitor.process(sampled(window, vectors), window.end)
    made.monitor.save(source.now)
    made.settle()
    assert json.loads(made.store.read("front", LIVING))["hours"] == []


LIVED = Lived(
    anchor="a" * 12,
    before="b" * 12,
    since=1_772_323_200.0,  # 2026-03-01
    creep=(
        Creep(feature="noise", then=3.0, now=4.2, sigmas=2.4),
        Creep(feature="confidence_mean", then=0.67, now=0.61, sigmas=-1.1),
        Creep(feature="tint", then=0.1, now=0.1, sigmas=0.0),
    ),
)


def test_creep_is_reported_with_its_numbers(of_a_day):
    assert sentence(LIVED) == (
        "slow change since 1 March: noise +40 % (4.2 instead of 3), confidence mean -0.06 (0.61 instead of 0.67)"
    )
    stored = dataclasses.replace(of_a_day, lived=LIVED)
    [found] = creep_observations(stored, "front", 5.0)
    assert (found.metric, found.value, found.at) == ("drift.creep_sigmas", 2.4, 5.0)
    assert creep_observations(of_a_day, "front", 5.0) == []
    assert StoredReference.from_text(stored.to_text()).lived == LIVED


def test_the_anchor_is_kept_however_many_versions_there_are(made, of_a_day):
    for number in range(KEEP_VERSIONS + 3):
        origin = dataclasses.replace(of_a_day.reference.origin, made_at=NOON + 60 * (number + 1))
        other = dataclasses.replace(
            of_a_day, reference=dataclasses.replace(of_a_day.reference, origin=origin)
        )
        made.store.put("front", other, keep=of_a_day.id)
    assert made.store.find("front", of_a_day.id).id == of_a_day.id
