"""Writes days of a simulated camera as `vedette export --for evidently` does, and prints when our judge raised an alarm.

    python -m benchmarks.drift.evidently_days --out days --seed 1
    EVIDENTLY/bin/python docs/recipes/evidently_report.py days/*      # what Evidently finds in the same days

A week is the reference. Then come days without any change, and days with a change from 12 h on: each in a folder with
`reference.csv` and `current.csv`, whose rows are means of a minute.
"""

from __future__ import annotations

import argparse
import csv
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.drift.recording import Recording
from agent.drift.reference import build
from benchmarks.drift.replay import WINDOW, Replay, looks_of, record
from benchmarks.drift.simulate import DAY_WINDOWS, frames
from benchmarks.drift.streams import DAY, Change, Stream, StreamSpec

SPEC = StreamSpec(taus=(5.0, 20.0, 60.0), daily=2.0, weather=0.3)
DAYS: dict[str, Change | None] = {
    **{f"quiet-{number}": None for number in range(1, 6)},
    "one-feature-half-sigma": Change(features=1, shift=0.5),
    "one-feature-two-sigma": Change(features=1, shift=2.0),
    "four-features-one-sigma": Change(features=4, shift=1.0),
}


def minutes(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The means of each minute."""
    return np.asarray(values.reshape(-1, frames(SPEC), values.shape[1]).mean(axis=1, dtype=np.float64))


def write(path: Path, start: float, rows: NDArray[np.float64]) -> None:
    """A table as the export has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "camera", *(f"feature_{name}_mean" for name in SPEC.names)])
        for number, row in enumerate(rows):
            at = datetime.fromtimestamp(start + WINDOW * number, timezone.utc)
            writer.writerow([f"{at:%Y-%m-%dT%H:%M:%SZ}", "simulated", *(f"{value:.6g}" for value in row)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    stream, recording, week = Stream(SPEC, options.seed), Recording(SPEC.names), []
    first = stream.now
    for _ in range(7):
        start, values = stream.now, stream.day()
        record(recording, values, start, frames(SPEC))
        week.append(minutes(values))
    replay = Replay(
        build(recording, camera="simulated", model_sha256="0", feature_version="1", now=stream.now)
    )
    for number, (name, change) in enumerate(DAYS.items()):
        day = Stream(SPEC, options.seed, stream.now)
        day.reseed(10_000 * options.seed + number)
        day.forget()
        start = day.now
        values = np.concatenate([day.run(DAY / 2), day.run(DAY / 2, change) if change else day.run(DAY / 2)])
        write(options.out / name / "reference.csv", first, np.concatenate(week))
        write(options.out / name / "current.csv", start, minutes(values))
        looks = looks_of(values, frames(SPEC))
        past = replay.nothing()
        ratios, _ = replay.judge([replay.evidence(looks, start + WINDOW * np.arange(DAY_WINDOWS))], past)
        at = replay.first_alarm(ratios, 0, past.excuses[0])
        print(f"{name:26} {'no alarm' if at is None else f'alarm at {at // 60:02}:{at % 60:02} h'}")


if __name__ == "__main__":
    main()
