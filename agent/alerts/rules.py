"""Compiles rules: settings in, checked rules out, with errors that name rule, key and correction."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from agent.alerts import metrics
from agent.alerts.defaults import default_settings
from agent.alerts.evaluators import Condition, UnfitMetricError, compare
from agent.alerts.expression import ExpressionError, parse, parse_number
from agent.alerts.metrics import RuleMetric
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core.errors import ConfigError, ConfigErrors
from agent.core.nearest import nearest
from agent.core.types import Severity
from agent.core.units import duration_text

Audience = Literal["all", "local", "journal"]
_FOR = re.compile(r"\s+for\s+\S+\s*$")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, ready to be evaluated.

    `hold` and `keep_firing` are seconds; `clear` is the value at which a firing alert resolves (None: the
    limit itself). `order` is its place in the list: of equals, the first is published.
    `audience` is the config's `tell`. `default` rules came with the agent.
    """

    name: str
    condition: Condition
    metric: RuleMetric
    severity: Severity
    hold: float
    keep_firing: float
    clear: float | None
    group: str
    audience: Audience
    advice: str
    runbook: str
    repeat: float
    order: int
    default: bool

    def shown_condition(self) -> str:
        """The condition as people would write it."""
        return shown(self.condition, self.hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What a rule may refer to beyond the catalogue of metrics, and what its alerts take from [alerts].

    `cameras` may be empty: then they are not known.
    """

    alerts: AlertSettings
    metrics: frozenset[str]
    cameras: tuple[str, ...]


def compile_rules(
    settings: Sequence[RuleSettings] = (),
    alerts: AlertSettings = AlertSettings(),
    *,
    window_seconds: float = 60.0,
    known_metrics: Iterable[str] = (),
    cameras: Iterable[str] = (),
) -> tuple[Rule, ...]:
    """The rules of `settings` and, where `alerts` has them, the built-in ones that they do not replace.

    A setting without `when` adjusts the default rule of its name. `known_metrics` are names beyond the
    catalogue (what this box has published), `cameras` those that there are, if that is known. Raises
    ConfigError, or ConfigErrors where there are several mistakes.
    """
    built_in = {item.name: item for item in default_settings(window_seconds)} if alerts.default_rules else {}
    own, errors, rules = {item.name: item for item in settings}, _duplicates(settings), []
    entries = [*({**built_in, **{name: own[name] for name in own if name in built_in}}).values()]
    entries += [item for item in settings if item.name not in built_in]
    context = _Context(alerts=alerts, metrics=frozenset(known_metrics), cameras=tuple(cameras))
    for order, entry in enumerate(entries):
        try:
            merged = _merged(entry, built_in)
            if merged.enabled:
                rules.append(_compile(merged, order, entry is built_in.get(entry.name), context))
        except ConfigError as error:  # noqa: PERF203  (every mistake is reported, not the first alone)
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
    return tuple(rules)


def _duplicates(settings: Sequence[RuleSettings]) -> list[ConfigError]:
    names = [item.name for item in settings]
    return [
        _error(name, "name", "is defined twice", "another name")
        for index, name in enumerate(names)
        if name in names[:index]
    ]


def _merged(entry: RuleSettings, built_in: dict[str, RuleSettings]) -> RuleSettings:
    """`entry` with what it leaves open taken from the default rule of its name; with a condition of its own,
    only severity and advice.
    """
    base = built_in.get(entry.name)
    if entry.when and base is None:
        return entry
    if entry.when and base is not None:
        return dataclasses.replace(
            entry, severity=entry.severity or base.severity, advice=entry.advice or base.advice
        )
    if base is None:
        raise _error(
            entry.name,
            "when",
            "is missing, and no default rule has this name",
            'a condition such as "camera.latency_p99_seconds > 0.5 for 5m"',
            nearest(entry.name, built_in),
        )
    untouched = {field.name: field.default for field in dataclasses.fields(RuleSettings)}
    given = {key: value for key in untouched if (value := getattr(entry, key)) != untouched[key]}
    if "hold" in given:  # the `for` of the default rule stands in its condition
        given["when"] = _FOR.sub("", base.when)
    return dataclasses.replace(base, **given)


def _compile(entry: RuleSettings, order: int, default: bool, context: _Context) -> Rule:
    if not NAME.fullmatch(entry.name):
        raise _error(entry.name, "name", f"is {entry.name!r}", "letters, digits, '-' and '_', 63 at most")
    condition = _condition(entry)
    _check_selector(entry, condition, context.cameras)
    hold = _hold(entry, condition)
    condition, metric = _resolve(entry, condition, context.metrics)
    page = f"{context.alerts.runbooks.rstrip('/')}/{entry.name}.md"
    severity = Severity(entry.severity or "warning")
    return Rule(
        name=entry.name,
        condition=condition,
        metric=metric,
        severity=severity,
        hold=0.0 if condition.function.is_duration else hold,
        keep_firing=entry.keep_firing,
        clear=_clear(entry, condition),
        group=entry.group or metric.cause,
        audience=entry.tell,  # type: ignore[arg-type]  # the loader checked it against its choices
        advice=entry.advice,
        runbook=entry.runbook or (page if default or _is_default(entry.name) else ""),
        repeat=entry.repeat or getattr(context.alerts, f"repeat_{severity.value}"),
        order=order,
        default=default,
    )


def _is_default(name: str) -> bool:
    return any(item.name == name for item in default_settings())


def _check_selector(entry: RuleSettings, condition: Condition, cameras: Sequence[str]) -> None:
    camera = condition.selector.get("camera")
    if camera is not None and cameras and camera not in cameras:
        near = nearest(camera, cameras)
        expected = None if near else f"one of {', '.join(cameras)}"
        raise _error(entry.name, "when", f"there is no camera {camera!r}", expected, near)


def _condition(entry: RuleSettings) -> Condition:
    try:
        return parse(entry.when, entry.hold)
    except ExpressionError as error:
        place = f"{error} (at character {error.position + 1} of {entry.when!r})"
        raise _error(entry.name, "when", place, error.expected) from None


def _resolve(
    entry: RuleSettings, condition: Condition, extra: frozenset[str]
) -> tuple[Condition, RuleMetric]:
    """The condition on the metric that is really observed, and that metric; raises ConfigError if unknown."""
    try:
        resolved, metric = condition.function.resolve(condition, partial(metrics.find, extra=extra))
    except UnfitMetricError as error:
        raise _error(entry.name, "when", str(error), error.expected) from None
    if metric is None:
        raise _error(
            entry.name,
            "when",
            f"unknown metric {condition.metric!r}",
            "one of those of `vedette rules list --metrics`",
            nearest(condition.metric, (*metrics.METRICS, *extra), cutoff=0.5),
        )
    return resolved, metric


def _hold(entry: RuleSettings, condition: Condition) -> float:
    stated = condition.hold or 0.0
    if condition.hold is not None and entry.hold not in {0.0, condition.hold}:
        mend = "`for` in one of the two places"
        raise _error(entry.name, "for", f"says {entry.hold:g} s, but `when` says {stated:g} s", mend)
    return stated or entry.hold


def _clear(entry: RuleSettings, condition: Condition) -> float | None:
    if not entry.clear:
        return None
    try:
        clear = parse_number(entry.clear)
    except ValueError:
        raise _error(entry.name, "clear", f"is {entry.clear!r}", "a number, such as 0.4 or 80%") from None
    if condition.function.is_duration:
        raise _error(entry.name, "clear", f"means nothing for {condition.function.name}()", "no `clear`")
    if compare(clear, condition.comparison, condition.limit):
        side = "below" if condition.comparison in {">", ">="} else "above"
        raise _error(entry.name, "clear", f"is {clear:g}", f"a value {side} the limit {condition.limit:g}")
    return clear


def _error(
    rule: str, key: str, message: str, expected: str | None = None, near: str | None = None
) -> ConfigError:
    return ConfigError(message, key=f"rules[{rule}].{key}", expected=expected, nearest=near)


def series_text(condition: Condition) -> str:
    """The series of a condition: `camera.fps_in{camera="front"}`."""
    labels = ", ".join(f'{key}="{value}"' for key, value in sorted(condition.selector.items()))
    return condition.metric + (f"{{{labels}}}" if labels else "")


def shown(condition: Condition, hold: float | None = None) -> str:
    """A condition as text, in the language it was written in."""
    series, held = condition.function.text(series_text(condition)), hold or condition.hold
    compared = "" if condition.function.is_duration else f" {condition.comparison} {condition.limit:g}"
    return f"{series}{compared}" + (f" for {duration_text(held)}" if held else "")
