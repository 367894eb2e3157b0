"""`vedette rules`: lists the alert rules of this box, and tries rules on recorded days."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.local import add_state_arguments
from agent.core import clock

if TYPE_CHECKING:
    from agent.alerts.rules import Rule
    from agent.config.schema import Settings
    from agent.core.types import Alert, Observation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _functions()
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the rules of a config, including the default ones")
    add_state_arguments(listing)
    listing.add_argument("--metrics", action="store_true", help="list the metrics that rules may use instead")
    show = actions.add_parser(
        "show", help="show one rule and its page: what it means, what to check, what to do"
    )
    add_state_arguments(show)
    show.add_argument("name", help="name of the rule")
    test = actions.add_parser(
        "test", help="check the rules of FILE, or replay them on recorded data: when would they have fired?"
    )
    test.add_argument("file", help="config file with [[rules]]")
    test.add_argument(
        "--replay",
        metavar="DAY",
        help="a recorded day (2026-01-31, today, yesterday) or a file of observations; without it FILE "
        "is only checked",
    )
    test.add_argument("--state", help="the state directory with the recorded days, instead of that of FILE")
    test.add_argument("--rule", action="append", default=[], help="only this rule; may be repeated")


def _functions() -> str:
    from agent.alerts.evaluators import FUNCTIONS

    kinds = [FUNCTIONS.load(name) for name in FUNCTIONS]
    return "conditions of a rule (`when`):\n" + "\n".join(
        f"  {kind.syntax}\n      {kind.help}" for kind in kinds
    )


def run(args: argparse.Namespace) -> int:
    """List, show or test."""
    return {"list": _list, "show": _show, "test": _test}[args.action](args)


def _configured(file: str | Path | None) -> tuple[Settings, tuple[Rule, ...]]:
    """The settings in `file` (default: that of the service; without any, the defaults) and their rules."""
    from agent.app.kinds import KINDS
    from agent.app.validate import validate
    from agent.cli.local import SYSTEM_CONFIG
    from agent.config.load import load, placed
    from agent.config.schema import Settings

    chosen = file or (SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else None)
    settings = load(chosen, KINDS) if chosen else Settings()
    with placed(chosen):
        return settings, validate(settings)


def _list(args: argparse.Namespace) -> int:
    from agent.alerts.metrics import METRICS

    if args.metrics:
        for metric in METRICS.values():
            print(f"{metric.name:<40} {metric.unit:<8} {metric.words}")
        print(f"{'camera.detections_CLASS':<40} {'count':<8} detections of a class in a window")
        print(f"{'camera.feature_NAME_mean':<40} {'':<8} mean of a feature in a window (docs/features.md)")
        return 0
    for rule in _configured(args.config)[1]:
        _print_rule(rule)
    return 0


def _show(args: argparse.Namespace) -> int:
    from agent.core.runbook_pages import runbook_page

    rule = _named(_configured(args.config)[1], args.name)
    _print_rule(rule)
    if rule.advice:
        print(f"to do: {rule.advice}")
    if page := runbook_page(rule.name):
        print(f"\n{page}")
    elif rule.runbook:
        print(f"more: {rule.runbook}")
    return 0


def _named(rules: Sequence[Rule], name: str) -> Rule:
    from agent.core.errors import VedetteError
    from agent.core.nearest import unknown

    found = next((rule for rule in rules if rule.name == name), None)
    if found is None:
        raise VedetteError(unknown("rule", name, [rule.name for rule in rules], see="`vedette rules list`"))
    return found


def _print_rule(rule: Rule) -> None:
    clear = f", clear {rule.clear:g}" if rule.clear is not None else ""
    keep = f", keep firing {rule.keep_firing:g} s" if rule.keep_firing else ""
    own = "" if rule.default else "  (yours)"
    print(f"{rule.name:<20} {rule.severity.value:<9} {rule.shown_condition()}{clear}{keep}{own}")


def _test(args: argparse.Namespace) -> int:
    settings, rules = _configured(args.file)
    chosen = [_named(rules, name) for name in args.rule] or rules
    if not args.replay:
        for rule in chosen:
            _print_rule(rule)
        return 0
    return _replay(args, settings, chosen)


def _replay(args: argparse.Namespace, settings: Settings, rules: Sequence[Rule]) -> int:
    from agent.alerts.alert_text import journal_line
    from agent.alerts.replay import replay, unobserved
    from agent.alerts.rules import series_text
    from agent.alerts.runtime import observation_log
    from agent.alerts.words import stamp
    from agent.core.state_dir import directory

    files, since = _days(args.replay, Path(args.state) if args.state else directory(settings.state_directory))
    observations = [item for file in files for item in observation_log.read(file)]
    alerts = replay(rules, observations, since=since, window_seconds=settings.windows.length)
    for alert in alerts:
        print(f"{stamp(alert.changed_at)}  {journal_line(alert)}")
    for rule in unobserved(rules, observations):
        if args.rule or not rule.default:
            print(f"{rule.name}: nothing was recorded of {series_text(rule.condition)}, so it could not fire")
    print(_verdict(alerts, rules, observations))
    return 0


def _verdict(alerts: Sequence[Alert], rules: Sequence[Rule], observations: Sequence[Observation]) -> str:
    from agent.alerts.words import stamp

    fired = [alert.rule for alert in alerts if alert.event.value == "fired"]
    counts = ", ".join(f"{name} {_times(fired.count(name))}" for name in dict.fromkeys(fired))
    count = "1 rule" if len(rules) == 1 else f"{len(rules)} rules"
    last = f", the last of {stamp(max(item.at for item in observations))}" if observations else ""
    return f"{count} on {len(observations):,} observations{last}: {counts or 'none would have fired'}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _days(day: str, state: Path) -> tuple[list[Path], float]:
    """The files to read, earlier days first (anomaly rules learn from them), and where the day begins."""
    from agent.alerts.runtime import observation_log
    from agent.core.errors import VedetteError

    if Path(day).is_file():
        return [Path(day)], 0.0
    kept = observation_log.days(state)
    back = {"today": 0, "yesterday": 1}.get(day)
    if back is not None:
        today = clock.wall()
        day = observation_log.day_of(today - 86400 * back)
    if day not in kept:
        known = f"there are {', '.join(kept)}" if kept else "none is recorded yet"
        raise VedetteError(f"no observations of {day} in {state}; {known}")
    begins = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp()
    return [path for name, path in kept.items() if name <= day], begins
