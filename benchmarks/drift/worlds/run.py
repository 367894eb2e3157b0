"""False alarms and delays of the product's own judge in worlds where nothing that matters changes.

    python -m benchmarks.drift.worlds.run --out worlds.jsonl     # every world, references of 1, 3 and 7 days, a month

Each line of JSON is one world, seed and reference: alarms and hours in alarm in the days judged, and minutes from a
change to the alarm. Judging is `benchmarks.drift.replay`, which `tests/benchmarks` holds against the judge itself.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.drift.evidence import Looks, log_steps
from agent.drift.living import DOUBTFUL_HOURS, ITEMS, NormalHour, NormalHours, renew
from agent.drift.recording import Recording
from agent.drift.reference import Reference, build
from benchmarks.drift.replay import WINDOW, Past, Replay, block_of, looks_of, record
from benchmarks.drift.simulate import Course, median, quiet
from benchmarks.drift.streams import DAY, Change
from benchmarks.drift.worlds import WORLDS
from benchmarks.drift.worlds.world import NAMES, World

DAY_MINUTES = 1440
HOUR_MINUTES = 60
WARM_UP = 720
CHANGES = {
    "0.5 sigma / 1": Change(features=1, shift=0.5),
    "1 sigma / 1": Change(features=1, shift=1.0),
    "2 sigma / 1": Change(features=1, shift=2.0),
    "0.5 sigma / 5": Change(features=5, shift=0.5),
    "1 sigma / 5": Change(features=5, shift=1.0),
    "2 sigma / 5": Change(features=5, shift=2.0),
    "0.5 sigma / 20": Change(features=20, shift=0.5),
    "1 sigma / 20": Change(features=20, shift=1.0),
    "2 sigma / 20": Change(features=20, shift=2.0),
    "variance x2 / 1": Change(features=1, variance=2.0),
    "variance x2 / 5": Change(features=5, variance=2.0),
}
STAGES = (10, 50, 180, 480, 720)
"""Minutes judged after a change, in stages: what was seen drops out."""


@dataclass(frozen=True)
class Plan:
    """One world and seed."""

    world: str
    seed: int
    rate: float
    references: tuple[int, ...]
    days: int
    repeats: int
    lives: bool


def references(world: World, days: tuple[int, ...]) -> dict[int, Reference]:
    """References of several lengths (days) that all end now, from the last days of one world."""
    recordings = {length: Recording(NAMES) for length in days}
    for day in range(max(days)):
        start = world.now
        frames, values = world.sampled(minutes_of(world, DAY_MINUTES)), world.run(DAY_MINUTES)
        for length, recording in recordings.items():
            if day >= max(days) - length:
                record(recording, values, start, world.per_minute, frames)
    made = {
        length: build(recording, camera="simulated", model_sha256="0", feature_version="1", now=world.now)
        for length, recording in recordings.items()
    }
    offset = world.utc_offset(world.now)
    return {
        length: replace(each, origin=replace(each.origin, utc_offset=offset)) for length, each in made.items()
    }


def seen(world: World, minutes: int, change: Change | None = None) -> tuple[Looks, NDArray[np.float64]]:
    """The next minutes as windows, and when each begins."""
    starts = minutes_of(world, minutes)
    frames = world.sampled(starts)
    return looks_of(world.run(minutes, change), world.per_minute, frames), starts


def minutes_of(world: World, minutes: int) -> NDArray[np.float64]:
    """When each of the next minutes begins."""
    return world.now + WINDOW * np.arange(minutes, dtype=np.float64)


@dataclass(slots=True, eq=False)
class Judged:
    """One world judged by one reference: as it was recorded, or by one that `lives`; `hours` that wait to be taken in."""

    replay: Replay
    lives: bool
    course: Course
    hours: NormalHours = field(default_factory=NormalHours)

    def add(
        self, world: World, values: NDArray[np.float32], looks: Looks, starts: NDArray[np.float64]
    ) -> None:
        """The next day."""
        rows = values.reshape(24, -1, values.shape[1])
        logs = log_steps(looks.steps, self.replay.reference.usual) if self.lives else None
        for hour in range(24):  # what is known of new days changes when an alarm ends
            part = slice(hour * HOUR_MINUTES, (hour + 1) * HOUR_MINUTES)
            before, alarmed = self.course.raised, self.course.alarmed
            self.add_hour(looks[part], starts[part])
            alarmed |= self.course.raised > before
            frames = looks.frames[part]
            if logs is not None and frames.any():
                self._wait(_normal_hour(starts[part][0], rows[hour], frames, logs[part]), alarmed=alarmed)
        if self.lives and not self.course.alarmed and (taken := self.hours.take(world.now)):
            made = renew(self.replay.reference, taken, world.now, world.utc_offset(world.now))
            days, self.replay = self.replay.new_days, Replay(made, utc_offset=world.utc_offset)
            self.replay.new_days = days

    def add_hour(self, looks: Looks, starts: NDArray[np.float64]) -> None:
        """The next windows, of an hour at most."""
        local, raised = starts[0] + self.replay.reference.origin.utc_offset, self.course.raised
        self.replay.new_days.turn(local, alarm=self.course.watched)
        self.course.add(self.replay, self.replay.evidence(looks, starts))
        if self.course.raised > raised:
            self.replay.new_days.turn(local, alarm=True)

    def _wait(self, hour: NormalHour, *, alarmed: bool) -> None:
        """An hour waits, which is doubtful if it was in alarm."""
        if not alarmed:
            self.hours.hours.append(hour)
            return
        self.hours.cut(self.course.normal_until)
        self.hours.doubtful = [*self.hours.doubtful, hour][-DOUBTFUL_HOURS:]
        if not self.course.alarmed:
            if self.course.calm_at > hour.start:
                self.hours.trust(self.course.calm_at - DAY)
            self.hours.doubtful = []


def _normal_hour(
    start: float, rows: NDArray[np.float32], frames: NDArray[np.int64], logs: NDArray[np.float64]
) -> NormalHour:
    """An hour of windows with so many `frames`, (W,), of which the first of `rows` are known, and logarithms of steps."""
    seen, known = int(frames.sum()), np.isfinite(logs)
    block = block_of(rows[np.arange(seen) * len(rows) // seen], NAMES)
    sums = np.stack([np.where(known, logs, 0.0).sum(axis=0), known.sum(axis=0)], axis=1)
    sketches = [each.even(ITEMS) for each in block.sketches]
    return NormalHour(start, WINDOW * int((frames > 0).sum()), sketches, sums, Counter())


def false_alarms(judged: Mapping[str, Judged], world: World, days: int) -> dict[str, tuple[list[str], float]]:
    """What each reference raised alarms for in so many days, and the hours in alarm."""
    for _ in range(days):
        starts = minutes_of(world, DAY_MINUTES)
        frames, values = world.sampled(starts), world.run(DAY_MINUTES)
        looks = looks_of(values, world.per_minute, frames)
        for each in judged.values():
            each.add(world, values, looks, starts)
    return {
        name: (each.course.alarms, round(each.course.inside * WINDOW / 3600.0, 1))
        for name, each in judged.items()
    }


def delays(plan: Plan, replays: dict[int, Replay], world: World) -> dict[int, dict[str, list[float | None]]]:
    """Minutes from a change to the alarm, by reference and change; None where it was not seen in a day."""
    found: dict[int, dict[str, list[float | None]]] = {
        length: {name: [] for name in CHANGES} for length in replays
    }
    for repeat in range(plan.repeats):
        warm = world.twin(1000 * plan.seed + repeat)
        warm.run(60 * (1 + (7 * repeat) % 24))  # changes begin at all hours of the day
        before = seen(warm, WARM_UP)
        for length, replay in replays.items():
            past = quiet(replay, replay.evidence(*before))[0]
            for number, (name, change) in enumerate(CHANGES.items()):
                first = replace(change, first=repeat)
                found[length][name].append(race(replay, past, warm.twin(100 * repeat + number), first))
    return found


def race(replay: Replay, past: Past, world: World, change: Change) -> float | None:
    """Minutes until one change is seen."""
    gone, past = 0, past.of(np.zeros(1, dtype=np.int64))
    for stage in STAGES:
        ratios, past = replay.judge([replay.evidence(*seen(world, stage, change))], past)
        found = replay.first_alarm(ratios, 0, past.excuses[0])
        if found is not None:
            return float(gone + found + 1)
        gone += stage
    return None


def trial(plan: Plan) -> list[dict[str, Any]]:
    """One world: its references, `days` by each, delays by each; one result per reference."""
    began = time.process_time()
    world = WORLDS.load(plan.world)(plan.seed, rate=plan.rate)
    world.run(DAY_MINUTES * (plan.seed % 7))
    replays = {
        length: Replay(made, utc_offset=world.utc_offset)
        for length, made in references(world, plan.references).items()
    }
    after = world.twin(plan.seed)
    judged = {}
    for lives in (False, True) if plan.lives else (False,):
        for length, replay in replays.items():
            own = Replay(replay.reference, utc_offset=world.utc_offset)  # what it learns of days is its own
            judged[f"{length} d, lives" if lives else f"{length} d"] = Judged(own, lives, Course(own))
    alarms = false_alarms(judged, world, plan.days)
    late = delays(plan, replays, after)
    return [
        {
            "world": plan.world,
            "seed": plan.seed,
            "reference": name,
            "days": plan.days,
            "alarms": alarms[name][0],
            "hours": alarms[name][1],
            "delays": late.get(int(name.split()[0]), {}) if not each.lives else {},
            "cpu_seconds": round(time.process_time() - began, 1),
        }
        for name, each in judged.items()
    ]


def main() -> None:
    """Run the plans and print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--references", default="1,3,7", help="days")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--rate", type=float, default=2.0, help="samples a second")
    parser.add_argument("--days", type=int, default=30, help="days judged")
    parser.add_argument("--repeats", type=int, default=0, help="trials of each change")
    parser.add_argument("--lives", action="store_true", help="judge also by references that live")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, help="file that lines of JSON are appended to")
    options = parser.parse_args()
    lengths = tuple(map(int, options.references.split(",")))
    plans = [
        Plan(name, int(seed), options.rate, lengths, options.days, options.repeats, options.lives)
        for name in options.worlds.split(",")
        for seed in options.seeds.split(",")
    ]
    with ProcessPoolExecutor(options.processes) as pool:
        for results in pool.map(trial, plans):
            show(results)
            if options.out:
                with options.out.open("a") as file:
                    file.writelines(json.dumps(result) + "\n" for result in results)


def show(results: list[dict[str, Any]]) -> None:
    """Print one world's figures."""
    first = results[0]
    print(f"{first['world']:14s} seed {first['seed']}  {results[-1]['cpu_seconds']:5.0f} s", end="  ")
    print(
        "  ".join(f"{each['reference']}: {len(each['alarms'])} ({each['hours']:g} h)" for each in results),
        flush=True,
    )
    for each in results:
        if each["alarms"]:
            print("      ", each["reference"], each["alarms"][:6])
        if any(each["delays"].values()):
            print(
                "      ",
                each["reference"],
                {name: median(late) for name, late in each["delays"].items()},
            )


if __name__ == "__main__":
    main()
