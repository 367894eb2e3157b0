"""The benchmark's replay says exactly what the judge says, so that its figures are the product's."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("benchmarks.drift.replay", reason="run from the repository's root")

from agent.drift.judge import DriftJudge
from agent.drift.new_days import NewDays
from agent.drift.passing import Passing, PassingEvent
from agent.drift.sketch import Window
from benchmarks.drift.replay import WINDOW, Replay, looks_of
from benchmarks.drift.simulate import Course, references
from benchmarks.drift.streams import DAY, Change, Stream, StreamSpec


def first_days(features):
    """What a first day of each kind showed: each hour another level, and another distance."""
    random = np.random.default_rng(4)
    return NewDays(known={key: np.sort(random.normal(0.0, 0.5, (7, features)), axis=0) for key in range(48)})


@pytest.mark.parametrize(
    ("weather", "factors", "moved", "later"),
    [(0.0, False, 0.0, 0.0), (1.0, True, 3600.0, 0.0), (0.0, False, 0.0, 5.0)],
    ids=["plain", "weather and clocks", "a kind of day never seen"],
)
def test_replay_is_the_judge(weather, factors, moved, later):
    spec = StreamSpec(features=6, rate=0.5, taus=(5.0, 60.0), daily=1.0, weather=weather, weather_shared=0.9)
    stream = Stream(spec, 1)
    made = references(stream, (1,))[1]
    start, end = made.origin.start - later * DAY, made.origin.end - later * DAY
    hours = tuple(hour - round(later * DAY / 3600.0) for hour in made.seen)
    made = replace(made, origin=replace(made.origin, start=start, end=end), seen=hours)
    replay = Replay(made, utc_offset=lambda _: moved)
    replay.new_days = first_days(spec.features)
    assert replay.calibration.refinement.loadings.any() == factors
    start, frames = stream.now, round(WINDOW * spec.rate)
    values = np.concatenate([stream.run(3600.0), stream.run(3600.0, Change(features=2, shift=0.4))])
    starts = start + WINDOW * np.arange(120)
    ratios, _ = replay.judge([replay.evidence(looks_of(values, frames), starts)], replay.nothing())
    judge = DriftJudge(replay.reference, utc_offset=lambda _: moved)
    judge._new_days = first_days(spec.features)
    collector = Window("simulated", spec.names, "1", interval=2.0)
    for number, begin in enumerate(starts):
        collector.extend(values[number * frames : (number + 1) * frames], at=begin + 2.0 * np.arange(frames))
        verdict = judge.judge(collector.close(begin, begin + WINDOW), begin + WINDOW)
        assert verdict.ratio == pytest.approx(ratios.top[number, 0])
        assert ("saw no" in verdict.reason) == bool(later)
        if verdict.alarm:
            break
    assert number > 30


def alarms(replay, stream, hours, passing=None):
    """In which windows an alarm is on by the judge, in a stream of so many hours with each change; the replay's are the
    same."""
    spec, start = stream.spec, stream.now
    frames = round(WINDOW * spec.rate)
    values = np.concatenate([stream.run(3600.0 * count, change) for count, change in hours])
    starts = start + WINDOW * np.arange(len(values) // frames)
    course, judge = Course(replay), DriftJudge(replay.reference)
    if passing is not None:
        course._passing, judge._passing = Passing([passing]), Passing([passing])
    evidence, replayed, judged = replay.evidence(looks_of(values, frames), starts), [], []
    collector = Window("simulated", spec.names, "1", interval=2.0)
    for number, begin in enumerate(starts):
        course.add(replay, evidence[number : number + 1])
        replayed.append(course.alarmed)
        collector.extend(values[number * frames : (number + 1) * frames], at=begin + 2.0 * np.arange(frames))
        judged.append(judge.judge(collector.close(begin, begin + WINDOW), begin + WINDOW).alarm)
    assert judged == replayed
    return judged, evidence.aspects


@pytest.mark.parametrize(
    ("change", "expected"),
    [(Change(features=2, shift=2.0), [5, 424, 543, 605 + 1440]), (Change(features=2, shift=0.8), [23, 435])],
    ids=["large", "small"],
)
def test_replay_begins_and_ends_alarms_where_the_judge_does(change, expected):
    """A change of seven hours, over for two, and back for one: the second time it is daily, and over a day later."""
    stream = Stream(StreamSpec(features=6, rate=0.5, taus=(5.0, 60.0), daily=1.0), 3)
    replay = Replay(references(stream, (1,))[1])
    on, _ = alarms(replay, stream, ((7, change), (2, None), (1, change), (26, None)))
    changes = np.flatnonzero(np.diff(on)).tolist()
    assert changes == pytest.approx(expected, abs=20)  # a reference's sketches are random


def test_a_familiar_event_that_is_over_is_no_alarm_for_what_is_remembered_of_it():
    """Of eight hours, of which six were familiar: two hours after the end it was one, and for two hours."""
    stream, change = (
        Stream(StreamSpec(features=6, rate=0.5, taus=(5.0, 60.0)), 3),
        Change(features=3, shift=2.0),
    )
    replay = Replay(references(stream, (1,))[1])
    _, evidence = alarms(replay, stream.twin(7), ((1, change),))
    direction = evidence.mean(axis=0) / replay.calibration.refinement.units
    event = PassingEvent(direction=direction, span=360.0, often=2, counted=stream.now, last=stream.now)
    on, _ = alarms(replay, stream, ((1, None), (8, change), (8, None)), event)
    assert not any(on)
    longer, _ = alarms(replay, stream, ((1, None), (12, change)), event)
    assert any(longer), "it may last half as long again"
