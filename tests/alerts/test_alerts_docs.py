"""What docs/alerts.md shows is so: its examples load and compile, its commands parse, its transcript is what comes."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from agent.alerts.alert_text import journal_line
from agent.alerts.evaluators import FUNCTIONS
from agent.alerts.words import stamp
from agent.app.kinds import KINDS
from agent.app.validate import validate
from agent.cli import COMMANDS
from agent.config.alert_settings import AlertSettings, NotifierSettings, RuleSettings
from agent.config.load import parse
from agent.notifiers import NOTIFIERS
from tests.alerts.test_wire import KINDS as RULE_KINDS
from tests.alerts.test_wire import scripted

TEXT = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
CAMERAS = "".join(f'[[cameras]]\nname = "{name}"\nkind = "synthetic"\n' for name in ("front", "yard"))


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("text", blocks("toml"))
def test_an_example_config_loads_and_its_rules_and_notifiers_are_possible(text):
    if "apprise" in text:
        pytest.importorskip("apprise")
    settings = parse(CAMERAS + text, KINDS)
    assert validate(settings)
    assert settings.rules or settings.notifiers


def test_there_is_an_example_of_every_kind_of_rule_and_notifier():
    settings = [parse(CAMERAS + text, KINDS) for text in blocks("toml") if "apprise" not in text]
    rules = [rule for each in settings for rule in validate(each) if not rule.default]
    assert {rule.condition.function.name for rule in rules} == set(FUNCTIONS) - {"anomaly_high"}
    assert "`anomaly_high`" in TEXT
    assert all(f'kind = "{kind}"' in TEXT for kind in NOTIFIERS)


@pytest.mark.parametrize(
    "line",
    [line for block in blocks("sh") for line in block.splitlines()]
    + re.findall(r"`(vedette (?:alerts|rules|reload)[^`]*)`", TEXT),
)
def test_a_command_is_understood(line):
    name, *words = shlex.split(line, comments=True)[1:]
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(COMMANDS[name][0]).add_arguments(parser)
    try:
        parser.parse_args(words)
    except SystemExit as end:  # --help
        assert end.code == 0


@pytest.mark.parametrize("settings", [RuleSettings, NotifierSettings, AlertSettings])
def test_every_key_is_documented(settings):
    from dataclasses import fields

    from agent.config.fields import key_of

    keys = {key_of(field) for field in fields(settings)} - {"options", "kind", "name"}
    assert [
        key
        for key in sorted(keys)
        if f"`{key}" not in TEXT and f"{key}`" not in TEXT and f"`[alerts] {key}" not in TEXT
    ] == []


def test_the_transcript_is_what_the_scripted_day_publishes():
    lines = "".join(f"{stamp(alert.changed_at)[11:]}  {journal_line(alert)}\n" for alert in scripted())
    assert lines in TEXT
    assert all(f"[{kind}-" in lines for kind in RULE_KINDS)
