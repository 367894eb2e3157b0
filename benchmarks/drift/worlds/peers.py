"""What others' tests say in worlds where nothing that matters changes, beside the product's judge on the same streams.

    pip install river; python -m benchmarks.drift.worlds.peers     # ten worlds, a month each: ten minutes of a core

A reference of a week, then days without a change that matters; then 1 sigma in five features, at several hours of the
day. An alarm is a run of hours in which a test flags anything. Each test as it is meant to be used and set:

    ADWIN           River's own, one for each feature, on means of a minute
    CUSUM           of each feature's mean of an hour against that hour of the day in the reference, in the spread of
                    an hour's means between days; limits for one alarm a month if hours were independent (Siegmund,
                    Sequential Analysis, 1985)
    NannyML         the Jensen-Shannon distance of chunks of an hour and of a day, mean and 3 standard deviations of the
                    reference's own chunks
    Evidently       the normed Wasserstein distance over 0.1 in half of the features, of an hour and of a day
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.peers import PEERS, Peer, judged, kept, series
from benchmarks.drift.replay import Replay, looks_of
from benchmarks.drift.simulate import Course, quiet
from benchmarks.drift.streams import Change
from benchmarks.drift.worlds import WORLDS
from benchmarks.drift.worlds.run import DAY_MINUTES, HOUR_MINUTES, Judged, minutes_of, references
from benchmarks.drift.worlds.world import World

ASKED = (
    "skewed", "one count", "weekends", "sunrise", "weather 2 h", "weather 12 h", "infrared", "lorries", "rain",
    "clock change",
)  # fmt: skip
REFERENCE_DAYS = 7
CHANGE = Change(features=5, shift=1.0)
WARM_HOURS, LATE_HOURS = 24, 24
_SLACK, _LIMIT = 0.5, 8.6
"""In standard deviations of an hour's mean: of 48 one-sided sums one exceeds the limit in 720 hours."""

