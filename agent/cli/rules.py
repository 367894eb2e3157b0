"""`vedette rules`: which rules watch this box, and when one would have fired."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.local import add_state_arguments

if TYPE_CHECKING:
    from agent.alerts.rules import Rule
    from agent.config.schema import Settings
    from agent.types import Alert

HELP = "list the alert rules and metrics, or try rules on a recorded day"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the rules of a config, the default ones included")
    add_state_arguments(listing)
    listing.add_argument(
        "--metrics", action="store_true", help="the metrics that rules may speak of, instead"
    )
    test = actions.add_parser("test", help="when would the rules of FILE have fired?")
    test.add_argument("file", help="config file with [[rules]]")
    test.add_argument(
        "--replay",
        metavar="DAY",
        help="a recorded day (2026-01-31, today, yesterday) or a file of observations; else only check FILE",
    )
    test.add_argument("--state", help="the state directory with the recorded days, instead of that of FILE")
    test.add_argument("--rule", action="append", default=[], help="only this rule (may be given again)")


def run(args: argparse.Namespace) -> int:
    """List or test."""
    if args.action == "list":
        return _list(args)
    return _test(args)


def _settings(file: str | Path) -> Settings:
    from agent.config.load import load
    from agent.kinds import KINDS

    return load(file, KINDS)


def _list(args: argparse.Namespace) -> int:
    from agent.alerts.metrics import METRICS
    from agent.alerts.rules import compile_rules
    from agent.cli.local import SYSTEM_CONFIG

    if args.metrics:
        for metric in METRICS.values():
            print(f"{metric.name:<40} {metric.unit:<8} {metric.words}")
        print(f"{'camera.detections_CLASS':<40} {'count':<8} detections of a class in a window")
        return 0
    file = args.config or (SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else None)
    settings = _settings(file) if file else None
    length = settings.windows.length if settings else 60.0
    for rule in compile_rules(settings.rules if settings else (), window_seconds=length):
        _print_rule(rule)
    return 0


def _print_rule(rule: Rule) -> None:
    clear = f", clear {rule.clear:g}" if rule.clear is not None else ""
    keep = f", keep firing {rule.keep_firing:g} s" if rule.keep_firing else ""
    own = "" if rule.default else "  (yours)"
    print(f"{rule.name:<20} {rule.severity.value:<9} {rule.shown_condition()}{clear}{keep}{own}")


def _test(args: argparse.Namespace) -> int:
    from agent.alerts.rules import compile_rules
    from agent.errors import VedetteError

    settings = _settings(args.file)
    rules = compile_rules(settings.rules, window_seconds=settings.windows.length)
    unknown = set(args.rule) - {rule.name for rule in rules}
    if unknown:
        raise VedetteError(
            f"there is no rule {sorted(unknown)[0]!r} in {args.file}; see `vedette rules list`"
        )
    chosen = [rule for rule in rules if not args.rule or rule.name in args.rule]
    if not args.replay:
        for rule in chosen:
            _print_rule(rule)
        return 0
    return _replay(args, settings, chosen)


def _replay(args: argparse.Namespace, settings: Settings, rules: Sequence[Rule]) -> int:
    from agent import observation_log
    from agent.alerts.replay import replay
    from agent.alerts.words import journal_line, stamp
    from agent.state import directory

    files, since = _days(args.replay, Path(args.state) if args.state else directory(settings.state_directory))
    observations = [item for file in files for item in observation_log.read(file)]
    told = replay(rules, observations, since=since, window_seconds=settings.windows.length)
    for alert in told:
        print(f"{stamp(alert.changed_at)}  {journal_line(alert)}")
    print(_verdict(told, rules, len(observations)))
    return 0


def _verdict(told: Sequence[Alert], rules: Sequence[Rule], observations: int) -> str:
    fired = [alert.rule for alert in told if alert.event.value == "fired"]
    counts = ", ".join(f"{name} {fired.count(name)} times" for name in dict.fromkeys(fired))
    return f"{len(rules)} rules on {observations:,} observations: {counts or 'none would have fired'}"


def _days(day: str, state: Path) -> tuple[list[Path], float]:
    """The files to read, earlier days first (anomaly rules learn from them), and where the day begins."""
    from agent import observation_log
    from agent.errors import VedetteError

    if Path(day).is_file():
        return [Path(day)], 0.0
    kept = observation_log.days(state)
    back = {"today": 0, "yesterday": 1}.get(day)
    if back is not None:
        today = datetime.now(timezone.utc).timestamp()
        day = observation_log.day_of(today - 86400 * back)
    if day not in kept:
        known = f"there are {', '.join(kept)}" if kept else "none is recorded yet"
        raise VedetteError(f"no observations of {day} in {state}; {known}")
    begins = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp()
    return [path for name, path in kept.items() if name <= day], begins
