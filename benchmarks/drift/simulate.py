"""False alarms and delays of the product's own judge on simulated streams (issue: drift on the device, measure A).

    python -m benchmarks.drift.simulate --out results.jsonl            # everything: hours on one core
    python -m benchmarks.drift.simulate --quick                        # minutes
    python -m benchmarks.drift.simulate --table results.jsonl          # the tables of docs/benchmarks-drift.md

Each trial records references of several lengths from the same stream, judges a month without any change by each,
and then many changes, each from a fresh copy of the judge and the stream, warmed up. Every trial is a line of JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.drift.judge import Judge
from agent.drift.recording import Recording
from agent.drift.reference import Reference, build
from agent.drift.sketch import Window, WindowSketch
from benchmarks.drift.streams import Change, Stream, StreamSpec

WINDOW = 60.0
TAUS = {"5": (5.0,), "20": (20.0,), "60": (60.0,), "mix": (5.0, 20.0, 60.0)}
WORLDS = {
    "steady": {},
    "daily": {"daily": 2.0},
    "weather": {"daily": 2.0, "weather": 0.3},
    "shared weather": {"daily": 2.0, "weather": 0.3, "weather_shared": 0.8},
}
CHANGES = {
    **{f"{shift:g} sigma": {"shift": shift} for shift in (0.25, 0.5, 1.0, 2.0)},
    **{f"variance x{factor:g}": {"variance": factor} for factor in (1.5, 2.0)},
}
COUNTS = (1, 4, 20)
WARM_UP = 12 * 3600.0


def windows(stream: Stream, seconds: float, change: Change | None = None) -> Iterator[WindowSketch]:
    """The next windows of a stream, made an hour at a time."""
    per_window = round(WINDOW * stream.spec.rate)
    offsets = np.arange(per_window) / stream.spec.rate
    collector = Window("simulated", stream.spec.names, "1", interval=1.0 / stream.spec.rate)
    end = stream.now + seconds
    while stream.now < end - 1e-6:
        start = stream.now
        values = stream.run(min(3600.0, end - start), change)
        for number, rows in enumerate(values.reshape(-1, per_window, stream.spec.features)):
            begin = start + number * WINDOW
            collector.extend(rows, at=begin + offsets)
            yield collector.close(begin, begin + WINDOW)


def references(stream: Stream, days: tuple[int, ...]) -> dict[int, Reference]:
    """References of several lengths that all end now, from the last days of the same stream."""
    longest = max(days)
    recordings = {length: Recording(stream.spec.names) for length in days}
    for day in range(longest):
        for window in windows(stream, 86400.0):
            for length, recording in recordings.items():
                if day >= longest - length:
                    recording.add(window)
    return {
        length: build(recording, camera="simulated", model_sha256="0", feature_version="1", now=stream.now)
        for length, recording in recordings.items()
    }


def false_alarms(judges: dict[int, Judge], stream: Stream, days: int) -> dict[int, list[str]]:
    """What each judge raised alarms for while nothing changed."""
    found: dict[int, list[str]] = {length: [] for length in judges}
    since: dict[int, float | None] = dict.fromkeys(judges)
    for window in windows(stream, days * 86400.0):
        for length, judge in judges.items():
            verdict = judge.judge(window, window.end)
            if verdict.alarm_since not in (None, since[length]):
                top = verdict.strongest(1)[0]
                what = f"{top.feature} {top.aspect}" if top.over else "joint"
                found[length].append(f"{what} {verdict.ratio:.2f}")
                since[length] = verdict.alarm_since
    return found


def delay(judge: Judge, stream: Stream, change: Change, patience: float) -> float | None:
    """Minutes from the change to the alarm; None where there was none in `patience` seconds."""
    began = stream.now
    for window in windows(stream, patience, change):
        if judge.judge(window, window.end).alarm:
            return (window.end - began) / 60.0
    return None


def quiet(judge: Judge, stream: Stream) -> tuple[Judge, Stream]:
    """Judge and stream after a warm-up that ended without an alarm."""
    while True:
        for window in windows(stream, WARM_UP):
            judge.judge(window, window.end)
        if not judge.alarm:
            return judge, stream
        judge = Judge(judge.reference)


def reseeded(stream: Stream, seed: int) -> Stream:
    """A copy of the stream that goes on differently."""
    twin = copy.deepcopy(stream)
    twin.reseed(seed)
    return twin


def delays(
    reference: Reference, stream: Stream, repeats: int, patience: float
) -> dict[str, list[float | None]]:
    """Delays by change and number of features, as `1 sigma / 4`."""
    found: dict[str, list[float | None]] = {}
    for repeat in range(repeats):
        judge, warmed = quiet(Judge(reference), reseeded(stream, 1000 + repeat))
        for number, (name, what) in enumerate(CHANGES.items()):
            for count in COUNTS:
                change = Change(features=count, first=repeat, **what)
                twin = copy.deepcopy(judge)
                took = delay(twin, reseeded(warmed, 100 * repeat + number), change, patience)
                found.setdefault(f"{name} / {count}", []).append(took)
    return found


def trial(
    world: str, taus: str, seed: int, *, lengths: tuple[int, ...], days: int, repeats: int, patience: float
) -> Iterator[dict[str, object]]:
    """One stream: its references, a quiet month by each, and delays by each; one result per reference."""
    spec = StreamSpec(taus=TAUS[taus], **WORLDS[world])
    stream = Stream(spec, seed)
    made = references(stream, lengths)
    before = copy.deepcopy(stream)
    judges = {length: Judge(reference) for length, reference in made.items()}
    alarms = false_alarms(judges, stream, days) if days else {length: [] for length in lengths}
    for length, reference in made.items():
        yield {
            "world": world,
            "taus": taus,
            "seed": seed,
            "reference_days": length,
            "quiet_days": days,
            "false_alarms": alarms[length],
            "delays": delays(reference, before, repeats, patience) if repeats else {},
            "features": list(TAUS[taus]),
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", default="steady,daily,weather")
    parser.add_argument("--taus", default="5,20,60,mix")
    parser.add_argument("--references", default="1,3,7", help="days")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=30, help="quiet days judged")
    parser.add_argument("--repeats", type=int, default=10, help="trials of each change")
    parser.add_argument(
        "--patience", type=float, default=24 * 3600.0, help="seconds after which a change counts as missed"
    )
    parser.add_argument("--out", type=Path, help="file that lines are appended to")
    parser.add_argument("--quick", action="store_true", help="one seed, mixed times, short")
    parser.add_argument("--table", type=Path, help="print the tables of a file of results")
    options = parser.parse_args()
    if options.table:
        from benchmarks.drift.tables import print_tables

        print_tables(options.table)
        return
    if options.quick:
        options.taus, options.references, options.seeds, options.days, options.repeats = "mix", "1", 1, 7, 3
    lengths = tuple(map(int, options.references.split(",")))
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for taus in options.taus.split(","):
            for world in options.worlds.split(","):
                began = time.monotonic()
                for result in trial(
                    world,
                    taus,
                    seed,
                    lengths=lengths,
                    days=options.days,
                    repeats=options.repeats,
                    patience=options.patience,
                ):
                    report(result, options.out)
                print(f"  {time.monotonic() - began:.0f} s", flush=True)


def report(result: dict[str, object], out: Path | None) -> None:
    if out:
        with out.open("a") as file:
            file.write(json.dumps(result) + "\n")
    shown: dict[str, list[float | None]] = result["delays"]  # type: ignore[assignment]
    medians = {name: median(times) for name, times in shown.items()}
    print(
        *(result[key] for key in ("world", "taus", "seed", "reference_days", "false_alarms")),
        medians,
        flush=True,
    )


def median(times: list[float | None]) -> float:
    """Median delay in minutes; infinite where most changes were missed."""
    filled: NDArray[np.float64] = np.array([np.inf if each is None else each for each in times])
    return float(np.sort(filled)[len(filled) // 2])


if __name__ == "__main__":
    main()
