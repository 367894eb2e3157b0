"""The first day of an install at 18:00: hours in alarm and hours not judged, minute by minute through the product's judge.

    python -m benchmarks.drift.worlds.first_day --seeds 21                  # real pictures under a light of our own
    python -m benchmarks.drift.worlds.first_day --world sunrise --seeds 21

By a reference that is renewed each hour, as an automatic recording is, and by one of the first twelve hours.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from agent.drift.judge import DriftJudge
from agent.drift.recording import Recording
from agent.drift.reference import build
from agent.drift.sketch import Window, WindowSketch
from agent.features import FEATURES as MEASURED_NAMES
from benchmarks.drift.worlds import WORLDS
from benchmarks.drift.worlds.recorded import MEASURED, Recorded
from benchmarks.drift.worlds.world import FIRST_DAY, MINUTE, NAMES, World

INSTALLED = FIRST_DAY + 18 * 3600.0
HOUR_WINDOWS = 60
NIGHT, DAY = 12, 24
RATE = 0.5


def names_of(world: World) -> tuple[str, ...]:
    """Features as the judge knows them: those measured in pictures by their names, else the first for brightness."""
    if isinstance(world, Recorded):
        return (*MEASURED_NAMES[:MEASURED], *NAMES[MEASURED:])
    return ("brightness", *NAMES[1:])


def windows(world: World) -> list[WindowSketch]:
    """The first day's windows."""
    names, made = names_of(world), []
    collector = Window("front", names, "1", interval=1.0 / world.rate)
    for _ in range(DAY * HOUR_WINDOWS):
        start, rows = world.now, world.run(1)
        collector.extend(rows, at=start + np.arange(len(rows)) / world.rate)
        made.append(collector.close(start, start + MINUTE))
    return made


def judged(made: list[WindowSketch], renewed: bool) -> NDArray[np.bool_]:
    """Which windows are in alarm, and which are not judged, (W, 2): by a reference of the hours before, `renewed` each
    hour while there is no alarm, or by one of the first NIGHT hours."""
    recording, judge, found = Recording(made[0].features), None, []
    for number, window in enumerate(made):
        if judge is not None:
            verdict = judge.judge(window, window.end)
            found.append((verdict.alarm, not verdict.judged))
        recording.add(window)
        hours, over = divmod(number + 1, HOUR_WINDOWS)
        due = hours < DAY and not (judge and judge.alarm) if renewed else hours == NIGHT
        if over or not due:
            continue
        reference = build(recording, camera="front", model_sha256="0", feature_version="1", now=window.end)
        judge = DriftJudge(reference, after=judge)
    return np.array(found)


def main() -> None:
    """Print hours in alarm and hours not judged of each seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", default="recorded", help="recorded, or one of benchmarks.drift.worlds")
    parser.add_argument("--seeds", default="21,22")
    options = parser.parse_args()
    for seed in map(int, options.seeds.split(",")):
        kind = Recorded if options.world == "recorded" else WORLDS.load(options.world)
        world = kind(seed, rate=RATE, start=INSTALLED)
        made = windows(world)
        for renewed in (True, False):
            alarm, silent = judged(made, renewed).sum(axis=0) / HOUR_WINDOWS
            by = "renewed each hour" if renewed else f"of {NIGHT} hours"
            print(
                f"{options.world} seed {seed}, reference {by}: {alarm:.1f} h in alarm, {silent:.1f} h silent",
                flush=True,
            )


if __name__ == "__main__":
    main()
