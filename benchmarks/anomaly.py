"""The anomaly rule on the Numenta Anomaly Benchmark's AWS CloudWatch series: detections and false alarms.

    python benchmarks/anomaly.py [--data ../shared/nab]

Each series goes through the real alert engine, sample by sample. What counts is the moment at which an alert fires:
inside a labelled window it detects it, outside every window it is a false alarm (also if it goes on into one: a
rule that always fires detects nothing). The first 15 % of a series only teach, as in the benchmark itself. Beside
it, for comparison: a fixed limit at mean + 3 standard deviations of that first part, which is what people write by
hand, and how many windows as many alerts at random moments would hit.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from agent.alerts.engine import AlertEngine
from agent.alerts.rules import compile_rules
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core.types import AlertEvent, AlertState, Observation

METRIC = "host.benchmark"
PROBATION = 0.15
Series = list[tuple[float, float]]
Span = tuple[float, float]


@dataclass
class Score:
    """What came of one rule on one series, or on all; times in seconds.

    `chance` is how many windows as many alerts at random moments hit on average, `raw` the benchmark's own score
    (standard profile) before it is scaled.
    """

    windows: int = 0
    detected: int = 0
    chance: float = 0.0
    alerts: int = 0
    false: int = 0
    firing: float = 0.0
    judged: float = 0.0
    raw: float = 0.0

    def add(self, other: Score) -> None:
        """Count another series in."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def row(self, name: str) -> str:
        """One line of the table."""
        days = self.judged / 86400
        right = f"{(self.alerts - self.false) / self.alerts:.0%}" if self.alerts else "-"
        scaled = f"{50 * (self.raw + self.windows) / self.windows:.0f}" if self.windows else "-"
        return (
            f"| {name} | {self.detected} of {self.windows} | {self.chance:.1f} | {self.false} "
            f"| {self.false / days:.2f} | {right} | {self.firing / self.judged:.1%} | {scaled} |"
        )


HEADER = (
    "| rule | windows detected | by chance | false alarms | a day | alerts that were right | time firing | NAB score |\n"
    "|---|---|---|---|---|---|---|---|"
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
    since, until = series[int(PROBATION * len(series))][0], series[-1][0]
    fired = [(start, end) for start, end in spans if start > since]
    windows = sorted((max(start, since), end) for start, end in labels if end > since)
    hit = [any(start <= at <= end for start, end in windows) for at, _ in fired]
    return Score(
        windows=len(windows),
        detected=sum(any(start <= at <= end for at, _ in fired) for start, end in windows),
        chance=sum(1 - (1 - (end - start) / (until - since)) ** len(fired) for start, end in windows),
        alerts=len(fired),
        false=hit.count(False),
        firing=sum(end - start for start, end in fired),
        judged=until - since,
        raw=nab_score([at for at, _ in fired], windows),
    )


def nab_score(fired: Sequence[float], windows: Sequence[Span]) -> float:
    """The raw score of Lavin and Ahmad (2015), standard profile: an early detection up to 1, a missed window -1, a
    false alarm down to -0.11, less soon after a window. `windows` in order.
    """
    raw = 0.0
    for start, end in windows:
        inside = [at for at in fired if start <= at <= end]
        raw += _sigmoid((min(inside) - end) / (end - start)) / _sigmoid(-1.0) if inside else -1.0
    for at in fired:
        if not any(start <= at <= end for start, end in windows):
            before = [(start, end) for start, end in windows if end < at]
            late = (at - before[-1][1]) / (before[-1][1] - before[-1][0]) if before else math.inf
            raw += 0.11 * (_sigmoid(late) if late <= 3 else -1.0)
    return raw


def _sigmoid(position: float) -> float:
    return 2 / (1 + math.exp(5 * position)) - 1


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
    print(HEADER)
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
