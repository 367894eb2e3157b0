"""The benchmark's replay says exactly what the judge says, so that its figures are the product's."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("benchmarks.drift.replay", reason="run from the repository's root")

from agent.drift.judge import DriftJudge
from agent.drift.new_days import NewDays
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
    made = replace(made, origin=replace(made.origin, start=start, end=end))
    replay = Replay(made, utc_offset=lambda _: moved)
    replay.new_days = first_days(spec.features)
    assert replay.calibration.refinement.loadings.any() == factors
    start, frames = stream.now, round(WINDOW * spec.rate)
    values = np.concatenate([stream.run(3600.0), stream.run(3600.0, Change(features=2, shift=0.4))])
    starts = start + WINDOW * np.arange(120)
    evidence, ranks, *_ = replay.evidence(looks_of(values, frames), starts)
    ratios, _ = replay.judge(evidence[:, None], ranks[:, None], replay.nothing())
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


@pytest.mark.parametrize(
    ("change", "expected"),
    [(Change(features=2, shift=2.0), [5, 424, 543, 605 + 1440]), (Change(features=2, shift=0.8), [23, 435])],
    ids=["large", "small"],
)
def test_replay_begins_and_ends_alarms_where_the_judge_does(change, expected):
    """A change of seven hours, over for two, and back for one: the second time it is daily, and over a day later."""
    spec = StreamSpec(features=6, rate=0.5, taus=(5.0, 60.0), daily=1.0)
    stream = Stream(spec, 3)
    replay = Replay(references(stream, (1,))[1])
    start, frames, hours = (
        stream.now,
        round(WINDOW * spec.rate),
        ((7, change), (2, None), (1, change), (26, None)),
    )
    values = np.concatenate([stream.run(3600.0 * count, each) for count, each in hours])
    starts = start + WINDOW * np.arange(len(values) // frames)
    course, replayed = Course(replay), []
    evidence = replay.evidence(looks_of(values, frames), starts)
    for number in range(len(starts)):
        course.add(replay, *(each[number : number + 1] for each in evidence))
        replayed.append(course.alarmed)
    judge, judged = DriftJudge(replay.reference), []
    collector = Window("simulated", spec.names, "1", interval=2.0)
    for number, begin in enumerate(starts):
        collector.extend(values[number * frames : (number + 1) * frames], at=begin + 2.0 * np.arange(frames))
        judged.append(judge.judge(collector.close(begin, begin + WINDOW), begin + WINDOW).alarm)
    changes = np.flatnonzero(np.diff(judged)).tolist()
    assert changes == np.flatnonzero(np.diff(replayed)).tolist()
    assert changes == pytest.approx(expected, abs=20)  # a reference's sketches are random
