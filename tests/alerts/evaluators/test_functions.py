"""A rule function is one file and one line: whatever is registered parses, prints, evaluates and has words."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass

import pytest

from agent.__main__ import main
from agent.alerts.engine import AlertEngine
from agent.alerts.evaluators import FUNCTIONS, RuleEvaluator, RuleFunction, RuleValue
from agent.alerts.expression import ExpressionError, parse
from agent.alerts.rules import compile_rules, shown
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core.registry import Registry
from agent.core.types import Observation

EXAMPLES = {
    "value": "camera.fps_in < 5",
    "absent": "absent(camera.fps_in) for 3m",
    "rate": "rate(host.disk_used_ratio, 1h) > 0.1",
    "anomaly": "anomaly(camera.fps_in) > 6",
    "anomaly_high": "anomaly_high(camera.fps_in) > 6",
    "anomaly_low": "anomaly_low(camera.fps_in) > 6",
    "burn": "burn(camera.fps_in < 10, 95%, 6h) > 2",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_its_name_and_help_and_reads_what_it_prints(name):
    kind = FUNCTIONS.load(name)
    assert issubclass(kind, RuleFunction)
    assert kind.name == name
    assert kind.help
    assert name == "value" or kind.syntax.startswith(f"{name}(")
    condition = parse(EXAMPLES[name])
    assert type(condition.function) is kind
    assert parse(shown(condition)) == condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled(RuleFunction):
    """The metric times a factor."""

    name = "scaled"
    syntax = "scaled(METRIC, NUMBER) > NUMBER"
    help = "the metric times a number"

    factor: float

    @classmethod
    def parse(cls, arguments):
        arguments.expect(",")
        return cls(factor=arguments.number())

    def text(self, series):
        return f"scaled({series}, {self.factor:g})"

    def evaluator(self, series):
        return ScaledEvaluator(series)


class ScaledEvaluator(RuleEvaluator):
    def _evaluate(self, target, latest, now):
        return RuleValue(value=latest.value * self.series.condition.function.factor, latest=latest)


@pytest.fixture
def scaled(monkeypatch):
    """The function `scaled` in a module of its own, registered by one entry."""
    module = types.ModuleType("vedette_scaled")
    module.Scaled = Scaled
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entries = Registry("function", {**FUNCTIONS, "scaled": "vedette_scaled:Scaled"})
    for reader in ("agent.alerts.evaluators", "agent.alerts.expression", "agent.alerts.alert_text"):
        monkeypatch.setattr(f"{reader}.FUNCTIONS", entries)


def test_a_new_function_needs_no_other_change(scaled):
    rules = compile_rules(
        [RuleSettings(name="twice", when="scaled(camera.fps_in, 2) > 50")], AlertSettings(default_rules=False)
    )
    assert rules[0].shown_condition() == "scaled(camera.fps_in, 2) > 50"
    engine = AlertEngine(rules)
    seen = Observation(metric="camera.fps_in", value=30.0, at=1000.0, labels={"camera": "front"})
    (alert,) = engine.step([seen], 1000.0)
    assert alert.what == "camera front: scaled of frames received 60 fps"
    assert alert.expected == "at most 50 fps"
    (end,) = engine.step(
        [Observation(metric="camera.fps_in", value=20.0, at=1001.0, labels={"camera": "front"})], 1001.0
    )
    assert end.what == "camera front: frames received back to 20 fps"


def test_an_unknown_function_names_those_that_there_are(scaled):
    with pytest.raises(ExpressionError) as caught:
        parse("median(camera.fps_in) > 1")
    assert caught.value.expected == "one of absent, rate, anomaly, anomaly_high, anomaly_low, burn, scaled"


def test_help_lists_every_function(capsys):
    with pytest.raises(SystemExit):
        main(["rules", "--help"])
    text = capsys.readouterr().out
    assert all(FUNCTIONS.load(name).syntax in text for name in FUNCTIONS)
