"""The tables of measure A from what `simulate.py` wrote.

python -m benchmarks.drift.tables results.jsonl
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drift.simulate import CHANGES, COUNTS, TAUS, WORLDS, median
from benchmarks.drift.streams import StreamSpec, information_rate, lorden_minutes, variance_information_rate

Key = tuple[str, str, int]
ORDER = list(WORLDS)


def bounds(taus: str, change: str, count: int, repeats: int) -> float:
    """Lorden's bound in minutes, the median over the features that the trials changed."""
    spec, found = StreamSpec(taus=TAUS[taus]), []
    for first in range(repeats):
        rate = 0.0
        for feature in range(first, first + count):
            what = CHANGES[change]
            if "shift" in what:
                rate += information_rate(what["shift"], spec.tau(feature % spec.features))
            else:
                rate += variance_information_rate(what["variance"], spec.rate)
        found.append(lorden_minutes(rate))
    return float(np.sort(found)[len(found) // 2])


def gathered(lines: list[dict[str, Any]]) -> dict[Key, list[dict[str, Any]]]:
    """Results by world, autocorrelation times and days of reference."""
    found: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        found[line["world"], line["taus"], line["reference_days"]].append(line)
    return dict(sorted(found.items(), key=lambda item: (ORDER.index(item[0][0]), item[0][1], item[0][2])))


def print_false_alarms(results: dict[Key, list[dict[str, Any]]]) -> None:
    print("| world | autocorrelation | reference | streams | false alarms in 30 days, each | mean |")
    print("|---|---|---|---|---|---|")
    for (world, taus, days), lines in results.items():
        each = [30 * len(line["false_alarms"]) / line["quiet_days"] for line in lines if line["quiet_days"]]
        if each:
            shown = ", ".join(f"{count:g}" for count in each)
            print(f"| {world} | {taus} | {days} d | {len(each)} | {shown} | {np.mean(each):.1f} |")


def print_delays(results: dict[Key, list[dict[str, Any]]]) -> None:
    names = [(change, count) for change in CHANGES for count in COUNTS]
    for count in COUNTS:
        shown = [name for name in names if name[1] == count]
        print(f"\nMedian minutes to the alarm, {count} of 20 features changed (Lorden's bound in brackets)\n")
        print("| world | autocorrelation | reference | " + " | ".join(change for change, _ in shown) + " |")
        print("|---" * (len(shown) + 3) + "|")
        for (world, taus, days), lines in results.items():
            cells = []
            for change, _ in shown:
                times = [each for line in lines for each in line["delays"][f"{change} / {count}"]]
                bound = bounds(taus, change, count, len(lines[0]["delays"][f"{change} / {count}"]))
                cells.append(f"{minutes(median(times))} ({bound:.0f})" if times else "")
            print(f"| {world} | {taus} | {days} d | " + " | ".join(cells) + " |")


def minutes(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "> 1440"


def main() -> None:
    lines = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    results = gathered(lines)
    print_false_alarms(results)
    print_delays(results)


if __name__ == "__main__":
    main()