Values = NDArray[np.float32]
Flags = Callable[[Values], NDArray[np.bool_]]
"""Values of whole days (n, F) to whether each of their hours is flagged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What tests know before: the reference's `values` (n, F), and samples in an hour."""

    values: Values
    per_hour: int

    def means(self, values: Values, parts: int = 1) -> NDArray[np.float64]:
        """Means of so many parts of each hour, (hours * parts, F)."""
        shaped = values.reshape(-1, self.per_hour // parts, values.shape[1])
        return np.asarray(shaped.mean(axis=1, dtype=np.float64))


def adwin(known: Known) -> Flags:
    """River's ADWIN, its state that of the reference's end."""
    drift, middle = importlib.import_module("river.drift"), known.values.mean(axis=0)
    spread = known.values.std(axis=0)

    def flags(values: Values) -> NDArray[np.bool_]:
        days = np.concatenate([known.values[-24 * known.per_hour :], values])
        means = (known.means(days, HOUR_MINUTES) - middle) / np.maximum(spread, 1e-9)
        found = np.zeros(len(means), dtype=np.bool_)
        for column in means.T:
            detector = drift.ADWIN()
            for place, value in enumerate(column.tolist()):
                detector.update(value)
                found[place] |= detector.drift_detected
        return np.asarray(found.reshape(-1, HOUR_MINUTES)[24:].any(axis=1))

    return flags


def cusum(known: Known) -> Flags:
    """Two-sided cumulative sums by hour of the day, begun anew after each alarm."""
    by_hour = known.means(known.values).reshape(-1, 24, known.values.shape[1])
    middle = by_hour.mean(axis=0)
    spread = np.sqrt(
        np.maximum(by_hour.var(axis=0, ddof=1).mean(axis=0), 1e-18)
    )  # of seven days one hour tells little

    def flags(values: Values) -> NDArray[np.bool_]:
        means = known.means(values)
        scores = (means - np.resize(middle, means.shape)) / spread
        sums, found = np.zeros((2, means.shape[1])), np.zeros(len(means), dtype=np.bool_)
        for hour, each in enumerate(scores):
            sums = np.maximum(sums + np.stack([each, -each]) - _SLACK, 0.0)
            found[hour] = (sums > _LIMIT).any()
            sums[sums > _LIMIT] = 0.0
        return found

    return flags


def chunks(named: str, hours: int) -> Callable[[Known], Flags]:
    """A test of `benchmarks.drift.peers` over chunks of so many hours."""
    [peer] = [each for each in PEERS if each.name.startswith(named)]

    def of(known: Known) -> Flags:
        size, least = hours * known.per_hour, kept(known.values)
        usual = series(known.values, size, least)

        def flags(values: Values) -> NDArray[np.bool_]:
            return np.repeat(_over(peer, series(values, size, least), usual), hours)

        return flags

    return of


def _over(peer: Peer, found: dict, usual: dict) -> NDArray[np.bool_]:
    return np.asarray(judged(peer, found, usual) > peer.threshold)


TESTS: dict[str, tuple[int, Callable[[Known], Flags]]] = {
    "ADWIN": (1, adwin),
    "CUSUM by hour": (1, cusum),
    "NannyML, 1 h": (1, chunks("Jensen-Shannon", 1)),
    "NannyML, 24 h": (24, chunks("Jensen-Shannon", 24)),
    "Evidently, 1 h": (1, chunks("Wasserstein 0.1, half", 1)),
    "Evidently, 24 h": (24, chunks("Wasserstein 0.1, half", 24)),
}
"""Each test, and the hours after which it says something."""


def episodes(flags: NDArray[np.bool_]) -> int:
    """Runs of flagged hours."""
    return int(np.count_nonzero(np.diff(flags.astype(np.int8), prepend=0) == 1))


def trials(world: World, repeats: int) -> list[tuple[World, Values]]:
    """Each a day without a change and a day with it, and the world as it was before them."""
    found = []
    for repeat in range(repeats):
        ahead = world.twin(1000 + repeat)
        ahead.run(HOUR_MINUTES * ((7 * repeat) % 24))
        before = ahead.twin(repeat)
        values = ahead.run(WARM_HOURS * HOUR_MINUTES)
        changed = ahead.run(LATE_HOURS * HOUR_MINUTES, replace(CHANGE, first=repeat))
        found.append((before, np.concatenate([values, changed])))
    return found


def our_delay(replay: Replay, world: World, values: Values) -> float:
    """Minutes from the change to our alarm; infinite where there is none."""
    minutes = (WARM_HOURS + LATE_HOURS) * HOUR_MINUTES
    starts = minutes_of(world, minutes)
    looks, cut = looks_of(values, world.per_minute, world.sampled(starts)), WARM_HOURS * HOUR_MINUTES
    past = quiet(replay, replay.evidence(looks[:cut], starts[:cut]))[0]
    ratios, _ = replay.judge([replay.evidence(looks[cut:], starts[cut:])], past)
    found = replay.first_alarm(ratios, 0, past.excuses[0])
    return np.inf if found is None else found + 1.0


def their_delay(flags: NDArray[np.bool_], hours: int) -> float:
    """Minutes from the change to the end of the first flagged chunk of so many hours, whatever flagged it."""
    after = flags[WARM_HOURS:]
    return HOUR_MINUTES * hours * (int(after.argmax()) // hours + 1.0) if after.any() else np.inf


def trial(
    name: str, seed: int, *, rate: float, days: int, repeats: int
) -> dict[str, tuple[int, float, float]]:
    """One world: alarms, hours in alarm and the median delay, by test."""
    world = WORLDS.load(name)(seed, rate=rate)
    world.run(DAY_MINUTES * (seed % 7))
    past = world.twin(seed)
    known = Known(values=past.run(REFERENCE_DAYS * DAY_MINUTES), per_hour=world.per_minute * HOUR_MINUTES)
    world.random = np.random.default_rng(seed)
    replay = Replay(references(world, (REFERENCE_DAYS,))[REFERENCE_DAYS], utc_offset=world.utc_offset)
    ours = Judged(replay, False, Course(replay))
    every = []
    for _ in range(days):
        starts = minutes_of(world, DAY_MINUTES)
        frames, values = world.sampled(starts), world.run(DAY_MINUTES)
        ours.add(world, values, looks_of(values, world.per_minute, frames), starts)
        every.append(values)
    month, changes = np.concatenate(every), trials(world, repeats)
    late = [our_delay(Replay(replay.reference, utc_offset=world.utc_offset), *each) for each in changes]
    found = {"Vedette": (len(ours.course.alarms), ours.course.inside / HOUR_MINUTES, float(np.median(late)))}
    for test, (hours, make) in TESTS.items():
        flags = make(known)
        quiet_hours = flags(month)
        delays = [their_delay(flags(values), hours) for _, values in changes]
        found[test] = (episodes(quiet_hours), float(quiet_hours.sum()), float(np.median(delays)))
    return found


def row(name: str, found: dict[str, tuple[int, float, float]]) -> str:
    """Alarms (hours in alarm), minutes to the alarm, by test."""
    cells: Sequence[str] = [
        f"{alarms} ({hours:.0f}) · {'> 1440' if np.isinf(late) else f'{late:.0f}'}"
        for alarms, hours, late in found.values()
    ]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Judge the worlds and print a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", default=",".join(ASKED))
    parser.add_argument("--seed", type=int, default=51)
    parser.add_argument("--rate", type=float, default=0.5, help="samples a second")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5, help="trials of the change")
    options = parser.parse_args()
    worlds = options.worlds.split(",")
    for name in worlds:
        if name not in WORLDS:
            parser.error(f"--worlds: there is no world {name!r}; there are {', '.join(WORLDS)}")
    if importlib.util.find_spec("river") is None:
        parser.error("ADWIN is River's, which is not installed: pip install river")
    print(f"| world | Vedette | {' | '.join(TESTS)} |")
    print("|---" * (len(TESTS) + 2) + "|")
    for name in worlds:
        found = trial(name, options.seed, rate=options.rate, days=options.days, repeats=options.repeats)
        print(row(name, found), flush=True)


if __name__ == "__main__":
    main()
