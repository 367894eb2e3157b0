"""Twin of agent/alerts/expression.py."""

from __future__ import annotations

import math
import random
import re

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.evaluators import Condition, compare
from agent.alerts.evaluators.absent import Absent
from agent.alerts.evaluators.anomaly import AnomalyLow
from agent.alerts.evaluators.burn import Burn
from agent.alerts.evaluators.rate import Rate
from agent.alerts.evaluators.value import Value
from agent.alerts.expression import ExpressionError, parse, parse_number
from agent.alerts.rules import compile_rules, shown
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("camera.fps_in < 2", Condition(metric="camera.fps_in", function=Value(), comparison="<", limit=2)),
        ("camera.frozen for 10s", Condition(metric="camera.frozen", function=Value(), hold=10)),
        ("host.memory_used_ratio>=90% for 1h30m",
         Condition(metric="host.memory_used_ratio", function=Value(), comparison=">=", limit=0.9, hold=5400)),
        ("absent(camera.fps_in) for 3m",
         Condition(metric="camera.fps_in", function=Absent(), comparison=">=", limit=180, hold=180)),
        ('rate(host.disk_used_bytes{disk="/data"}, 5m) > 1e6',
         Condition(metric="host.disk_used_bytes", function=Rate(over=300), limit=1e6,
                   selector={"disk": "/data"})),
        ("rate(host.outbox_lost_total) > 0",
         Condition(metric="host.outbox_lost_total", function=Rate(over=600))),
        ("anomaly_low(camera.fps_inferred) > 6",
         Condition(metric="camera.fps_inferred", function=AnomalyLow(), limit=6)),
        ("burn(camera.latency_seconds > 0.5, 99%, 6h) > 14.4",
         Condition(metric="camera.latency_seconds", function=Burn(objective=0.99, over=21600, target=0.5),
                   limit=14.4)),
        ("x > -.5", Condition(metric="x", function=Value(), limit=-0.5)),
    ],
)  # fmt: skip
def test_reads(text, expected):
    assert parse(text) == expected
    assert parse(shown(parse(text))) == expected


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 0, "the end"),
        ("camera.fps_in >", 15, "the end"),
        ("camera.fps_in > 5m", 16, "'5m'"),
        ("camera.fps_in ~ 5", 14, "cannot read"),
        ("camera.fps_in > 5 fo 5m", 18, "does not end"),
        ("absent(camera.fps_in)", 21, "for how long"),
        ("median(camera.fps_in) > 1", 0, "unknown function"),
        ("camera.fps_in > 1 for 0s", 22, "nothing"),
        ("rate(camera.fps_in > 1", 19, "')' is missing"),
        ("anomaly(camera.fps_in)", 22, "no comparison"),
        ("burn(camera.latency_over_ratio, 120%) > 1", 36, "objective"),
        ("__import__('os').system('x') > 1", 16, "cannot read"),
        ("eval('1') > 1", 0, "unknown function"),
        ("a and b > 1", 2, "no comparison"),
        ("x > 1" + " " * 600, 500, "too long"),
    ],
)
def test_refuses_with_the_place(text, position, said):
    with pytest.raises(ExpressionError, match=re.escape(said)) as caught:
        parse(text)
    assert caught.value.position == position


@given(st.text(max_size=60) | st.text(alphabet="camer.fps_in(){}<>=,%0123456789 \"'for", max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        parse(text)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)


def test_nan_is_never_beyond():
    assert not any(compare(math.nan, comparison, 0.0) for comparison in (">", ">=", "<", "<="))


@pytest.mark.parametrize(("text", "value"), [("90%", 0.9), (" 5 ", 5), ("-1e3", -1000)])
def test_numbers(text, value):
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["", "%", "5 m", "nan", "inf", "5%%"])
def test_no_numbers(text):
    with pytest.raises(ValueError):
        parse_number(text)


@pytest.mark.parametrize(
    "text",
    ["(" * 400, "rate(" * 80, "a" * 501, "host.cpu_ratio > 1e999", "host.cpu_ratio > -1e400%", "host.cpu_ratio > 1 for 9999999w",
     "absent(host.cpu_ratio) for " + "9" * 400 + "s", "rate(host.cpu_ratio, 99999999w) > 1", "host.cpu_ratio > " + "9" * 450,
     "burn(host.cpu_ratio > 1e999, 99%) > 1", "burn(host.cpu_ratio, 1e999%) > 1", 'a{b="' * 90, "a{" * 240, "\x00", "\ud800", "\u202e > 1"],
)  # fmt: skip
def test_what_is_too_much_is_refused_with_its_place(text):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert 0 <= caught.value.position <= max(len(text), 500)


PIECES = ["host.cpu_ratio", "camera.fps_in", "rate(", "burn(", "absent(", "anomaly(", "nosuch(", ")", "(", "{", "}", 'camera="front"', "camera=",
          '"', "'", ",", ">", ">=", "<", "=", "for", "5m", "0s", "9999999w", "1e999", "99%", "-1", ".5", "9" * 50, " ", "\t", "\x00", "é", "\ud800"]  # fmt: skip


def fuzz(count, seed):
    """Any text is a condition, or an error of the error tree; a rule of any settings compiles, or is a ConfigError."""
    random_ = random.Random(seed)
    read = 0
    for _ in range(count):
        text = random_.choice(["", " "]).join(random_.choices(PIECES, k=random_.randint(0, 9)))
        try:
            condition = parse(text)
        except ExpressionError as error:
            assert 0 <= error.position <= len(text)
        else:
            read += 1
            assert math.isfinite(condition.limit) and 0 <= getattr(condition.function, "over", 0) < 1e9
        settings = RuleSettings(name=random_.choice(["a", "", "x" * 90, "é"]), when=text, clear=random_.choice(["", "1", "1e999", "9" * 400, "x%"]))  # fmt: skip
        try:
            for rule in compile_rules([settings], AlertSettings(default_rules=False)):
                parse(rule.shown_condition())
        except ConfigError:
            pass
    return read


def test_random_conditions():
    assert fuzz(3000, 1) > 10


@pytest.mark.slow
def test_hundred_thousand_random_conditions_leave_nothing_behind():
    fuzz(2000, 2)
    memory = psutil.Process().memory_info().rss
    fuzz(100_000, 3)
    assert psutil.Process().memory_info().rss - memory < 20 * 1024 * 1024
