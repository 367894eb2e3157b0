"""Twin of agent/alerts/slo.py."""

from __future__ import annotations

import numpy as np
import pytest

from agent.alerts.rules import compile_rules
from agent.alerts.slo import LatencyTarget, share_observations, targets
from agent.config.alert_settings import AlertSettings, RuleSettings
from agent.core.errors import ConfigError
from agent.core.kll import Sketch


def test_the_rules_targets_are_answered_from_the_sketches():
    rules = compile_rules(
        [RuleSettings(name="slo", when="burn(camera.inference_seconds > 0.05, 99%) > 10")],
        AlertSettings(default_rules=False),
    )
    (target,) = targets(rules)
    assert target == LatencyTarget("inference", 0.05)
    sketch = Sketch()
    sketch.update(np.asarray([0.01] * 90 + [0.06] * 10, dtype=np.float32))
    (found,) = share_observations([target, LatencyTarget("wait", 1.0)], "front", {"inference": sketch}, 5.0)
    assert found.metric == "camera.inference_over_ratio"
    assert found.value == pytest.approx(0.1)
    assert (dict(found.labels), found.evidence["frames"]) == ({"camera": "front", "target": "0.05"}, 100)
    slo = next(rule for rule in rules if rule.name == "slo")
    assert slo.condition.selector.items() <= found.labels.items()


@pytest.mark.parametrize("given", ["abc", "nan", "inf", "0", "-1", ""])
def test_a_target_that_is_no_time_is_refused_where_the_rule_is_read(given):
    """It ended the start, or a reload, of the agent with a traceback."""
    when = f'burn(camera.latency_over_ratio{{target="{given}"}}, 99%) > 10'
    with pytest.raises(ConfigError, match="no number of seconds") as refused:
        compile_rules([RuleSettings(name="slo", when=when)])
    assert (refused.value.key, refused.value.expected) == ("rules[slo].when", 'target="0.5"')


def test_a_target_is_found_however_it_is_written():
    when = 'burn(camera.latency_over_ratio{target="0.50"}, 99%) > 10'
    rules = compile_rules([RuleSettings(name="slo", when=when)], AlertSettings(default_rules=False))
    assert rules[0].condition.selector == {"target": "0.5"}
    assert targets(rules) == (LatencyTarget("latency", 0.5),)
