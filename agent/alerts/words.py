"""Words: what an alert says happened, what was expected, and over which time. For people at 3 a.m."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from agent.alerts.expression import ANOMALIES, Function, compare
from agent.alerts.judges import Evaluation
from agent.alerts.metrics import Unit, unlisted
from agent.alerts.rules import Rule
from agent.core.counts import figures, multiple
from agent.core.printable import printable
from agent.core.types import Alert, AlertEvent, Labels

LONGEST_SENTENCE = 1000
_HOLD_WORTH_SAYING = 1.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertText:
    """The sentences of one alert."""

    what: str
    expected: str
    window: str

    def __post_init__(self) -> None:
        """Hold printable text alone: names of classes and what cameras and servers answer come from outside."""
        for name in ("what", "expected", "window"):
            object.__setattr__(self, name, printable(getattr(self, name), LONGEST_SENTENCE))


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(0.25), duration(45), duration(300), duration(5400), duration(100000)
    ('0.25 s', '45 s', '5 min', '1 h 30 min', '1 d 4 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 or seconds == 0 else f"{seconds:.2g} s"
    whole = round(seconds)
    for size, unit, small, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            rest = round(whole % size / small)
            if rest * small >= size:
                return f"{whole // size + 1} {unit}"
            return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min" + (f" {rest} s" if rest and minutes < 5 else "")


def quantity(value: float, unit: Unit) -> str:
    """A value with its unit, three figures.

    >>> quantity(0.6213, "seconds"), quantity(0.0213, "seconds"), quantity(0.93, "ratio"), quantity(2.5e9, "bytes")
    ('0.621 s', '21.3 ms', '93 %', '2.5 GB')
    """
    if unit == "bytes":
        for size, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if abs(value) >= size:
                return f"{figures(value / size)} {name}"
    if unit == "seconds" and 0 < abs(value) < 0.0995:
        return f"{figures(value * 1000)} ms"
    signs = {"seconds": " s", "bytes": " B", "celsius": " °C", "watts": " W", "hertz": " Hz", "fps": " fps"}
    if unit == "ratio":
        return f"{figures(value * 100)} %"
    return f"{figures(value)}{signs.get(unit, '')}"


def subject(labels: Labels) -> str:
    """Who an alert is about: `camera front`, `GPU 0`, `host`."""
    names = {"gpu": "GPU"}
    shown = [f"{names.get(key, key)} {value}" for key, value in sorted(labels.items()) if key != "target"]
    return ", ".join(shown)


def clock(at: float, now: float | None = None) -> str:
    """`12:04 UTC`, with the date where it is not that of `now`."""
    moment = _utc(at)
    same_day = now is None or moment.date() == _utc(now).date()
    return moment.strftime("%H:%M UTC" if same_day else "%Y-%m-%d %H:%M UTC")


def stamp(at: float) -> str:
    """`2026-01-31 12:04:05 UTC`."""
    return f"{_utc(at):%Y-%m-%d %H:%M:%S} UTC"


def span(start: float, end: float) -> str:
    """`12:04-12:09 UTC`; with dates where the days differ."""
    first, last = _utc(start), _utc(end)
    if end - start < 120:
        return f"{first:%H:%M:%S}-{last:%H:%M:%S} UTC"
    if first.date() == last.date():
        return f"{first:%H:%M}-{last:%H:%M} UTC"
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


def _utc(at: float) -> datetime:
    # Not fromtimestamp: a clock before 1970 or far off must not raise.
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=min(max(at, -6e10), 2.5e11))


def tell(
    rule: Rule, labels: Labels, reading: Evaluation, limit: float, *, since: float, now: float
) -> AlertText:
    """The words for `rule` firing on a target since `since`, judged by `reading` against `limit`."""
    who = subject(labels) or rule.metric.name.partition(".")[0]
    what, expected = _facts(rule, who, reading, limit)
    return AlertText(what=what, expected=expected, window=_window(rule, reading, since, now))


def _facts(rule: Rule, who: str, reading: Evaluation, limit: float) -> tuple[str, str]:
    function, metric = rule.condition.function, rule.metric
    if function is Function.ABSENT:
        at = clock(reading.latest.at)
        return (
            f"{who}: no report of {metric.words} for {duration(reading.value)}, since {at}",
            f"one at least every {duration(limit)}",
        )
    if function is Function.RATE:
        over = duration(rule.condition.over)
        moved, allowed = reading.value * rule.condition.over, limit * rule.condition.over
        verb = "rose" if moved >= 0 else "fell"
        bound = f"a change of {_bound(rule, quantity(allowed, metric.unit))}"
        if allowed == 0:
            bound = "no rise" if rule.condition.comparison == ">" else "no fall"
        return (
            f"{who}: {metric.words} {verb} by {quantity(abs(moved), metric.unit)} in {over}",
            f"{bound} in {over}",
        )
    if function is Function.BURN and reading.burn is not None:
        return _burn_facts(rule, who, reading)
    if function in ANOMALIES and reading.usual is not None:
        return _anomaly_facts(rule, who, reading, limit)
    return _value_facts(rule, who, reading, limit)


def _value_facts(rule: Rule, who: str, reading: Evaluation, limit: float) -> tuple[str, str]:
    metric, said = rule.metric, reading.latest.text
    if metric.unit == "state":
        wrong = metric.words if reading.value > 0 else metric.words.replace("is ", "is not ", 1)
        expected = (
            metric.expected if rule.condition.comparison in {">", ">="} else metric.words.removeprefix("is ")
        )
        return f"{who} {wrong}" + (f": {said}" if said else ""), expected
    if said:
        bound = "its limit" if metric.unit == "times" and limit == 1 else quantity(limit, metric.unit)
        return f"{who}: {said}", f"{metric.words} {_bound(rule, bound)}"
    if metric.unit == "times":
        bound = "its limit" if limit == 1 else f"{limit:g} times its limit"
        return f"{who}: {metric.words} {multiple(reading.value, 'its limit')}", _bound(rule, bound)
    shown = quantity(reading.value, metric.unit)
    expected = _bound(rule, quantity(limit, metric.unit))
    if rule.clear is not None and not compare(reading.value, rule.condition.comparison, limit):
        clear = rule.clear + limit - rule.condition.limit
        expected += f"; it is over at {quantity(clear, metric.unit)}"
    return f"{who}: {metric.words} {shown}", expected


def _bound(rule: Rule, limit: str) -> str:
    words = {">": "at most", ">=": "below", "<": "at least", "<=": "above"}
    return f"{words[rule.condition.comparison]} {limit}"


def _burn_facts(rule: Rule, who: str, reading: Evaluation) -> tuple[str, str]:
    assert reading.burn is not None
    asked, burn = rule.condition, reading.burn
    good = quantity(asked.objective, "ratio")
    target = asked.selector.get("target")
    if target:
        stage = rule.metric.name.removeprefix("camera.").removesuffix("_over_ratio")
        bad, right = f"of frames over {target} s {stage}", f"{good} of frames within {target} s {stage}"
    elif asked.target is not None:
        limit = quantity(asked.target, rule.metric.unit)
        bad = f"of windows with {rule.metric.words} {asked.target_comparison} {limit}"
        right = f"{good} of windows without"
    else:
        bad, right = rule.metric.words, f"at most {quantity(1 - asked.objective, 'ratio')}"
    share = quantity(burn.bad, "ratio")
    return f"{who}: {share} {bad}, {figures(burn.times, 2)} times what the target allows", right


def _anomaly_facts(rule: Rule, who: str, reading: Evaluation, limit: float) -> tuple[str, str]:
    assert reading.usual is not None
    usual, unit = reading.usual, rule.metric.unit
    side = "high" if reading.latest.value >= usual.median else "low"
    function = rule.condition.function
    low, high = usual.median - limit * usual.scale_below, usual.median + limit * usual.scale_above
    normal = {
        Function.ANOMALY: f"{quantity(low, unit)} to {quantity(high, unit)}",
        Function.ANOMALY_HIGH: f"at most {quantity(high, unit)}",
        Function.ANOMALY_LOW: f"at least {quantity(low, unit)}",
    }[function]
    hour = (
        "at all hours"
        if usual.hour is None
        else f"at {(usual.hour - 1) % 24:02d}-{(usual.hour + 2) % 24:02d} UTC"
    )
    where = f"{hour} of the last {usual.days} days" if usual.days > 1 else f"{hour} of the last day"
    return (
        f"{who}: {rule.metric.words} {quantity(reading.latest.value, unit)}, unusually {side} "
        f"({_sigmas(usual.z(reading.latest.value))})",
        f"{normal}; it was {quantity(usual.median, unit)} (median) {where}",
    )


def _sigmas(z: float) -> str:
    return f"{abs(z):.2g} sigma" if abs(z) < 100 else "over 100 sigma"


def _window(rule: Rule, reading: Evaluation, since: float, now: float) -> str:
    judged = reading.latest.evidence.get("window")
    if isinstance(judged, str) and judged:
        return judged
    if rule.condition.function is Function.BURN and reading.burn is not None:
        long, short = duration(reading.burn.long_seconds), duration(reading.burn.short_seconds)
        return f"over the last {long} and the last {short}, until {clock(now)}"
    if rule.condition.function is Function.RATE:
        return f"over {span(now - rule.condition.over, now)}"
    if now - since < _HOLD_WORTH_SAYING:
        return f"at {clock(now)}"
    return f"over {span(since, now)}, for {duration(now - since)}"


def tell_resolved(
    rule: Rule | None, told: Alert, reading: Evaluation | None, reason: str, *, limit: float, ended: float
) -> AlertText:
    """The words for `told` being over; `reason` where it is over for another cause than its value.

    `limit` is the one in force now, which people may have changed since.
    """
    lasted = f"over {span(told.first_seen, ended)}, lasted {duration(ended - told.first_seen)}"
    if reason or rule is None or reading is None:
        return AlertText(
            what=f"{told.what} (over: {reason or 'no longer judged'})", expected=told.expected, window=lasted
        )
    who = subject(told.labels) or rule.metric.name.partition(".")[0]
    if rule.metric.unit == "state":
        wrong = rule.metric.words.removeprefix("is ")
        verb = "no longer" if rule.condition.comparison in {">", ">="} else "again"
        what = (
            f"{who} is {verb} {wrong}"
            if rule.metric.words.startswith("is ")
            else f"{who} is as expected again"
        )
    elif rule.condition.function is Function.ABSENT:
        what = f"{who}: {rule.metric.words} is reported again"
    elif rule.condition.function is Function.RATE:
        what = f"{who}: {rule.metric.words} as steady as expected again"
    else:
        value = quantity(reading.latest.value, rule.metric.unit)
        of_limit = " times its limit" if rule.metric.unit == "times" else ""
        what = f"{who}: {rule.metric.words} back to {value}{of_limit}"
    return AlertText(what=what, expected=_facts(rule, who, reading, limit)[1], window=lasted)


_SAID_ELSEWHERE = frozenset(
    {
        "metric",
        "condition",
        "limit",
        "judged",
        "window",
        "bad_ratio",
        "burn_times",
        "usual_median",
        "usual_hour",
    }
)
_MOST_EVIDENCE = 12


def page_command(rule: str) -> str:
    """The command that prints the page of `rule` on the box: it works where a link does not."""
    return f"vedette rules show {rule}"


def evidence_lines(evidence: Mapping[str, Any]) -> list[str]:
    """The numbers behind an alert that its sentences do not say: single ones in one line, then a line for each of
    several things (the features that drifted).

    >>> evidence_lines({"limit": 5, "wait_p99_seconds": 0.02, "hour": 14})
    ['wait p99 20 ms, hour 14']
    >>> evidence_lines({"features": {"sharpness": {"ratio": 1.5, "now_p10_p50_p90": [31, 35, 41]}}})
    ['sharpness: ratio 1.5, now p10 p50 p90 31/35/41']
    """
    single: list[str] = []
    lines: list[str] = []
    for key, value in evidence.items():
        if key in _SAID_ELSEWHERE or value is None:
            continue
        if isinstance(value, Mapping) and all(isinstance(item, Mapping) for item in value.values()):
            lines += [f"{name.replace('_', ' ')}: {_plain(item)}" for name, item in value.items()]
        else:
            single.append(_fact(key, value))
    left = len(lines) - _MOST_EVIDENCE
    lines = lines if left <= 0 else [*lines[:_MOST_EVIDENCE], f"and {left} more"]
    return [printable(line, LONGEST_SENTENCE) for line in ([", ".join(single), *lines] if single else lines)]


def _fact(key: str, value: object) -> str:
    if isinstance(value, float):
        named = unlisted(f"evidence.{key}")
        return f"{named.words} {quantity(value, named.unit)}"
    return f"{key.replace('_', ' ')} {_plain(value)}"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(_fact(str(key), item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        between = ", " if any(isinstance(item, str) for item in value) else "/"
        return between.join(_plain(item) for item in value)
    if isinstance(value, float):
        return figures(value)
    return str(value)


def journal_line(alert: Alert) -> str:
    """One line for the journal: what, expected, since when, what to do, and the id to acknowledge it by."""
    if alert.event is AlertEvent.RESOLVED:
        return f"resolved: {alert.what} ({alert.window}) [{alert.id}]"
    verb = {
        AlertEvent.FIRED: alert.severity.value.upper(),
        AlertEvent.REMINDER: f"{alert.severity.value.upper()} still",
        AlertEvent.ACKNOWLEDGED: "acknowledged",
        AlertEvent.SNOOZED: "snoozed",
        AlertEvent.UNDONE: f"{alert.controls.get('undone', {}).get('kind', 'control')} undone",
    }[alert.event]
    by = _by(alert.controls)
    advice = f". {alert.advice}" if alert.advice else ""
    return f"{verb}{by}: {alert.what} (expected {alert.expected}; {alert.window}){advice} [{alert.id}]"


def _by(controls: Mapping[str, Any]) -> str:
    newest = max(controls.values(), key=lambda entry: float(entry.get("at", 0.0)), default=None)
    if not newest:
        return ""
    why = f", {newest['why']}" if newest.get("why") else ""
    return f" by {newest.get('who', '?')}{why}"
