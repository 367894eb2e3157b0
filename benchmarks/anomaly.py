"""The anomaly rule on the Numenta Anomaly Benchmark's AWS CloudWatch series: detections and false alarms.

    python benchmarks/anomaly.py [--data ../shared/nab]

Each series goes through the real alert engine, sample by sample. A labelled window counts as detected if an alert
fires within it (or fires when it begins); an alert that fires outside every window is a false alarm. The
first 15 % of a series only teach, as in the benchmark itself. Beside it, for comparison: a fixed limit at
mean + 3 standard deviations of that first part, which is what people write by hand.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import compile_rules
from agent.config.schema import AlertSettings, RuleSettings
from agent.types import AlertEvent, AlertState, Observation

METRIC = "host.benchmark"
PROBATION = 0.15
Series = list[tuple[float, float]]
Span = tuple[float, float]


@dataclass
class Score:
    """What came of one rule on one series, or on all."""

    windows: int = 0
    detected: int = 0
    alerts: int = 0
    false: int = 0
    firing: float = 0.0
    judged: float = 0.0

    def add(self, other: Score) -> None:
        """Count another series in."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def row(self, name: str) -> str:
        """One line of the table."""
        days = self.judged / 86400
        precision = (self.alerts - self.false) / self.alerts if self.alerts else 0.0
        return (
            f"| {name} | {self.detected} of {self.windows} | {self.false} | {self.false / days:.2f} "
            f"| {precision:.0%} | {self.firing / self.judged:.1%} |"
        )


def moment(text: str) -> float:
    return datetime.fromisoformat(text.partition(".")[0]).replace(tzinfo=timezone.utc).timestamp()


def read(path: Path) -> Series:
    with path.open(newline="") as file:
        return [(moment(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]


def alert_spans(series: Series, when: str, clear: str = "") -> list[Span]:
    """When the rule fired, and until when, through the engine."""
    rules = compile_rules(
        [RuleSettings(name="rule", when=when, clear=clear)],
        AlertSettings(default_rules=False),
        known_metrics=[METRIC],
    )
    engine, spans, began = AlertEngine(rules, window_seconds=300.0), [], None
    for at, value in series:
        for alert in engine.step([Observation(metric=METRIC, value=value, at=at)], at):
            if alert.event is AlertEvent.FIRED:
                began = at
            elif alert.state is AlertState.RESOLVED and began is not None:
                spans.append((began, at))
                began = None
    return spans + ([(began, series[-1][0])] if began is not None else [])


def score(series: Series, spans: Iterable[Span], labels: Sequence[Span]) -> Score:
    since = series[int(PROBATION * len(series))][0]
    judged = [(max(start, since), end) for start, end in spans if end > since]
    windows = [window for window in labels if window[1] > since]
    hits = [any(_meet(span, window) for window in windows) for span in judged]
    return Score(
        windows=len(windows),
        detected=sum(any(_meet(span, window) for span in judged) for window in windows),
        alerts=len(judged),
        false=hits.count(False),
        firing=sum(end - start for start, end in judged),
        judged=series[-1][0] - since,
    )


def _meet(span: Span, window: Span) -> bool:
    return span[0] <= window[1] and span[1] >= window[0]


def fixed_limit(series: Series) -> str:
    first = [value for _, value in series[: int(PROBATION * len(series))]]
    return f"{METRIC} > {statistics.fmean(first) + 3 * statistics.pstdev(first):.6f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "nab")
    parser.add_argument(
        "--each", action="store_true", help="a row for each series, at the default rule's limit"
    )
    args = parser.parse_args()
    if not args.data.is_dir():
        raise SystemExit(f"there is no benchmark data at {args.data}")
    labels = json.loads((args.data / "labels.json").read_text())
    files = sorted(args.data.glob("*/*.csv"))
    loaded = {path: read(path) for path in files}
    spans = {
        path: [(moment(start), moment(end)) for start, end in labels[f"{path.parent.name}/{path.name}"]]
        for path in files
    }
    print(f"{len(files)} series, {sum(map(len, loaded.values())):,} samples\n")
    print("| rule | windows detected | false alarms | a day | alerts that were right | time firing |")
    print("|---|---|---|---|---|---|")
    rules = [f"anomaly({METRIC}) > {limit}{hold}" for hold in ("", " for 15m") for limit in (3, 4, 6, 10)]
    for rule in [*rules, "mean + 3 sigma", "mean + 3 sigma for 15m"]:
        total = Score()
        for path, series in loaded.items():
            when = (
                rule
                if rule.startswith("anomaly")
                else fixed_limit(series) + rule.removeprefix("mean + 3 sigma")
            )
            clear = str(float(rule.split(">")[1].split()[0]) * 0.6) if rule.startswith("anomaly") else ""
            one = score(series, alert_spans(series, when, clear), spans[path])
            total.add(one)
            if args.each and rule == f"anomaly({METRIC}) > 6 for 15m":
                print(one.row(path.stem))
        print(total.row(rule.replace(f"({METRIC})", "")))


if __name__ == "__main__":
    main()
