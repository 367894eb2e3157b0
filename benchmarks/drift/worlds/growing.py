"""A reference of a day that grows to a week, beside the same one that stays: false alarms of a month in each world.

    python -m benchmarks.drift.worlds.growing --worlds fronts,street --seeds 5       # two minutes a world

Days are recorded as `agent.references.growing` has it, hour by hour: without what is under an alarm. What is slow is
followed by neither.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from agent.drift.evidence import Looks
from agent.drift.recording import Recording
from agent.drift.reference import Reference, build
from agent.references.growing import DAY_SECONDS, SETTLE_SECONDS, STEPS
from benchmarks.drift.replay import Replay, looks_of, record
from benchmarks.drift.simulate import Course
from benchmarks.drift.worlds import WORLDS
from benchmarks.drift.worlds.run import DAY_MINUTES, HOUR_MINUTES, Judged, minutes_of
from benchmarks.drift.worlds.world import NAMES, World

DAYS, LATER = 30, 10
"""Alarms of the days from LATER on are given apart: by then it has grown."""


@dataclass(slots=True, eq=False)
class Grows(Judged):
    """Judged by a reference that grows: the days `kept`, the first of which is the recording, and the `day` under way."""

    kept: list[Recording] = field(default_factory=list)
    day: Recording = field(default_factory=lambda: Recording(NAMES))

    def add(
        self, world: World, values: NDArray[np.float32], looks: Looks, starts: NDArray[np.float64]
    ) -> None:
        """The next day."""
        frames, rows = world.sampled(starts), values.reshape(24, -1, values.shape[1])
        for hour in range(24):
            part = slice(hour * HOUR_MINUTES, (hour + 1) * HOUR_MINUTES)
            before, raised = self.course.alarmed, self.course.raised
            self.add_hour(looks[part], starts[part])
            if self.course.raised > raised and not before:
                self._discard(starts[part][0])
            elif not before and not self.course.alarmed:
                record(self.day, rows[hour], starts[part][0], world.per_minute, frames[part])
                self._keep(world)

    def _discard(self, alarm: float) -> None:
        if len(self.kept) > 1 and self.kept[-1].starts[-1] > alarm - SETTLE_SECONDS:
            self.kept.pop()
        self.day = Recording(NAMES)

    def _keep(self, world: World) -> None:
        if self.day.covered < DAY_SECONDS or len(self.kept) == STEPS[-1]:
            return
        self.kept, self.day = [*self.kept, self.day], Recording(NAMES)
        rests_on = self.replay.calibration.blocks / 24
        if len(self.kept) in STEPS and len(self.kept) > rests_on:
            whole = Recording(NAMES)
            for each in self.kept:  # of whole hours: none is in two of them
                whole.join(each)
            grown = Replay(made_of(whole, world), utc_offset=world.utc_offset)
            self.course.grow(self.replay, grown)
            self.replay = grown


def made_of(recording: Recording, world: World) -> Reference:
    """The reference of a recording."""
    end = recording.starts[-1] + recording.seconds[-1]
    made = build(recording, camera="simulated", model_sha256="0", feature_version="1", now=end)
    return replace(made, origin=replace(made.origin, utc_offset=world.utc_offset(end)))


def trial(name: str, seed: int) -> list[dict[str, object]]:
    """A world judged by a day that stays and by one that grows: one result each."""
    world, first = WORLDS.load(name)(seed, rate=0.5), Recording(NAMES)
    world.run(DAY_MINUTES * (seed % 7))
    starts = minutes_of(world, DAY_MINUTES)
    frames, values = world.sampled(starts), world.run(DAY_MINUTES)
    record(first, values, starts[0], world.per_minute, frames)
    made = made_of(first, world)
    plain, young = (Replay(made, utc_offset=world.utc_offset) for _ in range(2))
    both = {
        "stays": Judged(plain, False, Course(plain)),
        "grows": Grows(young, False, Course(young), kept=[first]),
    }
    early = dict.fromkeys(both, 0)
    for day in range(DAYS):
        starts = minutes_of(world, DAY_MINUTES)
        frames, values = world.sampled(starts), world.run(DAY_MINUTES)
        looks = looks_of(values, world.per_minute, frames)
        for how, judged in both.items():
            judged.add(world, values, looks, starts)
            early[how] = len(judged.course.alarms) if day < LATER else early[how]
    return [
        {
            "world": name,
            "seed": seed,
            "reference": how,
            "days": round(judged.replay.calibration.blocks / 24, 1),
            "alarms": len(judged.course.alarms),
            "later": len(judged.course.alarms) - early[how],
            "hours": round(judged.course.inside / HOUR_MINUTES, 1),
        }
        for how, judged in both.items()
    ]


def main() -> None:
    """Judge the worlds and print a line for each reference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--seeds", default="1")
    options = parser.parse_args()
    for name in options.worlds.split(","):
        for seed in map(int, options.seeds.split(",")):
            for result in trial(name, seed):
                print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
