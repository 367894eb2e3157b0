"""A fleet of cameras in which several things move at once: false alarms per camera-month, and the worst camera.

    python -m benchmarks.drift.worlds.fleet --out fleet.jsonl      # 28 cameras, 90 days: an hour and a half of a core

Every camera is drawn from its number: the form of its values, and two to four things that move them, each as its world
has it. It is judged by a reference of a week that lives. Nothing that matters changes.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.replay import Replay
from benchmarks.drift.simulate import Course
from benchmarks.drift.worlds import WORLDS
from benchmarks.drift.worlds.run import DAY_MINUTES, Judged, false_alarms, references
from benchmarks.drift.worlds.world import World

FORMS = ("steady", "skewed", "one count", "weekends", "market", "heavy tails", "wandering gain")
MOVED_BY = (
    "sunrise", "weather 2 h", "weather 12 h", "infrared", "lorries", "rain", "exposure hunting", "leaves",
    "tide", "broken clouds",
)  # fmt: skip
MONTH = 30
_FIRST_SEED = 5000


class Mixed(World):
    """Values as one world forms them, moved by what moves several others."""

    def draw(self) -> None:
        """Which worlds, and in what order of features each of them acts."""
        self.names = [str(self.random.choice(FORMS))]
        moved_by = self.random.choice(MOVED_BY, int(self.random.integers(2, 5)), replace=False)
        self.names += moved_by.tolist()
        self.parts: list[World] = [
            WORLDS.load(name)(int(self.random.integers(1 << 31)), self.rate, self.now) for name in self.names
        ]
        self.columns = [self.random.permutation(24) for _ in self.parts]

    def level(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        """See the class."""
        levels = [part.level(minutes) for part in self.parts]
        moved = [level[:, order] for level, order in zip(levels[1:], self.columns[1:], strict=True)]
        return np.asarray(sum(moved, start=levels[0]))

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        return self.parts[0].form(latent, minutes)


def camera_months(number: int, days: int, rate: float) -> dict[str, Any]:
    """Alarms of one camera in each month, and what for."""
    world = Mixed(_FIRST_SEED + number, rate=rate)
    world.run(DAY_MINUTES * (number % 7))
    replay = Replay(references(world, (7,))[7], utc_offset=world.utc_offset)
    judged, months = Judged(replay, True, Course(replay)), []
    while days > 0:
        before = len(judged.course.alarms)
        false_alarms({"": judged}, world, min(MONTH, days))
        months.append(judged.course.alarms[before:])
        days -= MONTH
    hours = round(judged.course.inside / 60.0, 1)
    return {"camera": number, "worlds": world.names, "months": months, "hours": hours}


def report(cameras: Sequence[dict[str, Any]]) -> str:
    """The histogram, and the worst camera."""
    counts = Counter(len(month) for each in cameras for month in each["months"])
    lines = ["| alarms in a camera-month | camera-months |", "|---|---|"]
    lines += [f"| {number} | {counts[number]} |" for number in range(max(counts) + 1)]
    worst = max(cameras, key=lambda each: sum(map(len, each["months"])))
    alarms = [alarm for month in worst["months"] for alarm in month]
    lines.append("")
    lines.append(
        f"worst: camera {worst['camera']} ({', '.join(worst['worlds'])}): "
        f"{len(alarms)} alarms, {worst['hours']:g} h in alarm: {'; '.join(alarms[:8]) or '-'}"
    )
    return "\n".join(lines)


def main() -> None:
    """Judge the fleet and print the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=int, default=28)
    parser.add_argument("--first", type=int, default=0, help="number of the first camera")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--rate", type=float, default=0.5, help="samples a second")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, help="file that lines of JSON are appended to")
    options = parser.parse_args()
    found = []
    with ProcessPoolExecutor(options.processes) as pool:
        waiting = [
            pool.submit(camera_months, number, options.days, options.rate)
            for number in range(options.first, options.first + options.cameras)
        ]
        for each in as_completed(waiting):
            found.append(each.result())
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(found[-1]) + "\n")
    print(report(found))


if __name__ == "__main__":
    main()
